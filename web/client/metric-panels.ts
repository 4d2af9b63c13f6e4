/** The chart of a metric: which lines it has, and how its numbers are written. */
import { bytes, percent, short } from '../pages/format.ts'
import type { Series } from '../read/signals.ts'
import type { Column, View } from '../view.ts'
import { type Line, type PanelSpec, perMinute } from './panels.ts'

type Steps = Pick<View, 'time' | 'seconds'>

/** What the values of a kind are, and the higher ones beside them. */
const WORDS: Record<Series['kind'], [values: string, highs: string]> = {
  gauge: ['mean', 'max'],
  counter: ['per minute', ''],
  histogram: ['p95', 'p99'],
}

export function metricPanel(view: Steps, series: Series): PanelSpec {
  const { kind, name, process, source, buckets } = series
  const [first, second] = WORDS[kind]
  const values = along(view, buckets, series.values)
  const highs = along(view, buckets, series.highs)
  const isCounter = kind === 'counter'
  // Where both are the same, the first is to be seen: it is drawn last.
  const lines: Line[] = [
    {
      ...{ key: isCounter ? 'rate' : first, label: first, colour: 'm-mean' },
      values: isCounter ? perMinute(values, view.seconds) : values,
    },
  ]
  if (series.highs.length > 0) {
    lines.unshift({ key: second, label: second, colour: 'm-max', values: highs })
  }
  return {
    id: `metric-${[kind, name, process, source].join('-').replace(/[^\w-]+/g, '-')}`,
    title: name.replace(/^(runtime|custom)\./, ''),
    about: [process, source].filter((part) => part !== '').join(' · '),
    kind: 'lines',
    isSmall: true,
    format: formatOf(series),
    lines,
    ...(isCounter ? { tableColumns: () => [{ label: 'sum', values, format: large }] } : {}),
  }
}

function along({ time }: Steps, buckets: readonly number[], values: readonly number[]): Column {
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
