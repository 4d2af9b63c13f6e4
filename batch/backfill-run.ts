/** A backfill from its lock to its end, whatever the end is. */

import type { Log } from '../broker/log.ts'
import { addStagedDynos, type Changes, type Slice } from '../db/backfill-diff.ts'
import { clear, holdJob, type Job, JobGoneError, lockBackfill } from '../db/backfill-job.ts'
import { planSlices } from '../db/backfill-slices.ts'
import type { Sql } from '../db/client.ts'
import { jobOf } from './backfill-begin.ts'
import type { Call } from './backfill-call.ts'
import { lineOf, totalOf, wordsOf } from './backfill-lines.ts'
import { Progress } from './backfill-progress.ts'
import { Backfill, PIECES, type Pieces, TierGoneError, type Work } from './backfill-work.ts'
import { isPassing } from './loop.ts'
import { TryAgainError } from './program.ts'
import type { RawSource } from './raw-source.ts'

interface Asked {
  databaseUrl: string
  sql: Sql
  /** The live log. */
  log: Log
  source: RawSource
  call: Call
  /** Takes the lines of a dry run. */
  print(text: string): Promise<void>
  pieces?: Pieces
  signal: AbortSignal
}

interface WholeWork extends Work {
  isDry: boolean
  print: Asked['print']
}

/**
 * Does it, or goes on with it.
 * @throws TryAgainError where another one is at work, or where the same call goes on with this one
 */
export async function runBackfill(asked: Asked): Promise<void> {
  const { databaseUrl, sql, log, source, call, print, pieces = PIECES, signal } = asked
  let unlock: (() => Promise<void>) | undefined
  try {
    unlock = await lockBackfill(databaseUrl)
    if (unlock === undefined) throw new TryAgainError('another backfill is running')
    const job = await jobOf(sql, source, call)
    const { apps, isDry } = call
    const range = { sinceMs: job.doneUntilMs, untilMs: job.untilMs, apps: apps && new Set(apps) }
    const progress = new Progress()
    await doJob({
      ...{ sql, log, source, job, range, apps, progress, pieces },
      signal,
      isDry,
      print,
    })
  } catch (error) {
    const next = call.isDry ? 'start it again' : 'the same command goes on where it was'
    if (signal.aborted) throw new TryAgainError(`stopped: ${next}`)
    if (!isPassing(error) || !(error instanceof Error)) throw error
    throw new TryAgainError(`${error.message}: ${next}`)
  } finally {
    await unlock?.()
  }
}

/** All of it. What was staged is kept only where the same command can go on with it. */
async function doJob(work: WholeWork): Promise<void> {
  const { sql, job, progress, signal, isDry } = work
  try {
    await stageAndSwap(work)
  } catch (error) {
    progress.end()
    if (error instanceof JobGoneError) throw new TryAgainError(`${error.message}: start it again`)
    const isInterrupted = signal.aborted || isPassing(error) || error instanceof TryAgainError
    const goesOn = isInterrupted && !isDry && !(error instanceof TierGoneError)
    // What went wrong is what counts.
    if (!goesOn) await endJob(sql, job, false).catch(() => {})
    throw error
  }
}

async function stageAndSwap(work: WholeWork): Promise<void> {
  const { sql, job, apps, progress, pieces, isDry, print } = work
  const backfill = new Backfill(work)
  await backfill.stage()
  const slices = await planSlices(sql, job.doneUntilMs, job.untilMs, apps, pieces.rows)
  if (!slices.every(isWhole)) throw new TierGoneError()
  progress.start({ name: isDry ? 'compare' : 'replace', unit: 'slices' }, slices.length)
  for (const slice of slices) {
    if (isDry) {
      const rows = await backfill.diff(slice)
      if (rows.length > 0) {
        await print(rows.map((row) => `${JSON.stringify(lineOf(row))}\n`).join(''))
      }
    } else {
      await backfill.swap(slice)
    }
    progress.add('slices', 1)
  }
  const dynos = await endJob(sql, job, !isDry)
  const total = totalOf(backfill.changes)
  progress.say(`backfill: ${wordsOf(total, isDry)}`)
  if (apps !== undefined && isNothing(total)) {
    progress.say(`backfill: of ${apps.join(', ')} there is nothing in that time, in rows or log`)
  }
  if (dynos > 0) progress.say(`backfill: ${dynos} dynos were seen earlier or later than was known`)
}

const isNothing = ({ added, changed, removed, same }: Changes): boolean =>
  added + changed + removed + same === 0

const isWhole = ({ sinceMs, untilMs, stepMs }: Slice): boolean =>
  sinceMs % stepMs === 0 && untilMs % stepMs === 0

/** @returns how many rows of dynos changed */
function endJob(sql: Sql, { run }: Job, isDone: boolean): Promise<number> {
  return sql.begin(async (transaction) => {
    await holdJob(transaction, run)
    const dynos = isDone ? await addStagedDynos(transaction) : 0
    await clear(transaction)
    return dynos
  })
}
