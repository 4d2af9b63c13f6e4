/** What the ledger knows: how complete the numbers of each step are, what was lost, and since when. */
import type { Sql } from '../../db/client.ts'
import { bucketSeconds, type Span, times } from './span.ts'

/** Beyond it a list of losses helps nobody. */
const LOSSES_MAX = 200

export interface LedgerStep {
  bucket: number
  received: number
  /** Lost on the way to us (L10, L12, L13). */
  lostUpstream: number
  /** Bursts that our log lost, or that could not be decoded. */
  lostHere: number
  malformed: number
  /** Whether our own log lost, was replaced or grew then: nobody knows how much is missing. */
  isUnknown: boolean
  /** 0 to 1, as shelf.request_stats has it; null where nothing is known. */
  completeness: number | null
}

export async function readLedger(sql: Sql, span: Span): Promise<LedgerStep[]> {
  const { app } = span
  return await sql<LedgerStep[]>`
    select *, case when not "isUnknown" then
        (received - malformed)::float8 / nullif(received + "lostUpstream" + "lostHere", 0)
      end as completeness
    from (
      select
        ${bucketSeconds(sql)} as bucket,
        coalesce(sum(received - duplicates) filter (where app = ${app}), 0)::bigint as received,
        coalesce(sum(malformed) filter (where app = ${app}), 0)::bigint as malformed,
        coalesce(sum(lost_l10 + lost_l12 + lost_l13)
          filter (where app = ${app}), 0)::bigint as "lostUpstream",
        coalesce(sum(lost_log + dead_letters) filter (where app = ${app}), 0)::bigint as "lostHere",
        sum(case when app = '' then lost_log + log_replaced else 0 end + repartitioned) > 0
          as "isUnknown"
      from shelf.ledger_at(array[${app}, ''], ${times(sql, span)})
      group by 1
    ) steps
    order by bucket`
}

/** Minutes side by side in which something is missing. */
export interface Loss {
  /** Seconds since 1970: of the first minute, and of the end of the last. */
  since: number
  until: number
  lostUpstream: number
  lostHere: number
  malformed: number
  isUnknown: boolean
}

/** Joins steps in which something is missing; the newest 200. */
export function lossesOf(steps: readonly LedgerStep[], stepMs: number): Loss[] {
  const losses: Loss[] = []
  for (const { bucket, lostUpstream, lostHere, malformed, isUnknown } of steps) {
    if (lostUpstream + lostHere + malformed === 0 && !isUnknown) continue
    const before = losses.at(-1)
    const until = bucket + stepMs / 1000
    if (before !== undefined && before.until === bucket && before.isUnknown === isUnknown) {
      before.until = until
      before.lostUpstream += lostUpstream
      before.lostHere += lostHere
      before.malformed += malformed
    } else {
      losses.push({ since: bucket, until, lostUpstream, lostHere, malformed, isUnknown })
    }
  }
  return losses.slice(-LOSSES_MAX)
}

/** What is to be known of an app before it is looked at. */
export interface Facts {
  /** The database's clock, Unix ms: buckets are by the platform's, which is near it. */
  nowMs: number
  /** Whether a drain was issued for it, or a message came. */
  exists: boolean
  /** The end of the newest minute that a message is of, Unix ms; null: there was none. */
  lastAtMs: number | null
  /** Process types that were seen. */
  processes: string[]
  /** Tiers from the finest: step, and before when its rows are gone, ms; null: they are all there. */
  tiers: { stepMs: number; droppedUntilMs: number | null }[]
}

export async function readFacts(sql: Sql, app: string): Promise<Facts> {
  const [facts] = await sql<Facts[]>`
    select
      (extract(epoch from clock_timestamp()) * 1000)::float8 as "nowMs",
      "lastAtMs" is not null or exists (select from shelf.drains d where d.app = ${app}) as exists,
      "lastAtMs",
      (
        select coalesce(array_agg(distinct shelf.process_of(d.dyno)), '{}')
        from shelf.dynos d where d.app = ${app}
      ) as processes,
      (
        select jsonb_agg(jsonb_build_object(
          'stepMs', (extract(epoch from step) * 1000)::float8,
          'droppedUntilMs', case when isfinite(dropped_until) then
            (extract(epoch from dropped_until) * 1000)::float8 end
        ) order by step)
        from shelf.tiers
      ) as tiers
    from (
      select (extract(epoch from greatest(
        (select bucket + interval '1 minute' from shelf.ledger_1m
          where app = ${app} and received > 0 order by bucket desc limit 1),
        (select bucket + interval '10 minutes' from shelf.ledger_10m
          where app = ${app} and received > 0 order by bucket desc limit 1),
        (select bucket + interval '1 day' from shelf.ledger_1d
          where app = ${app} and received > 0 order by bucket desc limit 1)
      )) * 1000)::float8 as "lastAtMs"
    ) newest`
  if (facts === undefined) throw new Error('PostgreSQL answered nothing')
  return facts
}

/** How fine the rows are that far back, ms. */
export function finestStepMs({ tiers }: Facts, sinceMs: number): number {
  const kept = tiers.find(
    ({ droppedUntilMs }) => droppedUntilMs === null || droppedUntilMs <= sinceMs,
  )
  return kept?.stepMs ?? tiers.at(-1)?.stepMs ?? 60_000
}
