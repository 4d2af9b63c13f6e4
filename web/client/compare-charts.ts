/** What is compared, chart by chart: two times laid over each other, by what has passed of each. */
import type { Comparison, Period } from '../compare.ts'
import { count, ms, percent, short } from '../pages/format.ts'
import type { Column } from '../view.ts'
import { eachCell, HEAT_ROWS, heatBounds, lowestRows } from './heat.ts'

/** Names of rows, and a number of each for both times. */
interface Pair {
  names: string[]
  before: Column
  after: Column
}

export interface CompareChart {
  id: string
  title: string
  about: string
  /** What `names` are. */
  head: string
  x: number[]
  before: Column
  after: Column
  formatX: (x: number) => string
  isDistribution: boolean
  format: (y: number) => string
  table: Pair
}

export function chartsOf(comparison: Comparison): CompareChart[] {
  const perMinute = (value: number): string => count(Number(short(value).replaceAll(',', '')))
  return [
    over(comparison, 'p50', 'p50', 'service time', ms),
    over(comparison, 'p95', 'p95', 'service time', ms),
    over(comparison, 'throughput', 'Throughput', 'requests a minute', perMinute),
    over(comparison, 'errors', 'Errors', 'share that failed', percent),
    distribution(comparison),
  ]
}

function over(
  { elapsed, before, after }: Comparison,
  key: 'p50' | 'p95' | 'throughput' | 'errors',
  title: string,
  about: string,
  format: (y: number) => string,
): CompareChart {
  const pair = { before: before[key], after: after[key] }
  return {
    id: key,
    title,
    about,
    head: 'After',
    x: elapsed,
    ...pair,
    formatX: (x) => passed(x, elapsed.at(-1) ?? 0),
    isDistribution: false,
    format,
    table: { names: elapsed.map(exactly), ...pair },
  }
}

function passed(seconds: number, ofSeconds: number): string {
  if (ofSeconds >= 2 * 86_400) return `day ${Math.floor(seconds / 86_400) + 1}`
  return ofSeconds >= 4 * 3600 || seconds >= 3600
    ? `${Math.floor(seconds / 3600)} h`
    : `${Math.floor(seconds / 60)} min`
}

function exactly(seconds: number): string {
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60]
  const clock = `${hours % 24}:${String(minutes).padStart(2, '0')}`
  return hours < 24 ? clock : `${Math.floor(hours / 24)} d ${clock}`
}

/** Both distributions as shares, so that they compare where one has more requests. */
function distribution({ before, after }: Comparison): CompareChart {
  const heat = [before.totals.heat, after.totals.heat]
  const lowest = lowestRows(heat)
  const rows = heat.map((column) => sharesOf(column, lowest))
  const used = rows.flatMap((shares) => [...shares.keys()])
  const first = used.length === 0 ? 0 : Math.min(...used)
  const length = Math.max(...used, first + 8 * HEAT_ROWS) - first + 1
  const x = Array.from({ length }, (_, i) => first + i)
  const column = ({ totals }: Period, shares = new Map<number, number>()): Column =>
    x.map((row) => (totals.timed === 0 ? null : (shares.get(row) ?? 0)))
  return {
    id: 'distribution',
    title: 'Distribution',
    about: 'share of requests by response time',
    head: 'Response time',
    x,
    before: column(before, rows[0]),
    after: column(after, rows[1]),
    formatX: (row) => ms(heatBounds(Math.round(row))[0]),
    isDistribution: true,
    format: percent,
    table: byDoubling(x, column(before, rows[0]), column(after, rows[1])),
  }
}

/** By row of the heat map; that of a row which stands for several is spread over them. */
function sharesOf(column: readonly number[], lowest: (row: number) => number): Map<number, number> {
  let all = 0
  eachCell(column, (_row, n) => {
    all += n
  })
  const shares = new Map<number, number>()
  eachCell(column, (row, n) => {
    const rows = row - lowest(row) + 1
    for (let each = lowest(row); each <= row; each++) {
      shares.set(each, (shares.get(each) ?? 0) + n / all / rows)
    }
  })
  return shares
}

function byDoubling(x: readonly number[], before: Column, after: Column): Pair {
  const groups = [...Map.groupBy(x.keys(), (i) => Math.floor((x[i] ?? 0) / HEAT_ROWS))]
  const sums = (column: Column): Column =>
    groups.map(([, places]) =>
      places.reduce<number | null>((sum, i) => {
        const share = column[i] ?? null
        return share === null ? sum : (sum ?? 0) + share
      }, null),
    )
  const names = groups.map(([group]) => {
    const to = ms(heatBounds((group + 1) * HEAT_ROWS)[0])
    return group === 0 ? `up to ${to}` : `${ms(heatBounds(group * HEAT_ROWS)[0])} – ${to}`
  })
  return { names, before: sums(before), after: sums(after) }
}
