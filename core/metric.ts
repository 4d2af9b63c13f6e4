/** The metrics that a rule may watch, as they are written: `p95`, `H12`, `gauge:redis.memory:max`. */

/** What a distribution is asked for: a quantile from 0 to 1, or its maximum or mean. */
export type Statistic = { quantile: number } | 'max' | 'mean'
export type GaugeStatistic = 'mean' | 'min' | 'max' | 'last'

export type Metric =
  | { kind: 'service'; statistic: Statistic }
  | { kind: 'error-rate' | 'throughput' | 'memory' | 'no-data' | 'completeness' }
  | { kind: 'gauge'; name: string; statistic: GaugeStatistic }
  | { kind: 'counter'; name: string }
  | { kind: 'histogram'; name: string; statistic: Statistic }

export const METRIC_HELP =
  'a metric is p50, p95, p99, max, mean, error-rate, throughput, memory, swap, load, no-data, ' +
  'completeness, a code such as H12, gauge:NAME[:mean|min|max|last], counter:NAME, ' +
  'or histogram:NAME:p95|max|mean'

const GAUGE = /^gauge:([^\s:](?:[^\s]*?[^\s:])??)(?::(mean|min|max|last))?$/
const COUNTER = /^counter:([^\s:][^\s]*)$/
const HISTOGRAM = /^histogram:([^\s:][^\s]*):(p\d{1,2}(?:\.\d{1,3})?|max|mean)$/
const CODE = /^[HRL]\d{2}$/

function parseStatistic(text: string): Statistic | undefined {
  if (text === 'max' || text === 'mean') return text
  const [, percent] = /^p(\d{1,2}(?:\.\d{1,3})?)$/.exec(text) ?? []
  return percent === undefined ? undefined : { quantile: Number(percent) / 100 }
}

/** What a text names; undefined for what is no metric. */
export function parseMetric(text: string): Metric | undefined {
  switch (text) {
    case 'error-rate':
    case 'throughput':
    case 'memory':
    case 'no-data':
    case 'completeness':
      return { kind: text }
    case 'swap':
      return { kind: 'gauge', name: 'memory_swap', statistic: 'max' }
    case 'load':
      return { kind: 'gauge', name: 'load_avg_1m', statistic: 'mean' }
  }
  const statistic = parseStatistic(text)
  if (statistic !== undefined) return { kind: 'service', statistic }
  if (CODE.test(text)) return { kind: 'counter', name: text }
  const [, counter] = COUNTER.exec(text) ?? []
  if (counter !== undefined) return { kind: 'counter', name: counter }
  const [, gauge, how = 'mean'] = GAUGE.exec(text) ?? []
  if (gauge !== undefined) {
    return { kind: 'gauge', name: gauge, statistic: how as GaugeStatistic }
  }
  const [, histogram, what = ''] = HISTOGRAM.exec(text) ?? []
  const asked = parseStatistic(what)
  if (histogram === undefined || asked === undefined) return undefined
  return { kind: 'histogram', name: histogram, statistic: asked }
}

/** The unit of a metric's values, for people; empty where there is none or nobody knows. */
export function unitOf(metric: Metric): 'ms' | 'share' | 'a minute' | 'messages' | 'bytes' | '' {
  switch (metric.kind) {
    case 'service':
      return 'ms'
    case 'error-rate':
    case 'memory':
    case 'completeness':
      return 'share'
    case 'throughput':
      return 'a minute'
    case 'no-data':
      return 'messages'
    case 'gauge':
      return metric.name.startsWith('memory_') ? 'bytes' : ''
    default:
      return ''
  }
}
