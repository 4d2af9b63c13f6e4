/** What each chart shows, and how its numbers are written. */
import { RELATIVE_ERROR_MAX } from '../../core/histogram.ts'
import { bytes, count, ms, percent, short } from '../pages/format.ts'
import type { Column, View } from '../view.ts'
import { heatTable } from './heat.ts'

export interface Line {
  key: string
  label: string
  /** A name of the style sheet: `p50`. */
  colour: string
  values: Column
  /** Behind the value: how good it is. */
  note?: (i: number) => string
  isHidden?: boolean
  isDashed?: boolean
}

export interface PanelSpec {
  id: string
  title: string
  /** Under the title, in few words. */
  about: string
  kind: 'lines' | 'stack' | 'heat' | 'strip'
  /** Equal distances are equal ratios. */
  isLog?: boolean
  /** Steps of its axis are powers of 2, as its units are. */
  isBinary?: boolean
  /** One of many, side by side. */
  isSmall?: boolean
  /** Another look at the same, which the URL keeps as `name=value`. */
  choice?: { words: string; name: string; value: string; isChosen: boolean }
  /** What its table has beside the lines. */
  tableColumns?: () => { label: string; values: Column; format: (value: number) => string }[]
  format: (value: number) => string
  lines: Line[]
}

const ERROR_BOUND = `±${(RELATIVE_ERROR_MAX * 100).toFixed(3)} %`

const CLASSES: Record<string, [string, string]> = {
  '1': ['1xx', 's1'],
  '2': ['2xx', 's2'],
  '3': ['3xx', 's3'],
  '4': ['4xx', 's4'],
  '5': ['5xx', 's5'],
  n: ['no status', 's0'],
}

/** Codes of one class follow each other in these. */
const SHADES = ['', '-light', '-deep']

/** How a person wants it; in the URL. */
export interface Choices {
  isByCode: boolean
  isLog: boolean
}

/** Those of which there is something to show. */
export function panelsOf(view: View, { isByCode, isLog }: Choices): PanelSpec[] {
  const panels = [responseTime(view, isLog), heat(view), throughput(view, isByCode)]
  if (view.errors.length > 0) panels.push(errors(view))
  for (const process of Object.keys(view.memory)) panels.push(memory(view, process))
  for (const process of Object.keys(view.load)) panels.push(load(view, process))
  return panels
}

function responseTime({ requests }: View, isLog: boolean): PanelSpec {
  const note = (i: number): string => {
    const n = requests.timed[i]
    return n === null || n === undefined ? '' : `${ERROR_BOUND} of ${count(n)}`
  }
  const line = (key: 'p50' | 'p95' | 'p99'): Line => ({
    key,
    label: key,
    colour: key,
    values: requests[key],
    note,
  })
  return {
    id: 'response-time',
    title: 'Response time',
    about: 'service time, by nearest rank from merged histograms',
    kind: 'lines',
    isLog,
    choice: { words: 'Log scale', name: 'y', value: 'log', isChosen: isLog },
    format: ms,
    lines: [
      line('p50'),
      line('p95'),
      line('p99'),
      {
        key: 'max',
        label: 'max',
        colour: 'max',
        values: requests.max,
        note: () => 'exact',
        isHidden: true,
      },
    ],
  }
}

function heat({ requests, heat }: View): PanelSpec {
  return {
    id: 'distribution',
    title: 'Distribution',
    about: 'all response times; the stronger, the more requests',
    kind: 'heat',
    format: ms,
    lines: (['p50', 'p99'] as const).map((key) => ({
      key,
      label: key,
      colour: 'heat-line',
      values: requests[key],
      isDashed: key === 'p99',
    })),
    tableColumns: () =>
      heatTable(heat).map(({ from, to, counts }) => ({
        label: from === 0 ? `up to ${ms(to)}` : `${ms(from)} – ${ms(to)}`,
        values: counts,
        format: count,
      })),
  }
}

/** Of less than this a rate says little. */
const RATE_SECONDS_MIN = 10

