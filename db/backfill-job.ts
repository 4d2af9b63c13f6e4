/** The one backfill that there may be: what it was asked for, and how far it came. */
import { connect, type Sql, type Transaction } from './client.ts'
import { timeToText } from './schema.ts'
import { unlessBusy } from './tiers.ts'

/** A session that has ended is gone from the server within this. */
const LOCK_WAIT_MS = 2000

/** Tables that are emptied together, at the beginning and at the end. */
const TABLES = [
  'counters_staged',
  'gauges_staged',
  'histograms_staged',
  'ledger_staged',
  'requests_staged',
  'marker_lines_staged',
  'dynos_staged',
  'backfill',
  'backfill_progress',
]

export interface Job {
  /** Which process is at it. */
  run: string
  /** What it was called with. */
  arguments: string
  /** Unix ms, of whole buckets. */
  sinceMs: number
  untilMs: number
  /** Before it the rows are replaced, Unix ms. */
  doneUntilMs: number
}

/** A place in raw, as in shelf.progress. */
interface Place {
  epoch: number
  from: number
  part: number
}

/** The work of this process is not there any more: PostgreSQL crashed, or another one took it up. */
export class JobGoneError extends Error {
  override name = 'JobGoneError'
}

/**
 * Takes the lock that the one at work holds, on a connection of its own, which nobody asks for
 * anything else: so it is not closed for being idle or old. It waits a moment for it: the server
 * takes as long to notice that the session of one that has ended is gone.
 * @returns what gives it back, also where the server is gone; undefined where another session has it
 */
export async function lockBackfill(
  databaseUrl: string,
): Promise<(() => Promise<void>) | undefined> {
  const settings = { application_name: 'shelf backfill lock', lock_timeout: `${LOCK_WAIT_MS}ms` }
  const sql = connect(databaseUrl, { max: 1, settings })
  let session: Awaited<ReturnType<Sql['reserve']>> | undefined
  const unlock = async () => {
    // A reserved connection would not end by itself.
    session?.release()
    await sql.end({ timeout: 1 })
  }
  try {
    session = await sql.reserve()
    const waiting = session`select pg_advisory_lock(hashtextextended('shelf.backfill', 0))`
    if (await unlessBusy(() => waiting)) return unlock
  } catch (error) {
    await unlock()
    throw error
  }
  await unlock()
  return undefined
}

export async function findJob(sql: Sql): Promise<Job | undefined> {
  const [row] = await sql<Job[]>`
    select run, arguments, (extract(epoch from since) * 1000)::float8 as "sinceMs",
      (extract(epoch from until) * 1000)::float8 as "untilMs",
      (extract(epoch from done_until) * 1000)::float8 as "doneUntilMs"
    from shelf.backfill`
  return row
}

/** Goes on with what another process began; if that is still alive, it is stopped by this. */
export async function takeOver(sql: Sql, run: string): Promise<void> {
  await sql`update shelf.backfill set run = ${run}`
}

/** Throws away what was staged before. `places` are those at which the scan of partitions begins. */
export async function startJob(
  sql: Sql,
  job: Job,
  places: ReadonlyMap<number, Place>,
): Promise<void> {
  await sql.begin(async (transaction) => {
    await clear(transaction)
    await transaction`
      insert into shelf.backfill (run, arguments, since, until, done_until) values
        (${job.run}, ${job.arguments}, ${timeToText(job.sinceMs)}, ${timeToText(job.untilMs)},
          ${timeToText(job.doneUntilMs)})`
    for (const [partition, place] of places) await moveStaged(transaction, partition, place)
  })
}

/** Ends the job, and throws away what was staged. */
export async function clear(sql: Sql | Transaction): Promise<void> {
  await sql.unsafe(`truncate ${TABLES.map((name) => `shelf.${name}`).join()}`)
}

/**
 * To be called first in each transaction of the job: until it ends, no other process takes it over.
 * @throws JobGoneError
 */
export async function holdJob(sql: Transaction, run: string): Promise<void> {
  const found = await sql`select from shelf.backfill where run = ${run} for share`
  if (found.length > 0) return
  throw new JobGoneError(
    'what was staged is gone: PostgreSQL crashed, or another backfill took it up',
  )
}

export async function moveDone(sql: Transaction, run: string, doneUntilMs: number): Promise<void> {
  const moved = await sql`
    update shelf.backfill set done_until = ${timeToText(doneUntilMs)} where run = ${run} returning 1`
  if (moved.length === 0) throw new JobGoneError('another backfill took it up')
}

/** The place up to which a partition is staged; nobody else moves it until the transaction ends. */
export async function lockStaged(sql: Transaction, partition: number): Promise<Place | undefined> {
  const [row] = await sql<Place[]>`
    select epoch, next_from as "from", next_part as part from shelf.backfill_progress
    where partition = ${partition} for update`
  return row
}

/** What is staged is new to PostgreSQL: it is to know how much it is. */
export async function analyzeStaged(sql: Sql): Promise<void> {
  const staged = TABLES.filter((name) => name.endsWith('_staged'))
  await sql.unsafe(`analyze ${staged.map((name) => `shelf.${name}`).join()}`)
}

export async function stagedPlaces(sql: Sql): Promise<Map<number, Place>> {
  const rows = await sql<(Place & { partition: number })[]>`
    select partition, epoch, next_from as "from", next_part as part from shelf.backfill_progress`
  return new Map(rows.map(({ partition, ...place }) => [partition, place]))
}

export async function moveStaged(sql: Transaction, partition: number, place: Place): Promise<void> {
  await sql`
    insert into shelf.backfill_progress (partition, epoch, next_from, next_part)
    values (${partition}, ${place.epoch}, ${place.from}, ${place.part})
    on conflict (partition) do update set epoch = excluded.epoch, next_from = excluded.next_from,
      next_part = excluded.next_part`
}
