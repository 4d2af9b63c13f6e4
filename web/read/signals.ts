/** Errors, memory, load, and the metrics of languages, add-ons and the app itself, by step. */
import type { Sql } from '../../db/client.ts'
import { bucketSeconds, ofProcess, type Span, times } from './span.ts'

/** Charts beyond this are no help to anybody, and slow. */
const SERIES_MAX = 80

export interface ErrorStep {
  bucket: number
  code: string
  level: 'critical' | 'warning' | 'info'
  errors: number
}

/** The platform's errors; of requests that reached no process also where `process` is given. */
export async function readErrors(
  sql: Sql,
  span: Span,
  process: string | undefined,
): Promise<ErrorStep[]> {
  return await sql<ErrorStep[]>`
    select ${bucketSeconds(sql)} as bucket, code, level, sum(errors)::bigint as errors
    from shelf.errors_at(array[${span.app}], ${times(sql, span)})
    where ${ofProcess(sql, process)} or process = ''
    group by 1, 2, 3 order by 2, 1`
}

/** A gauge of a process type, over all samples of its dynos, by the steps that have any. */
export interface GaugeSeries {
  process: string
  name: string
  /** Seconds since 1970, ascending; the others are along these. */
  buckets: number[]
  means: number[]
  highs: number[]
}

/** The platform's gauges of these names. */
export async function readGauges(
  sql: Sql,
  span: Span,
  names: readonly string[],
  process: string | undefined,
): Promise<GaugeSeries[]> {
  // JSON, as it is read far faster than as many rows.
  return await sql<GaugeSeries[]>`
    select process, name, json_agg(${bucketSeconds(sql)} order by bucket) as buckets,
      json_agg(sum / count order by bucket) as means, json_agg(max order by bucket) as highs
    from shelf.gauges_at(array[${span.app}], ${[...names]}::text[], ${times(sql, span)})
    where source = '' and ${ofProcess(sql, process)}
    group by process, name order by process, name`
}

/** A metric of a language runtime, an add-on or the app itself. */
export interface Series {
  kind: 'gauge' | 'counter' | 'histogram'
  process: string
  name: string
  source: string
  /** Seconds since 1970, ascending. */
  buckets: number[]
  /** gauge: mean; counter: sum; histogram: p95. */
  values: number[]
  /** gauge: max; histogram: p99; counter: empty. */
  highs: number[]
}

/** All of them, by name; `isCut`: these are the first 80. */
export async function readSeries(
  sql: Sql,
  span: Span,
  process: string | undefined,
): Promise<{ series: Series[]; isCut: boolean }> {
  const app = sql`array[${span.app}], null::text[], ${times(sql, span)}`
  const found = await sql<Series[]>`
    select kind, process, name, source, array_agg(bucket order by bucket) as buckets,
      array_agg(value order by bucket) as values,
      coalesce(array_agg(high order by bucket) filter (where high is not null), '{}') as highs
    from (
      select 'gauge' as kind, process, name, source, ${bucketSeconds(sql)} as bucket,
        sum / count as value, max as high
      from shelf.gauges_at(${app})
      where name like '%.%' and ${ofProcess(sql, process)}
      union all
      select 'counter', process, name, source, ${bucketSeconds(sql)}, sum, null
      from shelf.counters_at(${app})
      where name like '%.%' and name not like 'exit.%' and ${ofProcess(sql, process)}
      union all
      select 'histogram', process, name, source, ${bucketSeconds(sql)}, s.p95, s.p99
      from shelf.histograms_at(${app}) h, shelf.summary(h.histogram) s
      where ${ofProcess(sql, process)}
    ) all_kinds
    group by 1, 2, 3, 4
    order by name, process, source, kind
    limit ${SERIES_MAX + 1}`
  return { series: found.slice(0, SERIES_MAX), isCut: found.length > SERIES_MAX }
}
