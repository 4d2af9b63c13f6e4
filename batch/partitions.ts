/** Sees to it that rows find a partition of their own. */
import type { AggregateRecord } from '../core/aggregate-record.ts'
import type { Sql, Transaction } from '../db/client.ts'
import type { Tier } from '../db/schema.ts'

const DAY_MS = 86_400_000

/**
 * Days back from today that get a partition of their own as records come: the 7 days that 1m is
 * kept, and the one in which they end. What is older stands in the default partition, or in a
 * coarser tier, until makePartitionsAhead looks there.
 */
const DAYS_BACK = 8

/** Databases differ, days do not: what this process has seen made. */
const made = new WeakMap<Sql, Set<number>>()

/** Makes the days of the 1m tables which records touch. */
export async function makePartitions(sql: Sql, records: readonly AggregateRecord[]): Promise<void> {
  const known = made.get(sql) ?? new Set<number>()
  made.set(sql, known)
  const today = Math.floor(Date.now() / DAY_MS)
  const buckets = new Set<string>()
  for (const { cells, ledger } of records) {
    for (const cell of cells) if ('bucket' in cell) buckets.add(cell.bucket)
    for (const { bucket } of ledger) buckets.add(bucket)
  }
  for (const bucket of buckets) {
    const day = Math.floor(Date.parse(bucket) / DAY_MS)
    if (day < today - DAYS_BACK || day > today + 1 || known.has(day)) continue
    await sql`select shelf.make_partitions(${dateOf(day)}::date, ${dateOf(day + 1)}::date)`
    known.add(day)
  }
}

const dateOf = (day: number): string => new Date(day * DAY_MS).toISOString().slice(0, 10)

export interface MissingPartition {
  tier: Tier
  /** The day on which it starts: YYYY-MM-DD, UTC. */
  since: string
  /** Of one of its tables. */
  name: string
}

/** Partitions of all tiers that are due soon, or have rows in a default partition by now. */
export async function missingPartitions(sql: Sql | Transaction): Promise<MissingPartition[]> {
  return await sql<MissingPartition[]>`
    select tier, since::text, name from shelf.missing_partitions() order by since, name`
}

/**
 * Makes partitions of all tiers for the days to come, and for rows that stand in a default
 * partition. Rows are right without, but slow to find and to drop.
 * @returns how many tables were made
 * @throws PostgresError 55P03 where a writer or a reader keeps us waiting
 */
export async function makePartitionsAhead(sql: Sql): Promise<number> {
  const missing = await missingPartitions(sql)
  const starts = new Map(missing.map(({ tier, since }) => [`${tier} ${since}`, { tier, since }]))
  let made = 0
  for (const { tier, since } of starts.values()) {
    const tables = await sql.begin(async (transaction) => {
      // Writers wait behind us while we wait for one that hangs; and for us, should we fall silent.
      await transaction`
        select set_config('lock_timeout', '1s', true),
          set_config('idle_in_transaction_session_timeout', '5s', true)`
      const [row] = await transaction<{ tables: number }[]>`
        select shelf.make_partitions(${since}::date, ${since}::date + 1, ${tier}) as tables`
      return row?.tables ?? 0
    })
    made += tables
  }
  return made
}