/** How many a minute; `seconds` of each step have passed. The last one is no fall, for that. */
export const perMinute = (column: Column, seconds: readonly number[]): Column =>
  column.map((n, i) => {
    const passed = seconds[i] ?? 0
    return n === null || passed < RATE_SECONDS_MIN ? null : (n * 60) / passed
  })

function throughput(view: View, isByCode: boolean): PanelSpec {
  const groups = Map.groupBy(Object.keys(view.status), (code) =>
    isByCode ? code : (code[0] ?? ''),
  )
  const shades = new Map<string, number>()
  const lines = [...groups].map(([group, codes]): Line => {
    const [label, first] = CLASSES[group[0] ?? ''] ?? [group, 's0']
    const shade = shades.get(first) ?? 0
    shades.set(first, shade + 1)
    const sum = view.time.map((_, i) => {
      const values = codes.map((code) => view.status[code]?.[i] ?? null)
      return values[0] === null ? null : values.reduce<number>((total, n) => total + (n ?? 0), 0)
    })
    return {
      key: group,
      label: isByCode && group !== 'none' ? group : label,
      colour: `${first}${SHADES[shade % SHADES.length]}`,
      values: perMinute(sum, view.seconds),
      note: (i) => (sum[i] === null || sum[i] === undefined ? '' : `${count(sum[i])} in all`),
    }
  })
  return {
    id: 'throughput',
    title: 'Throughput',
    about: `requests a minute, by ${isByCode ? 'status' : 'class of status'}`,
    kind: 'stack',
    choice: { words: 'By code', name: 'by', value: 'code', isChosen: isByCode },
    format: (value) => `${count(Number(short(value).replaceAll(',', '')))} / min`,
    lines,
  }
}

function errors({ errors }: View): PanelSpec {
  const order = ['critical', 'warning', 'info']
  const sorted = errors.toSorted(
    (a, b) => order.indexOf(a.level) - order.indexOf(b.level) || (a.code < b.code ? -1 : 1),
  )
  return {
    id: 'errors',
    title: 'Errors',
    about: 'of the platform: H router, R dyno, L logging',
    kind: 'strip',
    format: count,
    lines: sorted.map(({ code, level, counts }) => {
      const all = counts.reduce<number>((sum, n) => sum + (n ?? 0), 0)
      return {
        key: code,
        label: code,
        colour: level,
        values: counts,
        note: () => `of ${count(all)}`,
      }
    }),
  }
}

function memory(view: View, process: string): PanelSpec {
  const columns = view.memory[process]
  const quota = columns?.quota ?? []
  const share = (values: Column) => (i: number) => {
    const [value, most] = [values[i] ?? null, quota[i] ?? null]
    return value === null || most === null
      ? ''
      : `${percent(Math.round((value / most) * 1000) / 1000)} of quota`
  }
  const line = (key: string, label: string, values: Column, more: Partial<Line> = {}): Line => ({
    key,
    label,
    colour: `m-${key}`,
    values,
    ...more,
  })
  const all = columns
    ? [
        line('max', 'max', columns.max, { note: share(columns.max) }),
        line('mean', 'mean', columns.mean, { note: share(columns.mean) }),
        line('rss', 'RSS', columns.rss, { isHidden: true }),
        line('swap', 'swap', columns.swap),
        line('quota', 'quota', quota, { isDashed: true }),
      ]
    : []
  return {
    id: `memory-${process}`,
    title: `Memory: ${process}`,
    about: 'of a dyno: RSS, cache and swap',
    kind: 'lines',
    isBinary: true,
    format: bytes,
    lines: all.filter(({ values }) => values.some((value) => value !== null)),
  }
}

function load(view: View, process: string): PanelSpec {
  const { mean = [], max = [] } = view.load[process] ?? {}
  return {
    id: `load-${process}`,
    title: `Load: ${process}`,
    about: 'of a dyno, over 1 minute',
    kind: 'lines',
    format: short,
    lines: [
      { key: 'max', label: 'max', colour: 'm-max', values: max },
      { key: 'mean', label: 'mean', colour: 'm-mean', values: mean },
    ],
  }
}
