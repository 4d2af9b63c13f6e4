/**
 * `shelf compact`: makes the coarser tiers from the finer ones. What is done lies in PostgreSQL,
 * piece by piece: any number of these share the work, and each may die at any time.
 */
import { connect, type Sql } from '../db/client.ts'
import {
  COARSER_TIERS,
  closeTier,
  plannedWork,
  redoTier,
  type TierWork,
  unlessBusy,
  watermarkOf,
} from '../db/tiers.ts'
import { locateDatabase } from './locate.ts'
import { patiently, pause } from './loop.ts'
import { writeOut } from './ndjson.ts'
import { makePartitionsAhead } from './partitions.ts'
import { type Program, say, TryAgainError } from './program.ts'

/** Minutes after their end: most of what is late by then is late by seconds, so little is redone. */
const GRACE_MS = 120_000
/** Buckets a transaction: about a second's work, for which a writer of the same buckets waits. */
const BUCKETS_MAX = 500
/** Between two rounds within `shelf run`. */
const ROUND_MS = 60_000
const BUSY = 'a transaction that writes rows takes too long: not all is closed'

export const compact: Program = {
  usage: 'compact',
  summary: 'Makes the tiers of 10 minutes, hours and days from the minutes, once. For cron.',
  details: `
Safe to run twice, at the same time, and again after it was killed. shelf run does the same each
minute. What comes late is marked, and made again in the next run.`,
  options: {
    'dry-run': { type: 'boolean', help: 'print what would be made: tier, buckets, until' },
  },
  async run({ flags }, signal) {
    const settings = { application_name: 'shelf compact' }
    const sql = connect(locateDatabase(process.env), { max: 1, settings })
    try {
      if (flags['dry-run'] === true) {
        const work = await plannedWork(sql, await horizonOf(sql))
        await writeOut(work.map(lineOf).join(''))
        return
      }
      const { made, isBusy } = await compactTiers(sql, signal)
      say(`${made} buckets made`)
      if (signal.aborted) throw new TryAgainError('stopped: the next run goes on')
      if (isBusy) throw new TryAgainError(BUSY)
    } finally {
      await sql.end({ timeout: 5 })
    }
  },
}

/**
 * Compacts again and again until `signal`, whatever fails. On a connection of its own: writers do
 * not wait for one.
 */
export async function compactForever(databaseUrl: string, signal: AbortSignal): Promise<void> {
  const sql = connect(databaseUrl, { max: 1, settings: { application_name: 'shelf run compact' } })
  try {
    await patiently('compact', signal, async (succeeded) => {
      while (!signal.aborted) {
        const { isBusy } = await compactTiers(sql, signal)
        if (isBusy) say(`compact: ${BUSY}`)
        succeeded()
        await pause(ROUND_MS, signal)
      }
    })
  } finally {
    await sql.end({ timeout: 5 })
  }
}

/**
 * Closes what the watermark allows, and makes all that is marked, the finest tier first.
 * @returns how many buckets were made, each of an app and a tier; and whether a writer kept it from
 *   closing more
 */
export async function compactTiers(
  sql: Sql,
  signal: AbortSignal,
): Promise<{ made: number; isBusy: boolean }> {
  const horizonMs = await horizonOf(sql)
  let made = 0
  // Where nobody retains, rows that are made here would stand in default partitions.
  let isBusy = !(await unlessBusy(() => makePartitionsAhead(sql)))
  for (const tier of COARSER_TIERS) {
    if (horizonMs !== undefined) {
      const isClosed = await unlessBusy(() => closeTier(sql, tier, horizonMs))
      if (!isClosed) isBusy = true
    }
    while (!signal.aborted) {
      const redone = await redoTier(sql, tier, BUCKETS_MAX)
      if (redone === 0) break
      made += redone
    }
  }
  return { made, isBusy }
}

async function horizonOf(sql: Sql): Promise<number | undefined> {
  const watermarkMs = await watermarkOf(sql)
  return watermarkMs === undefined ? undefined : watermarkMs - GRACE_MS
}

function lineOf({ tier, buckets, until }: TierWork): string {
  return `${tier} ${buckets} buckets until ${until?.toISOString() ?? 'the first is closed'}\n`
}
