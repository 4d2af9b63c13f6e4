/** Requests of an app by step, all process types together or one: percentiles of merged histograms. */
import type { Sql } from '../../db/client.ts'
import { bucketSeconds, ofProcess, type Span, times } from './span.ts'

/** Bins of a row of the heat map: a quarter of a doubling. */
const HEAT_BINS = 8

/** One step. Times of service, ms, null where no request had one. */
export interface RequestStep {
  /** Seconds since 1970. */
  bucket: number
  requests: number
  ok: number
  failed: number
  /** How many had a service time: what the percentiles are of. */
  timed: number
  p50: number | null
  p95: number | null
  p99: number | null
  max: number | null
  mean: number | null
  status: Record<string, number>
  /** Row of the heat map and count, by turns, ascending. -1: 0 ms. */
  heat: number[]
}

interface Row extends Omit<RequestStep, 'heat' | 'timed'> {
  zero: number
  bins: number[] | null
  seen: number[] | null
}

/** @param process of this type only; undefined: of all, merged */
export async function readRequests(
  sql: Sql,
  span: Span,
  process: string | undefined,
): Promise<RequestStep[]> {
  const rows = await sql<Row[]>`
    with groups as (
      select
        ${bucketSeconds(sql)} as bucket,
        sum(requests)::bigint as requests,
        array_agg(status) as statuses,
        array_agg(service) as services
      from shelf.requests_at(array[${span.app}], ${times(sql, span)})
      where ${ofProcess(sql, process)}
      group by 1
    )
    select
      g.bucket, g.requests, codes.ok, g.requests - codes.ok as failed, codes.status,
      shelf.value_at_rank(ceil(0.50 * n), n, zero, bins, seen, t.min, t.max) as p50,
      shelf.value_at_rank(ceil(0.95 * n), n, zero, bins, seen, t.min, t.max) as p95,
      shelf.value_at_rank(ceil(0.99 * n), n, zero, bins, seen, t.min, t.max) as p99,
      t.max, t.sum / nullif(n, 0) as mean, zero, bins, seen
    from groups g
    cross join lateral (
      select
        coalesce(jsonb_object_agg(code, n), '{}') as status,
        coalesce(sum(n) filter (where code::integer < 500), 0)::bigint as ok
      from (
        select code, sum(n::bigint)::bigint as n
        from unnest(g.statuses) status, jsonb_each_text(status) counts (code, n)
        group by code
      ) merged
    ) codes
    cross join lateral (
      select sum((h).zero)::bigint as zero, sum((h).sum) as sum, min((h).min) as min,
        max((h).max) as max
      from unnest(g.services) h
    ) t
    cross join lateral (
      select array_agg(bin) as bins, array_agg(seen) as seen, coalesce(max(seen), zero) as n
      from (
        select bin, zero + sum(n) over (order by bin rows unbounded preceding) as seen
        from (
          select b.bin, sum(b.n)::double precision as n
          from unnest(g.services) h, unnest((h).bins, (h).counts) b (bin, n)
          group by b.bin
        ) merged
        order by bin
      ) cumulated
    ) ranks
    order by g.bucket`
  return rows.map(({ zero, bins, seen, ...row }) => ({
    ...row,
    timed: seen?.at(-1) ?? zero,
    heat: heatOf(zero, bins ?? [], seen ?? []),
  }))
}

function heatOf(zero: number, bins: readonly number[], seen: readonly number[]): number[] {
  const heat = zero > 0 ? [-1, zero] : []
  let row = -2
  let before = zero
  for (let i = 0; i < bins.length; i++) {
    // Below 1 ms nobody needs to tell: rows are whole numbers from 0 on.
    const at = Math.max(0, Math.floor((bins[i] ?? 0) / HEAT_BINS))
    const count = (seen[i] ?? 0) - before
    before = seen[i] ?? 0
    if (at === row) heat[heat.length - 1] = (heat.at(-1) ?? 0) + count
    else heat.push(at, count)
    row = at
  }
  return heat
}

/** All requests of a span in one. */
export interface Totals {
  requests: number
  failed: number
  timed: number
  p50: number | null
  p95: number | null
  p99: number | null
  max: number | null
  mean: number | null
  /** Row of the heat map and count, by turns, ascending. */
  heat: number[]
}

export async function readTotals(sql: Sql, span: Span): Promise<Totals> {
  const [row] = await sql<
    (Omit<Totals, 'heat'> & { zero: number; bins: number[]; counts: number[] })[]
  >`
    select r.requests, r.failed, s.count as timed, s.p50, s.p95, s.p99, s.max, s.mean,
      (r.service).zero as zero, (r.service).bins as bins, (r.service).counts::float8[] as counts
    from (
      select
        coalesce(sum(requests), 0)::bigint as requests,
        coalesce(sum(requests - (
          select coalesce(sum(n::bigint), 0)
          from jsonb_each_text(status) codes (code, n) where code::integer < 500
        )), 0)::bigint as failed,
        shelf.merge(service) as service
      from shelf.requests_at(array[${span.app}], ${times(sql, span)})
    ) r, shelf.summary(r.service) s`
  if (row === undefined) throw new Error('PostgreSQL answered nothing')
  const { zero, bins, counts, ...totals } = row
  let seen = zero
  const cumulated = counts.map((n) => {
    seen += n
    return seen
  })
  return { ...totals, heat: heatOf(zero, bins, cumulated) }
}
