/**
 * `shelf retain`: makes partitions ahead, and drops behind what is no longer kept. Any number of
 * these may run; one at a time does the work, and each may die at any time.
 */
import { connect, type Sql } from '../db/client.ts'
import { unlessBusy } from '../db/tiers.ts'
import { locateDatabase } from './locate.ts'
import { patiently, pause } from './loop.ts'
import { writeOut } from './ndjson.ts'
import { makePartitionsAhead, missingPartitions } from './partitions.ts'
import { type Program, say, TryAgainError } from './program.ts'
import { countOldAlerts, deleteOldAlerts } from './retain-alerts.ts'
import { countOldRows, deleteOldRows } from './retain-delete.ts'
import { dropTables, giveUp, oldTables } from './retain-drop.ts'
import { type Keep, keepSettings, storeKeep } from './retain-settings.ts'

/** Between two rounds within `shelf run`. */
const ROUND_MS = 3_600_000
/** And where others were in the way. */
const ROUND_MS_LEFT = 300_000

export const retain: Program = {
  usage: 'retain',
  summary: 'Makes partitions ahead, and drops what is no longer kept, once. For cron.',
  details: `
SHELF_KEEP_1M, SHELF_KEEP_10M, SHELF_KEEP_1H and SHELF_KEEP_1D say how long rows of minutes, of 10
minutes, hours and days are kept: "30 days", or "forever". What they say is noted in shelf.tiers, and
stays so where they are not set; there it begins with 7, 30 and 400 days, and forever. Markers and
dynos are kept as long as hours. SHELF_KEEP_ALERTS says it of incidents that are over, results of
check, deliveries, and rules and silences that were deleted or are over: 400 days where it is not set.
Rows are dropped by whole partitions (days of minutes, weeks of 10 minutes, months of hours, years
of days), and only once shelf compact has made the coarser tier from them.
Safe to run again after it was killed, and at once: who finds another at it leaves it to that one.
Exits with 75 where something is left to the next time: others read it, or compact has yet to come.
shelf run does the same each hour.`,
  options: {
    'dry-run': { type: 'boolean', help: 'print what would be made, dropped and deleted' },
  },
  async run({ flags }, signal) {
    const keep = keepSettings(process.env)
    const url = locateDatabase(process.env)
    if (flags['dry-run'] === true) await writeOut(await plannedLines(url, keep))
    else await retainNow(url, keep, signal)
  },
}

async function retainNow(databaseUrl: string, keep: Keep, signal: AbortSignal): Promise<void> {
  const done = await retainOnce(databaseUrl, 'shelf retain', keep, signal)
  if (done === 'not ours') say('another session is at it')
  if (done === 'in part') throw new TryAgainError('not all is done: the next run tries again')
}

/** Retains again and again until `signal`, whatever fails. */
export async function retainForever(
  databaseUrl: string,
  keep: Keep,
  signal: AbortSignal,
): Promise<void> {
  await patiently('retain', signal, async (succeeded) => {
    while (!signal.aborted) {
      const done = await retainOnce(databaseUrl, 'shelf run retain', keep, signal)
      succeeded()
      await pause(done === 'in part' ? ROUND_MS_LEFT : ROUND_MS, signal)
    }
  })
}

/**
 * Does what is due, and says on stderr what that was. On a connection of its own: the lock is its
 * session's, and ends with it.
 * @returns 'in part' where others are in the way, 'not ours' where another session does it
 * @throws UsageError where settings do not fit each other
 */
async function retainOnce(
  databaseUrl: string,
  name: string,
  keep: Keep,
  signal: AbortSignal,
): Promise<'all' | 'in part' | 'not ours'> {
  const sql = connect(databaseUrl, { max: 1, settings: { application_name: name } })
  try {
    const [lock] = await sql<{ isOurs: boolean }[]>`
      select pg_try_advisory_lock(hashtextextended('shelf.retain', 0)) as "isOurs"`
    if (lock?.isOurs !== true) return 'not ours'
    await sql.begin((transaction) => storeKeep(transaction, keep))
    return (await isAllDone(sql, keep, signal)) ? 'all' : 'in part'
  } finally {
    await sql.end({ timeout: 5 })
  }
}

/** What a run would do: one line each of `make`, `drop` and `delete`. Changes nothing. */
async function plannedLines(databaseUrl: string, keep: Keep): Promise<string> {
  const sql = connect(databaseUrl, { max: 1, settings: { application_name: 'shelf retain' } })
  try {
    let lines: string[] = []
    const undo = new Error('undo')
    const planned = sql.begin(async (transaction) => {
      await storeKeep(transaction, keep)
      const made = await missingPartitions(transaction)
      const dropped = (await oldTables(transaction)).filter(({ mayGo }) => mayGo)
      const deleted = [
        ...(await countOldRows(transaction)),
        ...(await countOldAlerts(transaction, keep.alerts)),
      ]
      lines = [
        ...made.map(({ name }) => `make ${name}\n`),
        ...dropped.map(
          ({ name, rows, bytes }) => `drop ${name} ~${rows ?? '?'} rows ${bytes} bytes\n`,
        ),
        ...deleted.map(({ table, rows }) => `delete ${table} ${rows} rows\n`),
      ]
      throw undo
    })
    await planned.catch((error) => {
      if (error !== undo) throw error
    })
    return lines.join('')
  } finally {
    await sql.end({ timeout: 5 })
  }
}

async function isAllDone(sql: Sql, keep: Keep, signal: AbortSignal): Promise<boolean> {
  const hasMoved = await unlessBusy(() => giveUp(sql))
  let made = 0
  const isMade = await unlessBusy(async () => {
    made = await makePartitionsAhead(sql)
  })
  const { dropped, left } = await dropTables(sql, signal)
  const rows = await deleteOldRows(sql, signal)
  const deleted = rows + (await deleteOldAlerts(sql, keep.alerts, signal))
  const stale = (await oldTables(sql)).filter(({ mayGo }) => !mayGo)

  if (made + dropped.length + deleted > 0) {
    say(`retain: ${made} tables made, ${dropped.length} dropped, ${deleted} rows deleted`)
  }
  if (!isMade) say('retain: others write or read for too long: not all partitions are made')
  if (!hasMoved) say('retain: a transaction that writes rows takes too long: nothing is given up')
  if (left.length > 0) say(`retain: others read for too long: not dropped, ${listOf(left)}`)
  if (stale.length > 0) {
    const names = stale.map(({ name }) => name)
    say(`retain: not dropped before shelf compact has made coarser rows of it, ${listOf(names)}`)
  }
  return isMade && hasMoved && !signal.aborted && left.length + stale.length === 0
}

/** A few names: a line is for people. */
function listOf(names: readonly string[]): string {
  const more = names.length > 5 ? ` and ${names.length - 5} more` : ''
  return `${names.slice(0, 5).join(', ')}${more}`
}
