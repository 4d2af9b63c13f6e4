/** The metrics of language runtimes, add-ons and the app itself: small charts, after all others. */
import uPlot from 'uplot'
import { bytes, percent, short } from '../pages/format.ts'
import type { Series } from '../read/signals.ts'
import type { View } from '../view.ts'
import { byId, colour, el } from './dom.ts'
import { zone } from './time.ts'

const HEIGHT_PX = 92
const AXIS_PX = 50

const GROUPS: [string, string][] = [
  ['runtime.', 'Language runtime'],
  ['custom.', 'Custom metrics'],
  ['', 'Add-ons'],
]

const WORDS = { gauge: ['mean', 'max'], counter: ['sum'], histogram: ['p95', 'p99'] } as const

let loading: AbortController | undefined
let plots: uPlot[] = []

/** Loads and shows them; silently nothing where there are none. */
export async function showMetrics(view: View, params: URLSearchParams): Promise<void> {
  loading?.abort()
  loading = new AbortController()
  const query = new URLSearchParams(params)
  for (const name of ['by', 'tz', 'y', 'lines']) query.delete(name)
  const section = byId('metrics')
  if (section === null) return
  try {
    const response = await fetch(`/api${location.pathname}/series?${query}`, {
      signal: loading.signal,
    })
    if (!response.ok) return
    const { series } = (await response.json()) as { series: Series[] }
    draw(section, view, series)
  } catch {
    // The charts above say what is wrong.
  }
}

function draw(section: HTMLElement, view: View, series: readonly Series[]): void {
  for (const plot of plots) plot.destroy()
  plots = []
  section.replaceChildren()
  const groups = Map.groupBy(
    series,
    ({ name }) => GROUPS.find(([prefix]) => name.startsWith(prefix))?.[1] ?? '',
  )
  for (const [, title] of GROUPS) {
    const members = groups.get(title) ?? []
    if (members.length === 0) continue
    const grid = el('div', { class: 'small-charts' })
    section.append(el('h2', {}, title), grid)
    for (const each of members) drawOne(grid, view, each)
  }
}

function drawOne(grid: HTMLElement, view: View, series: Series): void {
  const format = formatOf(series)
  const values = along(view, series.buckets, series.values)
  const highs = along(view, series.buckets, series.highs)
  const words = WORDS[series.kind]
  const chart = el('div', { class: 'chart' })
  const last = series.values.at(-1)
  const title = series.name.replace(/^(runtime|custom)\./, '')
  const from = [series.process, series.source].filter((part) => part !== '').join(' · ')
  const value = el('span', { class: 'value' }, last === undefined ? '–' : format(last))
  const label = `${title}, ${from}: ${words[0]} now ${last === undefined ? 'unknown' : format(last)}`
  const figure = el(
    'figure',
    { 'aria-label': label },
    el(
      'figcaption',
      {},
      el('span', { class: 'name', title: series.name }, title),
      value,
      el('span', { class: 'note' }, `${words[0]} · ${from}`),
    ),
    chart,
  )
  grid.append(figure)
  const hasHighs = series.highs.length > 0
  const axis = {
    stroke: () => colour('muted'),
    font: '10px system-ui, sans-serif',
    ticks: { show: false },
  }
  plots.push(
    new uPlot(
      {
        width: Math.max(160, chart.clientWidth),
        height: HEIGHT_PX,
        legend: { show: false },
        padding: [6, 6, 6, 0],
        cursor: { y: false, drag: { x: false, y: false } },
        tzDate: (seconds) => {
          const zoned = zone()
          const date = new Date(seconds * 1000)
          return zoned === undefined ? date : uPlot.tzDate(date, zoned)
        },
        scales: {
          x: { range: () => [view.sinceMs / 1000, view.untilMs / 1000] },
          y: {
            range: (_plot, least, most) => [
              Math.min(0, least ?? 0),
              most === null || most === 0 ? 1 : most * 1.08,
            ],
          },
        },
        axes: [
          { ...axis, show: false },
          {
            ...axis,
            size: AXIS_PX,
            space: 30,
            grid: { stroke: () => colour('grid'), width: 1 },
            values: (_plot, splits) => splits.map(format),
          },
        ],
        series: [
          {},
          { stroke: () => colour('m-mean'), width: 1.5, points: { show: false } },
          ...(hasHighs
            ? [{ stroke: () => colour('m-max'), width: 1, points: { show: false } }]
            : []),
        ],
        hooks: {
          setCursor: [
            (plot) => {
              const i = plot.cursor.idx
              const at = i === null || i === undefined ? null : (values[i] ?? null)
              const high = i === null || i === undefined ? null : (highs[i] ?? null)
              value.textContent =
                i === null || i === undefined
                  ? last === undefined
                    ? '–'
                    : format(last)
                  : at === null
                    ? '–'
                    : `${format(at)}${high === null ? '' : `, ${words[1] ?? ''} ${format(high)}`}`
            },
          ],
        },
      },
      hasHighs ? [view.time, values, highs] : [view.time, values],
      chart,
    ),
  )
}

function along(
  { time }: View,
  buckets: readonly number[],
  values: readonly number[],
): (number | null)[] {
  const at = new Map(buckets.map((bucket, i) => [bucket, values[i] ?? null]))
  return time.map((bucket) => at.get(bucket) ?? null)
}

/** Base units are in the names, where they are known. */
function formatOf({ name, kind }: Series): (value: number) => string {
  if (/(?:bytes|_size|memory)/.test(name)) return bytes
  if (kind === 'histogram' || /(?:seconds|latency|duration)/.test(name)) return seconds
  if (/(?:ratio|rate)$/.test(name)) return percent
  return large
}

const seconds = (value: number): string =>
  Math.abs(value) >= 1 || value === 0 ? `${short(value)} s` : `${short(value * 1000)} ms`

const large = (value: number): string =>
  Math.abs(value) >= 1e6
    ? `${short(value / 1e6)} M`
    : Math.abs(value) >= 1e4
      ? `${short(value / 1e3)} k`
      : short(value)
