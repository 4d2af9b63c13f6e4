/** The coarser tiers: marking what becomes stale, closing buckets, and making them from finer ones. */
import type { Cells } from '../core/cell.ts'
import type { Sql, Transaction } from './client.ts'
import { type Tier, timeToText } from './schema.ts'

/** From the finest on: each is made from the one before, the first from 1m. */
export const COARSER_TIERS = ['10m', '1h', '1d'] as const

export type CoarserTier = (typeof COARSER_TIERS)[number]

/** The tier whose rows hold a time (Unix ms), and where its bucket starts; undefined for none. */
export type PlaceOf = (timeMs: number) => { tier: Tier; bucketMs: number } | undefined

/**
 * Finds the finest tier that keeps a time. What it says stays true until the transaction ends:
 * nobody drops meanwhile.
 */
export async function holdTiers(sql: Transaction): Promise<PlaceOf> {
  const tiers = await sql<{ tier: Tier; stepMs: number; droppedMs: number | null }[]>`
    select tier, step_ms as "stepMs", dropped_ms as "droppedMs" from shelf.hold_tiers()`
  return (timeMs) => {
    const finest = tiers.find(({ droppedMs }) => droppedMs === null || droppedMs <= timeMs)
    if (finest === undefined) return undefined
    const { tier, stepMs } = finest
    return { tier, bucketMs: Math.floor(timeMs / stepMs) * stepMs }
  }
}

/**
 * Marks the closed buckets that these cells lie in. Called before their rows are written, in the
 * same transaction; live minutes lie in no closed bucket.
 */
export async function markDirty(sql: Transaction, cells: Cells): Promise<void> {
  const touched = new Map<string, { app: string; bucketMs: number }>()
  for (const kind of ['requests', 'ledger', 'gauges', 'counters', 'measures'] as const) {
    for (const { app, bucketMs } of cells[kind].values()) {
      touched.set(`${bucketMs}\n${app}`, { app, bucketMs })
    }
  }
  if (touched.size === 0) return
  const minutes = [...touched.values()]
  await sql`
    select shelf.mark_dirty(
      ${minutes.map(({ app }) => app)}::text[],
      ${minutes.map(({ bucketMs }) => timeToText(bucketMs))}::timestamptz[]
    )`
}

/**
 * Closes the buckets of a tier that end at `untilMs` (Unix ms) or before, as far as the finer tier
 * is closed, and marks what is to be made of them. Where another session is at it, nothing is done.
 * @throws PostgresError 55P03 where a writer keeps us waiting
 */
export async function closeTier(sql: Sql, tier: CoarserTier, untilMs: number): Promise<void> {
  await sql`select shelf.close_buckets(${tier}, ${timeToText(untilMs)})`
  await sql`select shelf.mark_closed(${tier})`
}

/**
 * Makes marked buckets of a tier again, at most `most`.
 * @returns how many; 0 where none is left that nobody else is at
 */
export async function redoTier(sql: Sql, tier: CoarserTier, most: number): Promise<number> {
  const [row] = await sql<{ redone: number }[]>`
    select shelf.redo_buckets(${tier}, ${most}) as redone`
  return row?.redone ?? 0
}

export interface TierWork {
  tier: CoarserTier
  /** Buckets, each of an app, that would be made. */
  buckets: number
  /** Where the tier would be closed; null where it has never been. */
  until: Date | null
}

/** What closing until `untilMs` (Unix ms) and redoing all would do, as things are now. */
export async function plannedWork(sql: Sql, untilMs: number | undefined): Promise<TierWork[]> {
  const until = untilMs === undefined ? '-infinity' : timeToText(untilMs)
  return await sql<TierWork[]>`
    with planned as (
      select tier, step, compacted_until as since,
        greatest(closed_until, date_bin(step, ${until}::text::timestamptz, '1970-01-01 00:00+00'))
          as until
      from shelf.tiers where tier <> '1m'
    )
    select
      p.tier,
      nullif(p.until, '-infinity') as until,
      (
        select count(*) from (
          select app, bucket from shelf.dirty d where d.tier = p.tier
          union
          -- The finer tiers are made first: what they will have counts as well.
          select b.app, date_bin(p.step, b.bucket, '1970-01-01 00:00+00')
          from planned f, shelf.buckets_within(f.tier, p.since, p.until) b
          where f.step <= p.step
        ) buckets
      ) as buckets
    from planned p order by p.step`
}

/** A partition that is further behind the first is not waited for: what it brings later is late. */
const BEHIND_MAX = '1 hour'

/**
 * The log time, Unix ms, up to which all partitions are in the rows, but for those that are quiet or
 * stuck, and never ahead of PostgreSQL's clock; undefined before the first record.
 */
export async function watermarkOf(sql: Sql): Promise<number | undefined> {
  const [row] = await sql<{ watermark: Date | null }[]>`
    select least(greatest(min(watermark), max(watermark) - ${BEHIND_MAX}::interval), now())
      as watermark
    from shelf.progress where watermark is not null having count(*) > 0`
  return row?.watermark?.getTime()
}

/** A transaction takes long, and others must not wait behind us. */
const LOCK_NOT_AVAILABLE = '55P03'

/** Does what may have to wait for others; false where they took longer than we may wait. */
export async function unlessBusy(work: () => Promise<unknown>): Promise<boolean> {
  try {
    await work()
    return true
  } catch (error) {
    const isBusy = error instanceof Error && 'code' in error && error.code === LOCK_NOT_AVAILABLE
    if (isBusy) return false
    throw error
  }
}
