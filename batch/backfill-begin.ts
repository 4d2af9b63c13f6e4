/** Begins a backfill, or resumes the one that was interrupted. */
import { MINUTE_MS, minuteOf } from '../core/ledger.ts'
import type { Place } from '../core/place.ts'
import { findJob, type Job, startJob, takeOver } from '../db/backfill-job.ts'
import { wholeBuckets, zonesOf } from '../db/backfill-slices.ts'
import type { Sql } from '../db/client.ts'
import type { Call } from './backfill-call.ts'
import { AHEAD_MS, NotCoveredError, persistedPlaces, startPlace } from './backfill-cover.ts'
import { say } from './program.ts'
import type { RawSource } from './raw-source.ts'
import { RAW } from './topics.ts'

/** So far an age as 2h may have moved on since the backfill was interrupted that it is to resume. */
const RESUME_MS = 3_600_000

const iso = (timeMs: number): string => new Date(timeMs).toISOString()

/**
 * The job to do: the one that was interrupted, or a new one.
 * @throws Error where no tier keeps the range, or the source does not reach back to it
 */
export async function jobOf(sql: Sql, source: RawSource, call: Call): Promise<Job> {
  const run = crypto.randomUUID()
  const found = await findJob(sql)
  const isSame = found?.arguments === call.text && !call.isDry
  if (found !== undefined && isSame && Math.abs(found.sinceMs - call.sinceMs) <= RESUME_MS) {
    await takeOver(sql, run)
    const { sinceMs, untilMs, doneUntilMs } = found
    const done = doneUntilMs > sinceMs ? `, done until ${iso(doneUntilMs)}` : ''
    say(`backfill: resumes ${iso(sinceMs)} to ${iso(untilMs)}${done}`)
    return { ...found, run }
  }
  const range = wholeBuckets(await zonesOf(sql), call.sinceMs, call.untilMs)
  if (range === undefined) throw new Error('no tier keeps anything of this range any more')
  say(`backfill: ${iso(range.sinceMs)} to ${iso(range.untilMs)}`)
  const places = await coveredFrom(sql, source, range.sinceMs)
  if (found !== undefined) {
    say(
      `backfill: another one, ${found.arguments}, was interrupted: what it had staged is thrown away`,
    )
  }
  const job = { run, arguments: call.text, ...range, doneUntilMs: range.sinceMs }
  await startJob(sql, job, places)
  return job
}

/**
 * Where the scan of each partition begins.
 * @throws Error where the source does not reach back so far
 */
async function coveredFrom(
  sql: Sql,
  source: RawSource,
  sinceMs: number,
): Promise<Map<number, Place>> {
  const places = new Map<number, Place>()
  let reachMs = Number.NEGATIVE_INFINITY
  for (const [partition, progress] of await persistedPlaces(sql)) {
    try {
      const epochs = await source.epochs(partition)
      places.set(partition, await startPlace(epochs, partition, sinceMs, progress))
    } catch (error) {
      if (!(error instanceof NotCoveredError)) throw error
      reachMs = Math.max(reachMs, error.reachMs)
    }
  }
  if (reachMs === Number.NEGATIVE_INFINITY) return places
  const from = minuteOf(reachMs + AHEAD_MS) + MINUTE_MS
  throw new Error(
    `${RAW} begins at ${iso(reachMs)} only, and an hour before the range is needed: ` +
      `--since ${iso(from)} or later can be made again; what was archived, with --from archive`,
  )
}
