/** Adds cells of the ledger to the rows of a table. */
import type { LedgerCell } from '../core/cell.ts'
import { LEDGER_COUNTS } from '../core/ledger.ts'
import type { Transaction } from './client.ts'
import { type Rows, timeToText } from './schema.ts'

/** As in core/ledger.ts: a sum of counts stops where doubles cease to be exact. */
const COUNT_MAX = Number.MAX_SAFE_INTEGER

/** Each row stands once in `rows`. */
export async function mergeLedger(
  sql: Transaction,
  into: Rows,
  rows: readonly LedgerCell[],
): Promise<void> {
  const columns = LEDGER_COUNTS.map(columnOf)
  const added = columns.map(
    (column) => `${column} = least(ledger.${column} + excluded.${column}, ${COUNT_MAX})`,
  )
  await sql`
    insert into ${sql(`shelf.ledger_${into}`)} as ledger (app, bucket, ${sql.unsafe(columns.join(', '))})
    select * from unnest(
      ${rows.map(({ app }) => app)}::text[],
      ${rows.map(({ bucketMs }) => timeToText(bucketMs))}::timestamptz[],
      ${sql.unsafe(
        LEDGER_COUNTS.map((what) => arrayOf(rows.map(({ counts }) => counts[what] ?? 0))).join(),
      )}
    )
    on conflict (app, bucket) do update set ${sql.unsafe(added.join(', '))}`
}

/** Numbers only: there is nothing to escape. */
const arrayOf = (counts: number[]): string => `'{${counts.map(Math.trunc).join()}}'::bigint[]`

/** ignoredOutput is ignored_output, lostL10 lost_l10. */
function columnOf(what: string): string {
  return what.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
}
