/** Databases full of made-up apps, made by PostgreSQL itself: as large as they are to be measured. */
import type { Sql } from '../db/client.ts'

const TIERS = [
  { tier: '1m', step: '1 minute' },
  { tier: '10m', step: '10 minutes' },
  { tier: '1h', step: '1 hour' },
  { tier: '1d', step: '1 day' },
] as const

/** Bins of a histogram of a minute, an hour …: from 1 ms to some seconds. */
const BINS = { '1m': 60, '10m': 110, '1h': 160, '1d': 220 } as const

/** Compaction stands this far back. */
const BEHIND = '12 minutes'

export interface Size {
  apps: number
  /** How far back each tier has rows. */
  back: Record<'1m' | '10m' | '1h' | '1d', string>
}

export async function fillDatabase(sql: Sql, { apps, back }: Size): Promise<void> {
  await sql`set synchronous_commit = off`
  for (const { tier, step } of TIERS) {
    await sql`
      select shelf.make_partitions((now() - ${back[tier]}::interval)::date, (now() + interval '1 day')::date, ${tier})`
    const buckets = sql`
      from generate_series(1, ${apps}) n,
        generate_series(
          date_bin(${step}::interval, now() - ${back[tier]}::interval, '1970-01-01 00:00+00'),
          ${tier === '1m' ? sql`now()` : sql`date_bin(${step}::interval, now() - ${BEHIND}::interval, '1970-01-01 00:00+00') - ${step}::interval`},
          ${step}::interval) b (bucket)`
    const app = sql`'app-' || lpad(n::text, 5, '0')`
    const bins = BINS[tier]
    await sql`
      insert into shelf.${sql(`requests_${tier}`)} (app, process, bucket, requests, status, service)
      select ${app}, 'web', bucket, 5 * total, jsonb_build_object('200', 4 * total, '304', total - 1, '503', 1),
        row(0, bins, counts, 60.0 * total, 1, 4000 + n % 1000)::shelf.histogram
      from (
        select n, b.bucket, h.bins, h.counts, h.total
        ${buckets},
        lateral (
          select array_agg(bin order by bin) as bins, array_agg(c order by bin) as counts, sum(c)::bigint as total
          from (select 20 + (k * 320 / ${bins}::int) as bin, 1 + (k * 7 + n + extract(minute from b.bucket)::int) % 9 as c
            from generate_series(0, ${bins}::int - 1) k) cells
        ) h
      ) rows`
    await sql`
      insert into shelf.${sql(`ledger_${tier}`)} (app, bucket, received, kept)
      select ${app}, bucket, 1000, 1000 ${buckets}`
    await sql`
      insert into shelf.${sql(`gauges_${tier}`)} (app, process, name, bucket, count, sum, min, max, last, last_at)
      select ${app}, process, name, bucket, 6, 6 * 3e8, 2e8, 4e8, 3e8, bucket
      ${buckets}, unnest(array['web', 'worker']) process,
        unnest(array['memory_total', 'memory_rss', 'memory_swap', 'memory_quota', 'load_avg_1m']) name
      where bucket > now() - interval '26 hours'`
    await sql`
      insert into shelf.${sql(`counters_${tier}`)} (app, process, name, bucket, sum)
      select ${app}, 'web', code, bucket, 3
      ${buckets}, unnest(array['H12', 'R14', 'custom.jobs']) code
      where bucket > now() - interval '26 hours'`
  }
  await sql`
    insert into shelf.marker_lines (app, time, kind, text)
    select 'app-' || lpad(n::text, 5, '0'), now() - days * interval '1 day' - interval '1 hour', 'deploy', 'abc1234'
    from generate_series(1, ${apps}) n, generate_series(0, 9) days`
  await sql`
    update shelf.tiers set
      closed_until = date_bin(step, now() - ${BEHIND}::interval, '1970-01-01 00:00+00'),
      compacted_until = date_bin(step, now() - ${BEHIND}::interval, '1970-01-01 00:00+00')
    where tier <> '1m'`
  await sql`analyze`
}
