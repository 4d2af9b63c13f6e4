/**
 * shelf.check_results and shelf.incidents: the records of check-results as rows, each once. Nothing
 * depends on them: they come when PostgreSQL is there.
 */
import type { Log, LogRecord } from '../broker/log.ts'
import type { CheckResult } from '../core/check-result.ts'
import type { Sql, Transaction } from '../db/client.ts'
import { parseCheckRecord } from './check-results.ts'
import { eachPartitionToCome, partitionsOf, patiently, pause } from './loop.ts'
import { CHECK_RESULTS } from './topics.ts'

/** How long a read waits for records. */
const IDLE_WAIT_MS = 10_000

/** Until a worker looks again at a partition that another one is at. */
const LEASED_PAUSE_MS = 250

/** Writes rows until `signal`. */
export async function persistCheckResults(log: Log, sql: Sql, signal: AbortSignal): Promise<void> {
  await eachPartitionToCome(
    'check rows',
    signal,
    async () => {
      const partitions = partitionsOf(await log.topics(), CHECK_RESULTS)
      // Where the topic was made anew with fewer: nobody goes on with these.
      await sql`delete from shelf.check_progress where partition >= ${partitions}`
      return partitions
    },
    (partition, stop) =>
      patiently(`check rows ${partition}`, stop, async (succeeded) => {
        while (!stop.aborted) {
          await sql`
            insert into shelf.check_progress (partition) values (${partition})
            on conflict do nothing`
          await persistStep(log, sql, partition, stop)
          succeeded()
        }
      }),
  )
}

async function persistStep(
  log: Log,
  sql: Sql,
  partition: number,
  signal: AbortSignal,
): Promise<void> {
  const [row] = await sql<{ next: number }[]>`
    select next_offset as next from shelf.check_progress where partition = ${partition}`
  const next = row?.next ?? 0
  const found = await log.read(CHECK_RESULTS, partition, next, { waitMs: IDLE_WAIT_MS, signal })
  const last = found.at(-1)
  if (last !== undefined) {
    const taken = await writeResults(sql, partition, next, found)
    if (!taken) await pause(LEASED_PAUSE_MS, signal)
  } else if ((await log.offsetAt(CHECK_RESULTS, partition, 'latest')) < next) {
    // The topic was made anew: rows that are there already stay as they are.
    await sql`
      update shelf.check_progress set next_offset = 0, updated_at = now(), decided_until = null
      where partition = ${partition}`
  }
}

/** @returns false where another worker is at the partition, or was */
async function writeResults(
  sql: Sql,
  partition: number,
  next: number,
  found: readonly LogRecord[],
): Promise<boolean> {
  return await sql.begin(async (transaction) => {
    const [row] = await transaction`
      select from shelf.check_progress
      where partition = ${partition} and next_offset = ${next} for update skip locked`
    if (row === undefined) return false
    let decidedUntil: string | undefined
    for (const record of found) {
      const result = parseCheckRecord(record)
      if (result?.kind === 'checkpoint') decidedUntil = laterOf(decidedUntil, result.until)
      // What stands still is no news.
      else if (result?.kind === 'change' || result?.kind === 'reminder') {
        await write(transaction, result)
      }
    }
    await transaction`
      update shelf.check_progress
      set next_offset = ${(found.at(-1)?.offset ?? next) + 1}, updated_at = now(),
        decided_until = greatest(decided_until, ${decidedUntil ?? null})
      where partition = ${partition}`
    return true
  })
}

/** Of two checkers one may be behind. */
const laterOf = (one: string | undefined, other: string): string =>
  one !== undefined && Date.parse(one) > Date.parse(other) ? one : other

/** Its repeats, written by several workers, fall away. */
async function write(sql: Transaction, result: CheckResult): Promise<void> {
  const row = {
    ...{ app: result.app, rule: result.rule, kind: result.kind, process: result.process },
    ...{ window_since: result.window.since, window_until: result.window.until },
    ...{ decided_at: result.at, rule_revision: result.ruleVersion, name: result.name },
    ...{ metric: result.metric, operator: result.operator, threshold: result.threshold },
    ...{ severity: result.severity, state: result.state, previous: result.previous },
    ...{ value: result.value, count: result.count, completeness: result.completeness },
    ...{ incident: result.incident, muted: result.muted },
  }
  const written = await sql`
    insert into shelf.check_results ${sql(row)} on conflict do nothing returning app`
  if (written.length > 0 && result.incident !== null) await writeIncident(sql, result)
}

/** The first result of an incident makes its row, each later one moves it. */
async function writeIncident(sql: Transaction, result: CheckResult): Promise<void> {
  const { app, incident, state, window, value, muted, saidAt } = result
  const row = {
    ...{ id: incident, app, rule: result.rule, name: result.name, process: result.process },
    ...{ metric: result.metric, operator: result.operator, threshold: result.threshold },
    ...{ severity: result.severity, state, since: window.since, started_at: result.startedAt },
    ...{ detected_at: result.at, said_at: saidAt, first_value: value, last_value: value, muted },
    ended_at: state === 'ok' ? window.until : null,
  }
  await sql`
    insert into shelf.incidents ${sql(row)}
    on conflict (app, id) do update set
      severity = excluded.severity, state = excluded.state, said_at = excluded.said_at,
      ended_at = excluded.ended_at, last_value = excluded.last_value, muted = excluded.muted,
      reminders = incidents.reminders + ${result.kind === 'reminder' ? 1 : 0}`
}
