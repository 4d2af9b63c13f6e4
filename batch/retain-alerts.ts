/** Deletes what check and notify left behind and is no longer kept, a few rows at a time. */
import type { Sql, Transaction } from '../db/client.ts'

/** As long as rows of hours by default: so charts have their incidents. */
const DAYS_DEFAULT = 400

/** Rows a transaction. */
const ROWS_MAX = 5000

/** By these columns. What is open, or in force, has none of them, and stays. */
const TABLES = {
  check_results: 'window_until',
  incidents: 'ended_at',
  deliveries: 'tried_at',
  rules: 'deleted_at',
  silences: 'until',
}

const cutoffOf = (days: number): string => new Date(Date.now() - days * 86_400_000).toISOString()

/** How many rows are older than `days`, by table; those without are left out. */
export async function countOldAlerts(
  sql: Transaction,
  days = DAYS_DEFAULT,
): Promise<{ table: string; rows: number }[]> {
  if (!Number.isFinite(days)) return []
  const counted: { table: string; rows: number }[] = []
  for (const [table, column] of Object.entries(TABLES)) {
    const [row] = await sql<{ rows: number }[]>`
      select count(*) as rows from ${sql(`shelf.${table}`)}
      where ${sql(column)} < ${cutoffOf(days)}`
    if (row !== undefined && row.rows > 0) counted.push({ table, rows: row.rows })
  }
  return counted
}

/** Deletes rows that are older than `days`. @returns how many */
export async function deleteOldAlerts(
  sql: Sql,
  days = DAYS_DEFAULT,
  signal?: AbortSignal,
): Promise<number> {
  if (!Number.isFinite(days)) return 0
  let deleted = 0
  for (const [table, column] of Object.entries(TABLES)) {
    while (!signal?.aborted) {
      const from = sql(`shelf.${table}`)
      const { count } = await sql`
        delete from ${from} where ctid = any(array(
          select ctid from ${from} where ${sql(column)} < ${cutoffOf(days)} limit ${ROWS_MAX}
        ))`
      deleted += count
      if (count < ROWS_MAX) break
    }
  }
  return deleted
}
