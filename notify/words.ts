/** A message in words: what, where, since when, how bad, how sure, and what to do. */
import { type Metric, parseMetric, unitOf } from '../core/metric.ts'
import { appsOf, type Event, eventOf, type Item, type Message } from './message.ts'

/** So many are told one by one; a person reads no more at 3 a.m. */
const ITEMS_TOLD = 20
const BYTES_PER_MB = 1_048_576

const LABELS: Record<Event, string> = {
  fired: 'Firing',
  reminder: 'Still firing',
  unknown: 'Unknown',
  recovered: 'Recovered',
  test: 'Test',
}

/** What ends without a value did not recover: its rule was changed or deleted, or the app is gone. */
const GONE = 'No longer watched'
const isGone = ({ event, value }: Item): boolean => event === 'recovered' && value === null

export interface Link {
  text: string
  href: string
}

/** `Firing (critical): p95 over 1 s: demo web` */
export function titleOf(message: Message): string {
  const { severity, name, items } = message
  const [first] = items
  const apps = appsOf(message)
  const where = apps.length === 1 && first ? placeOf(first) : `${apps.length} apps`
  return `${labelOf(eventOf(message), items)} (${severity}): ${name}: ${where}`
}

function labelOf(event: Event, items: readonly Item[]): string {
  const those = items.filter((item) => item.event === event)
  return those.length > 0 && those.every(isGone) ? GONE : LABELS[event]
}

/** A line for each item, the most urgent first; and one for what is left out, or still open. */
export function linesOf(message: Message): string[] {
  const order = Object.keys(LABELS)
  const items = message.items.toSorted((a, b) => order.indexOf(a.event) - order.indexOf(b.event))
  const isMixed = new Set(items.map(({ event }) => event)).size > 1
  const lines = items
    .slice(0, ITEMS_TOLD)
    .map((item) => (isMixed ? `${labelOf(item.event, [item])}: ${lineOf(item)}` : lineOf(item)))
  if (items.length > ITEMS_TOLD) lines.push(`and ${number(items.length - ITEMS_TOLD)} more`)
  if (message.open > 0 && eventOf(message) === 'recovered') {
    lines.push(`Still firing: ${number(message.open)} more`)
  }
  return lines
}

/** `demo web: p95 1,234 ms, threshold ≥ 1,000 ms, …` */
function lineOf(item: Item): string {
  const metric = parseMetric(item.metric)
  const said = (value: number): string => quantity(value, metric)
  const name = item.source === null ? item.metric : `${item.metric} of ${item.source}`
  const minutes = (Date.parse(item.window.until) - Date.parse(item.window.since)) / 60_000
  const words = [
    `${placeOf(item)}: ${name} ${item.value === null ? 'has no value' : said(item.value)}`,
    `threshold ${item.operator} ${said(item.threshold)}`,
    `over ${minutes} min until ${timeOf(item.window.until)}`,
    `${number(item.count)} ${countedIn(metric)}`,
    item.completeness === null
      ? 'completeness unknown'
      : `${percent(item.completeness)} of the data`,
  ]
  if (item.startedAt !== null) words.push(`fired at ${timeOf(item.startedAt)}`)
  if (isGone(item)) words.push('the rule was changed or deleted, or the app is gone')
  if (item.event === 'unknown') words.push('the data is late or has holes: nobody can tell')
  return words.join(', ')
}

/** The playbooks, and the dashboard where one is. */
export function linksOf(message: Message, webUrl: string | undefined): Link[] {
  const playbooks = new Set(message.items.flatMap(({ playbook }) => playbook ?? []))
  const links = [...playbooks].slice(0, 3).map((href) => ({ text: 'Playbook', href }))
  const base = URL.parse(webUrl ?? '')
  if (base === null || !/^https?:$/.test(base.protocol)) return links
  const apps = appsOf(message)
  const [app] = apps
  const folder = base.pathname.endsWith('/') ? base.pathname : `${base.pathname}/`
  if (apps.length === 1 && app !== undefined) {
    base.pathname = `${folder}apps/${encodeURIComponent(app)}`
  }
  return [...links, { text: 'Dashboard', href: base.href }]
}

const placeOf = ({ app, process }: Item): string => (process === null ? app : `${app} ${process}`)

const timeOf = (iso: string): string => `${iso.slice(0, 16).replace('T', ' ')} UTC`

const number = (value: number): string =>
  value.toLocaleString('en-US', { maximumSignificantDigits: value % 1 === 0 ? 21 : 4 })

const percent = (share: number): string => `${number(Math.floor(share * 1000) / 10)} %`

function quantity(value: number, metric: Metric | undefined): string {
  const unit = metric && unitOf(metric)
  if (unit === 'share') return `${number(Math.round(value * 1e5) / 1e3)} %`
  if (unit === 'bytes') return `${number(Math.round((value / BYTES_PER_MB) * 10) / 10)} MB`
  return unit ? `${number(value)} ${unit}` : number(value)
}

function countedIn(metric: Metric | undefined): string {
  switch (metric?.kind) {
    case 'service':
    case 'error-rate':
    case 'throughput':
      return 'requests'
    case 'no-data':
    case 'completeness':
      return 'messages'
    default:
      return 'values'
  }
}
