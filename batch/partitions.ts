/** Sees to it that the days which records touch have their partitions in the 1m tables. */
import type { AggregateRecord } from '../core/aggregate-record.ts'
import type { Sql } from '../db/client.ts'

const DAY_MS = 86_400_000

/**
 * Days back from today that get a partition of their own: the 7 days that 1m is kept, and the one
 * in which they end. What is older stands in the default partition.
 */
const DAYS_BACK = 8

/** Databases differ, days do not: what this process has seen made. */
const made = new WeakMap<Sql, Set<number>>()

export async function makePartitions(sql: Sql, records: readonly AggregateRecord[]): Promise<void> {
  const known = made.get(sql) ?? new Set<number>()
  made.set(sql, known)
  const today = Math.floor(Date.now() / DAY_MS)
  const missing = new Set<number>()
  for (const { cells, ledger } of records) {
    for (const row of [...cells, ...ledger]) {
      if (!('bucket' in row)) continue
      const day = Math.floor(Date.parse(row.bucket) / DAY_MS)
      if (day >= today - DAYS_BACK && day <= today + 1 && !known.has(day)) missing.add(day)
    }
  }
  for (const day of missing) {
    await sql`select shelf.make_partitions(${dateOf(day)}::date, ${dateOf(day + 1)}::date)`
    known.add(day)
  }
}

const dateOf = (day: number): string => new Date(day * DAY_MS).toISOString().slice(0, 10)
