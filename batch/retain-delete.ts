/** Deletes what is no longer kept and stands in no partition: a few rows at a time. */
import type { Sql, Transaction } from '../db/client.ts'

/** Rows a transaction. */
const ROWS_MAX = 5000

/** Rows that are kept as long as those of hours, by this column. */
const OTHERS = { marker_lines: 'time', dynos: 'last_at' }

/** Rows of a table before a time. */
interface OldRows {
  table: string
  column: string
  until: string
}

/** How many rows lie before where dropped_until would move, by table; those without are left out. */
export async function countOldRows(sql: Transaction): Promise<{ table: string; rows: number }[]> {
  const counted: { table: string; rows: number }[] = []
  for (const { table, column, until } of await oldRows(sql, 'shelf.drop_limits()')) {
    const [row] = await sql<{ rows: number }[]>`
      select count(*) as rows from ${sql(`shelf.${table}`)} where ${sql(column)} < ${until}`
    if (row !== undefined && row.rows > 0) counted.push({ table, rows: row.rows })
  }
  return counted
}

/**
 * Deletes the rows before dropped_until that stand in default partitions, and of markers and dynos.
 * @returns how many
 */
export async function deleteOldRows(sql: Sql, signal: AbortSignal): Promise<number> {
  let deleted = 0
  const dropped = '(select tier, dropped_until as until from shelf.tiers)'
  for (const { table, column, until } of await oldRows(sql, dropped)) {
    while (!signal.aborted) {
      const from = sql`${sql(`shelf.${table}`)}`
      const { count } = await sql`
        delete from ${from} where ctid = any(array(
          select ctid from ${from} where ${sql(column)} < ${until} limit ${ROWS_MAX}
        ))`
      deleted += count
      if (count < ROWS_MAX) break
    }
  }
  return deleted
}

/** @param limits a table of tiers, and until when each is dropped */
async function oldRows(sql: Sql | Transaction, limits: string): Promise<OldRows[]> {
  return await sql<OldRows[]>`
    select c.relname || '_default' as table, 'bucket' as column, l.until::text
    from ${sql.unsafe(limits)} l
    join pg_class c on c.relnamespace = 'shelf'::regnamespace and c.relkind = 'p'
      and c.relname like '%\\_' || l.tier
    where l.until is not null
    union all
    select other.key, other.value, l.until::text
    from ${sql.unsafe(limits)} l, jsonb_each_text(${JSON.stringify(OTHERS)}::text::jsonb) other
    where l.tier = '1h' and l.until is not null
    order by 1`
}
