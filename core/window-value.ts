/** The value of a metric over a window: null where there is none, which is not 0. */
import type { AppWindow } from './app-window.ts'
import type { GaugeCell, RequestCell } from './cell.ts'
import { countOf, emptyHistogram, type Histogram, merge, quantile } from './histogram.ts'
import { MINUTE_MS } from './ledger.ts'
import type { GaugeStatistic, Metric, Statistic } from './metric.ts'

/** Which cells, and when they are too few. */
export interface Selection {
  /** null: all together. */
  process: string | null
  source: string | null
  minRequests: number
}

export interface WindowValue {
  value: number | null
  /** Requests, samples or messages that it is made of. */
  count: number
}

interface Span {
  sinceMs: number
  untilMs: number
}

const MEMORY = 'memory_total'
const QUOTA = 'memory_quota'

/** The names of the gauges, counters and histograms that a metric is made of. */
export function namesOf(metric: Metric): string[] {
  if ('name' in metric) return [metric.name]
  return metric.kind === 'memory' ? [MEMORY, QUOTA] : []
}

/** Whether what is missing could only make the value greater. */
export function isAdditive({ kind }: Metric): boolean {
  return kind === 'counter' || kind === 'throughput'
}

/** What tells of requests or messages how many there are has a value where there are few, too. */
const ARE_COUNTS: readonly Metric['kind'][] = ['throughput', 'no-data', 'completeness']

/** Times are starts of minutes, Unix ms: from `sinceMs` up to, without, `untilMs`. */
export function windowValue(
  metric: Metric,
  window: AppWindow,
  span: Span,
  selection: Selection,
): WindowValue {
  const found = measured(metric, window, span, selection)
  const { minRequests } = selection
  if (minRequests === 0 || ARE_COUNTS.includes(metric.kind)) return found
  return requestsIn(window, span, selection) < minRequests ? { ...found, value: null } : found
}

function measured(
  metric: Metric,
  window: AppWindow,
  span: Span,
  selection: Selection,
): WindowValue {
  switch (metric.kind) {
    case 'service':
      return serviceTime(metric.statistic, window, span, selection)
    case 'error-rate':
      return errorRate(window, span, selection)
    case 'throughput': {
      const count = requestsIn(window, span, selection)
      return { value: (count * MINUTE_MS) / (span.untilMs - span.sinceMs), count }
    }
    case 'memory':
      return memoryShare(window, span, selection)
    case 'no-data': {
      const { received, lost } = window.messages(span.sinceMs, span.untilMs)
      return { value: received + lost, count: received }
    }
    case 'completeness': {
      const { received, read, lost } = window.messages(span.sinceMs, span.untilMs)
      return { value: received + lost > 0 ? read / (received + lost) : null, count: received }
    }
    case 'gauge':
      return gauge(metric.statistic, gaugesIn(window, span, selection, metric.name))
    case 'counter':
      return counter(metric.name, window, span, selection)
    case 'histogram':
      return measure(metric, window, span, selection)
  }
}

function* requestCells(
  window: AppWindow,
  { sinceMs, untilMs }: Span,
  { process }: Selection,
): Generator<RequestCell> {
  for (const cells of window.between(sinceMs, untilMs)) {
    for (const cell of cells.requests.values()) {
      if (process === null || cell.process === process) yield cell
    }
  }
}

function requestsIn(window: AppWindow, span: Span, selection: Selection): number {
  let requests = 0
  for (const cell of requestCells(window, span, selection)) requests += cell.requests
  return requests
}

function errorRate(window: AppWindow, span: Span, selection: Selection): WindowValue {
  let [requests, ok] = [0, 0]
  for (const cell of requestCells(window, span, selection)) {
    requests += cell.requests
    for (const [status, n] of cell.status) if (status < 500) ok += n
  }
  return { value: requests > 0 ? (requests - ok) / requests : null, count: requests }
}

