/** Adds cells of metrics to the rows of tables: gauges, counters, histograms. */
import type { CounterCell, GaugeCell, MeasureCell, MetricKey } from '../core/cell.ts'
import { toSparse } from '../core/histogram.ts'
import type { Transaction } from './client.ts'
import { histogramToText, type Rows, timeToText } from './schema.ts'

/** Each row stands once in `rows`, as in the others. */
export async function mergeGauges(
  sql: Transaction,
  into: Rows,
  rows: readonly GaugeCell[],
): Promise<void> {
  await sql`
    insert into ${sql(`shelf.gauges_${into}`)} as gauges
      (app, process, name, source, bucket, count, sum, min, max, last, last_at)
    select * from unnest(
      ${keysOf(sql, rows)},
      ${rows.map(({ count }) => count)}::bigint[],
      ${rows.map(({ sum }) => sum)}::double precision[],
      ${rows.map(({ min }) => min)}::double precision[],
      ${rows.map(({ max }) => max)}::double precision[],
      ${rows.map(({ last }) => last)}::double precision[],
      ${rows.map(({ lastMs }) => timeToText(lastMs))}::timestamptz[]
    )
    on conflict (app, bucket, process, name, source) do update set
      count = gauges.count + excluded.count,
      sum = gauges.sum + excluded.sum,
      min = least(gauges.min, excluded.min),
      max = greatest(gauges.max, excluded.max),
      last = case
        when excluded.last_at > gauges.last_at then excluded.last
        when excluded.last_at < gauges.last_at then gauges.last
        else greatest(gauges.last, excluded.last)
      end,
      last_at = greatest(gauges.last_at, excluded.last_at)`
}

export async function mergeCounters(
  sql: Transaction,
  into: Rows,
  rows: readonly CounterCell[],
): Promise<void> {
  await sql`
    insert into ${sql(`shelf.counters_${into}`)} as counters (app, process, name, source, bucket, sum)
    select * from unnest(
      ${keysOf(sql, rows)},
      ${rows.map(({ sum }) => sum)}::double precision[]
    )
    on conflict (app, bucket, process, name, source) do update set
      sum = counters.sum + excluded.sum`
}

export async function mergeHistograms(
  sql: Transaction,
  into: Rows,
  rows: readonly MeasureCell[],
): Promise<void> {
  await sql`
    insert into ${sql(`shelf.histograms_${into}`)} as histograms (app, process, name, source, bucket, histogram)
    select app, process, name, source, bucket, histogram::shelf.histogram
    from unnest(
      ${keysOf(sql, rows)},
      ${rows.map(({ histogram }) => histogramToText(toSparse(histogram)))}::text[]
    ) as cells (app, process, name, source, bucket, histogram)
    on conflict (app, bucket, process, name, source) do update set
      histogram = shelf.merge(histograms.histogram, excluded.histogram)`
}

/** The five columns of the key, as arguments of unnest. */
function keysOf(sql: Transaction, rows: readonly MetricKey[]) {
  return sql`
    ${rows.map(({ app }) => app)}::text[],
    ${rows.map(({ process }) => process)}::text[],
    ${rows.map(({ name }) => name)}::text[],
    ${rows.map(({ source }) => source)}::text[],
    ${rows.map(({ bucketMs }) => timeToText(bucketMs))}::timestamptz[]`
}
