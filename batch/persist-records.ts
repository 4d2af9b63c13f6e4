/**
 * The one transaction of persist: records of one partition merged into rows, and the place moved
 * behind them. Each record counts once, whatever dies when, and whoever tries.
 */
import {
  type AggregateRecord,
  ledgerCellFromWire,
  requestCellFromWire,
} from '../core/aggregate-record.ts'
import { Cells } from '../core/cell.ts'
import { minuteOf } from '../core/ledger.ts'
import type { Sql, Transaction } from '../db/client.ts'
import { mergeCells } from '../db/merge-cells.ts'
import { makePartitions } from './partitions.ts'

/** The place in a partition: raw offsets before `from`, and parts before `part` of the chunk there. */
interface Place {
  from: number
  part: number
}

interface PersistOptions {
  /** Where to read on in the topic, if that is known. */
  nextOffset?: number
  /** What to do while another worker is at this partition. */
  ifLeased: 'skip' | 'wait'
}

/**
 * Merges the records of one partition that lie behind its place, and moves the place, in one
 * transaction. Records that were merged before fall away.
 * @returns false where another worker is at the partition
 */
export async function persistRecords(
  sql: Sql,
  partition: number,
  records: readonly AggregateRecord[],
  { nextOffset, ifLeased }: PersistOptions,
): Promise<boolean> {
  await makePartitions(sql, records)
  return await sql.begin(async (transaction) => {
    const skip = transaction.unsafe(ifLeased === 'skip' ? 'skip locked' : '')
    const [row] = await transaction<Place[]>`
      select next_from as "from", next_part as part from shelf.progress
      where partition = ${partition} for update ${skip}`
    if (row === undefined) return false
    const { cells, place, watermark } = accept(records, row)
    await mergeCells(transaction, cells)
    await moveTo(transaction, partition, place, watermark, nextOffset)
    return true
  })
}

/** The cells of the records that are not before `place`, and the place behind them. */
function accept(
  records: readonly AggregateRecord[],
  start: Place,
): { cells: Cells; place: Place; watermark: string | undefined } {
  const cells = new Cells()
  let place = start
  let watermark: string | undefined
  for (const record of records) {
    const { from, to, part, parts } = record
    if (from < place.from || (from === place.from && part < place.part)) continue
    // Chunks join without holes: a jump means that records were deleted before we read them.
    if (place.from > 0 && from > place.from) {
      cells.addLedger('', minuteOf(Date.parse(record.watermark)), { lostLog: from - place.from })
    }
    for (const cell of record.cells) cells.mergeRequestCell(requestCellFromWire(cell))
    for (const row of record.ledger) {
      const { app, bucketMs, counts } = ledgerCellFromWire(row)
      cells.addLedger(app, bucketMs, counts)
    }
    place = part + 1 === parts ? { from: to, part: 0 } : { from, part: part + 1 }
    watermark = record.watermark
  }
  return { cells, place, watermark }
}

async function moveTo(
  sql: Transaction,
  partition: number,
  place: Place,
  watermark: string | undefined,
  nextOffset: number | undefined,
): Promise<void> {
  await sql`
    update shelf.progress set
      next_from = ${place.from},
      next_part = ${place.part},
      next_offset = greatest(next_offset, ${nextOffset ?? 0}),
      watermark = greatest(watermark, ${watermark ?? null}::timestamptz),
      updated_at = now()
    where partition = ${partition}`
}
