/** Adds cells to the rows of the 1m tier. Additive and commutative: the order never matters. */
import type { Cells, RequestCell } from '../core/cell.ts'
import { toSparse } from '../core/histogram.ts'
import { LEDGER_COUNTS } from '../core/ledger.ts'
import type { Transaction } from './client.ts'
import { histogramToText } from './schema.ts'

/** Rows a statement: PostgreSQL plans and runs it without growing large. */
const ROWS_MAX = 500

/** Rows are locked in the order of their keys, so that two transactions never wait in a ring. */
const byKey = <Cell>([a]: [string, Cell], [b]: [string, Cell]): number =>
  a < b ? -1 : a > b ? 1 : 0

/** Merges all cells into their rows, in the caller's transaction. */
export async function mergeCells(sql: Transaction, cells: Cells): Promise<void> {
  const requests = [...cells.requests].sort(byKey).map(([, cell]) => cell)
  for (let at = 0; at < requests.length; at += ROWS_MAX) {
    await mergeRequests(sql, requests.slice(at, at + ROWS_MAX))
  }
  const ledger = [...cells.ledger].sort(byKey).map(([, cell]) => cell)
  for (let at = 0; at < ledger.length; at += ROWS_MAX) {
    const rows = ledger.slice(at, at + ROWS_MAX)
    const columns = LEDGER_COUNTS.map(columnOf)
    const added = columns.map((column) => `${column} = ledger.${column} + excluded.${column}`)
    await sql`
      insert into shelf.ledger_1m as ledger (app, bucket, ${sql.unsafe(columns.join(', '))})
      select * from unnest(
        ${rows.map(({ app }) => app)}::text[],
        ${rows.map(({ bucketMs }) => isoOf(bucketMs))}::timestamptz[],
        ${sql.unsafe(
          LEDGER_COUNTS.map((what) => arrayOf(rows.map(({ counts }) => counts[what] ?? 0))).join(),
        )}
      )
      on conflict (app, bucket) do update set ${sql.unsafe(added.join(', '))}`
  }
}

const isoOf = (timeMs: number): string => new Date(timeMs).toISOString()

/** Numbers only: there is nothing to escape. */
const arrayOf = (counts: number[]): string => `'{${counts.map(Math.trunc).join()}}'::bigint[]`

/** ignoredOutput is ignored_output, lostL10 lost_l10. */
function columnOf(what: string): string {
  return what.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
}

async function mergeRequests(sql: Transaction, rows: RequestCell[]): Promise<void> {
  await sql`
    insert into shelf.requests_1m as requests
      (app, process, bucket, requests, status, service, connect, bytes)
    select app, process, bucket, requests, status::jsonb, service::shelf.histogram,
      connect::shelf.histogram, bytes
    from unnest(
      ${rows.map(({ app }) => app)}::text[],
      ${rows.map(({ process }) => process)}::text[],
      ${rows.map(({ bucketMs }) => isoOf(bucketMs))}::timestamptz[],
      ${rows.map(({ requests }) => requests)}::bigint[],
      ${rows.map(({ status }) => JSON.stringify(Object.fromEntries(status)))}::text[],
      ${rows.map(({ service }) => histogramToText(toSparse(service)))}::text[],
      ${rows.map(({ connect }) => histogramToText(toSparse(connect)))}::text[],
      ${rows.map(({ bytes }) => bytes)}::bigint[]
    ) as cells (app, process, bucket, requests, status, service, connect, bytes)
    on conflict (app, process, bucket) do update set
      requests = requests.requests + excluded.requests,
      status = shelf.add_counts(requests.status, excluded.status),
      service = shelf.merge(requests.service, excluded.service),
      connect = shelf.merge(requests.connect, excluded.connect),
      bytes = requests.bytes + excluded.bytes`
}