function serviceTime(
  statistic: Statistic,
  window: AppWindow,
  span: Span,
  selection: Selection,
): WindowValue {
  const histograms: Histogram[] = []
  let requests = 0
  for (const cell of requestCells(window, span, selection)) {
    requests += cell.requests
    histograms.push(cell.service)
  }
  const all = merged(histograms)
  if (all === undefined) return { value: null, count: 0 }
  return { value: statisticOf(all, statistic), count: requests }
}

function measure(
  { name, statistic }: Metric & { kind: 'histogram' },
  window: AppWindow,
  { sinceMs, untilMs }: Span,
  { process, source }: Selection,
): WindowValue {
  const histograms: Histogram[] = []
  for (const cells of window.between(sinceMs, untilMs)) {
    for (const cell of cells.measures.values()) {
      if (isOf(cell, name, process, source)) histograms.push(cell.histogram)
    }
  }
  const all = merged(histograms)
  if (all === undefined) return { value: null, count: 0 }
  return { value: statisticOf(all, statistic), count: countOf(all) }
}

/** All of them together; a single one is not copied. */
function merged([first, ...rest]: readonly Histogram[]): Histogram | undefined {
  if (first === undefined || rest.length === 0) return first
  const all = emptyHistogram()
  merge(all, first)
  for (const histogram of rest) merge(all, histogram)
  return all
}

function statisticOf(histogram: Histogram, statistic: Statistic): number | null {
  if (histogram.min > histogram.max) return null
  if (statistic === 'max') return histogram.max
  if (statistic === 'mean') return histogram.sum / countOf(histogram)
  return quantile(histogram, statistic.quantile) ?? null
}

function counter(
  name: string,
  window: AppWindow,
  { sinceMs, untilMs }: Span,
  { process, source }: Selection,
): WindowValue {
  let sum = 0
  for (const cells of window.between(sinceMs, untilMs)) {
    for (const cell of cells.counters.values()) {
      if (isOf(cell, name, process, source)) sum += cell.sum
    }
  }
  return { value: sum, count: Math.round(sum) }
}

function* gaugesIn(
  window: AppWindow,
  { sinceMs, untilMs }: Span,
  { process, source }: Selection,
  name: string,
): Generator<GaugeCell> {
  for (const cells of window.between(sinceMs, untilMs)) {
    for (const cell of cells.gauges.values()) if (isOf(cell, name, process, source)) yield cell
  }
}

function isOf(
  cell: { name: string; process: string; source: string },
  name: string,
  process: string | null,
  source: string | null,
): boolean {
  return (
    cell.name === name &&
    (process === null || cell.process === process) &&
    (source === null || cell.source === source)
  )
}

function gauge(statistic: GaugeStatistic, cells: Iterable<GaugeCell>): WindowValue {
  let [count, sum, min, max] = [0, 0, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]
  let last: GaugeCell | undefined
  for (const cell of cells) {
    count += cell.count
    sum += cell.sum
    min = Math.min(min, cell.min)
    max = Math.max(max, cell.max)
    const isNewer =
      last === undefined ||
      cell.lastMs > last.lastMs ||
      (cell.lastMs === last.lastMs && cell.last > last.last)
    if (isNewer) last = cell
  }
  if (last === undefined) return { value: null, count }
  return { value: { mean: sum / count, min, max, last: last.last }[statistic], count }
}

/** As shelf.memory has it: the fullest dyno against the quota. Of several processes the fullest. */
function memoryShare(window: AppWindow, span: Span, selection: Selection): WindowValue {
  const quotas = new Map<string, number>()
  for (const { process, max } of gaugesIn(window, span, selection, QUOTA)) {
    quotas.set(process, Math.max(max, quotas.get(process) ?? 0))
  }
  let count = 0
  let value: number | null = null
  for (const cell of gaugesIn(window, span, selection, MEMORY)) {
    const quota = quotas.get(cell.process) ?? 0
    if (quota <= 0) continue
    count += cell.count
    value = Math.max(value ?? 0, cell.max / quota)
  }
  return { value, count }
}
