/**
 * Drops partitions that are no longer kept, in two steps: dropped_until moves first, so that who
 * looks from then on takes coarser rows; the tables go when nobody is left who looked before. Each
 * may be done again, and taken up by another session.
 */
import type { Sql, Transaction } from '../db/client.ts'
import { unlessBusy } from '../db/tiers.ts'
import { pause } from './loop.ts'

/** For so long others wait behind us, each time that we try to drop a table. */
const LOCK_TIMEOUT = '150ms'
/** After so long without a word from us, frozen or cut off, PostgreSQL gives our locks back. */
const SILENT_TIMEOUT = '5s'
/** Between two tries, and between two looks at who is left. */
const PAUSE_MS = 250
/** In all; then what is in the way is left to the next time. */
const PATIENCE_MS = 10_000

export interface OldTable {
  name: string
  /** About how many rows it has; null where that is not known. */
  rows: number | null
  bytes: number
  /** False where a coarser tier is yet to be made from it. */
  mayGo: boolean
}

/**
 * Moves dropped_until of all tiers as far as settings and coarser tiers allow.
 * @param at as if it were this time; else now, by the clock of PostgreSQL
 * @throws PostgresError 55P03 where a writer keeps us waiting
 */
export async function giveUp(sql: Sql, at?: Date): Promise<void> {
  await sql`select shelf.give_up(coalesce(${at?.toISOString() ?? null}::timestamptz, now()))`
}

/** The partitions that are kept for longer than was asked, the oldest first. */
export async function oldTables(sql: Sql | Transaction): Promise<OldTable[]> {
  return await sql<OldTable[]>`
    select p.name, p.rows, p.bytes,
      exists (select from shelf.partitions_before(l.tier, l.until) b where b.name = p.name)
        as "mayGo"
    from shelf.drop_limits() l, shelf.partitions_before(l.tier, greatest(l.asked, l.until)) p`
}

/**
 * Drops the partitions that lie before dropped_until.
 * @returns those dropped; and those left, as others are at them or looked before it moved
 */
export async function dropTables(
  sql: Sql,
  signal: AbortSignal,
): Promise<{ dropped: string[]; left: string[] }> {
  const tables = await sql<{ name: string }[]>`
    select p.name from shelf.tiers t, shelf.partitions_before(t.tier, t.dropped_until) p`
  const names = tables.map(({ name }) => name)
  const stop = AbortSignal.any([signal, AbortSignal.timeout(PATIENCE_MS)])
  if (names.length === 0 || !(await areReadersGone(sql, stop))) return { dropped: [], left: names }

  const dropped: string[] = []
  let left = names
  while (left.length > 0) {
    const busy: string[] = []
    for (const name of left) {
      if (await unlessBusy(() => dropTable(sql, name))) dropped.push(name)
      else busy.push(name)
    }
    left = busy
    if (stop.aborted) break
    if (left.length > 0) await pause(PAUSE_MS, stop)
  }
  return { dropped, left }
}

/**
 * Waits until all have a snapshot in which dropped_until has moved: who looked at it before, and
 * found the tables dropped, would see a hole.
 * @returns false where `stop` came first
 */
async function areReadersGone(sql: Sql, stop: AbortSignal): Promise<boolean> {
  // A snapshot in which all before this transaction have ended is new enough.
  const [row] = await sql<{ xid: string }[]>`select pg_current_xact_id()::xid::text as xid`
  for (;;) {
    const older = await sql`
      select from pg_stat_activity
      where datname = current_database() and pid <> pg_backend_pid() and usesysid is not null
        and age(backend_xmin) > age(${row?.xid ?? null}::xid)`
    if (older.length === 0) return true
    if (stop.aborted) return false
    await pause(PAUSE_MS, stop)
  }
}

async function dropTable(sql: Sql, name: string): Promise<void> {
  await sql.begin(async (transaction) => {
    await transaction`
      select set_config('lock_timeout', ${LOCK_TIMEOUT}, true),
        set_config('idle_in_transaction_session_timeout', ${SILENT_TIMEOUT}, true)`
    await transaction`drop table if exists ${transaction(`shelf.${name}`)}`
  })
}
