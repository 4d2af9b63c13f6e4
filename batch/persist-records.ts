/**
 * The one transaction of persist: records of one partition merged into rows, and the place moved
 * behind them. Each record counts once, whatever dies when, and whoever tries.
 */
import { type AggregateRecord, ledgerCellFromWire } from '../core/aggregate-record.ts'
import { Cells } from '../core/cell.ts'
import { addWireCell, type WireCell } from '../core/cell-wire.ts'
import { lossBetween } from '../core/ledger.ts'
import { behind, missingBefore, type Place, placeBehind } from '../core/place.ts'
import type { Sql, Transaction } from '../db/client.ts'
import { type Limits, loadLimits } from '../db/limits.ts'
import { mergeCells } from '../db/merge-cells.ts'
import { LIMITS, limited } from './limited.ts'
import { makePartitions } from './partitions.ts'
import { say } from './program.ts'

interface Minute {
  app: string
  bucketMs: number
}

/** What of the log a record is of. */
export type Stretch = Omit<AggregateRecord, 'version' | 'partition' | 'cells' | 'ledger'>

/** The row of shelf.progress, as far as rows depend on it. */
interface Progress extends Place {
  watermark: Date | null
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
  const passedOver = await sql.begin(async (transaction) => {
    const skip = transaction.unsafe(ifLeased === 'skip' ? 'skip locked' : '')
    const [row] = await transaction<Progress[]>`
      select epoch, next_from as "from", next_part as part, watermark from shelf.progress
      where partition = ${partition} for update ${skip}`
    if (row === undefined) return undefined
    const fresh = behind(records, row)
    const limits = await loadLimits(transaction, minutesOf(fresh), LIMITS)
    const cells = cellsOf(fresh, row, (cells, record) => addRecord(cells, record, limits))
    const passedOver = await mergeCells(transaction, cells)
    await moveTo(transaction, partition, fresh, nextOffset)
    return passedOver
  })
  if (passedOver !== undefined && passedOver > 0) {
    // Their rows of the ledger are among them: nowhere else could it be said.
    say(`persist ${partition}: ${passedOver} cells are older than any tier keeps, and not kept`)
  }
  return passedOver !== undefined
}

/** The minutes of apps whose names are limited, each once. */
function* minutesOf(records: readonly AggregateRecord[]): Generator<Minute> {
  const apps = new Map<string, Set<string>>()
  for (const { cells } of records) {
    for (const cell of cells) {
      if (!('bucket' in cell)) continue
      const known = apps.get(cell.bucket)
      if (known === undefined) apps.set(cell.bucket, new Set([cell.app]))
      else known.add(cell.app)
    }
  }
  for (const [bucket, some] of apps) {
    const bucketMs = Date.parse(bucket)
    for (const app of some) yield { app, bucketMs }
  }
}

/** What `add` takes of the records, in the order of the log, and what is missing between them. */
export function cellsOf<Held extends Stretch>(
  records: readonly Held[],
  start: Progress,
  add: (cells: Cells, record: Held) => void,
): Cells {
  const cells = new Cells()
  let place: Place = start
  let beforeMs = start.watermark?.getTime()
  for (const record of records) {
    const watermarkMs = Date.parse(record.watermark)
    const lost = missingBefore(record, place)
    if (lost > 0) {
      for (const [minuteMs, lostLog] of lossBetween(lost, beforeMs, watermarkMs)) {
        cells.addLedger('', minuteMs, { lostLog })
      }
    }
    add(cells, record)
    place = placeBehind(record)
    beforeMs = watermarkMs
  }
  return cells
}

/** Adds all that the record holds, names limited in its order: so a replay limits alike. */
function addRecord(cells: Cells, record: AggregateRecord, limits: Limits): void {
  for (const cell of record.cells) {
    const isFree = cell.kind === 'marker' || cell.kind === 'dyno'
    addWireCell(
      cells,
      isFree ? cell : limited(cell, Date.parse(cell.bucket), valuesIn, { limits, cells }),
    )
  }
  for (const row of record.ledger) {
    const { app, bucketMs, counts } = ledgerCellFromWire(row)
    cells.addLedger(app, bucketMs, counts)
  }
}

function valuesIn(cell: WireCell): number {
  if (cell.kind === 'requests') return cell.requests
  if (cell.kind === 'gauge') return cell.count
  if (cell.kind !== 'histogram') return 1
  return cell.histogram.counts.reduce((sum, n) => sum + n, cell.histogram.zero)
}

async function moveTo(
  sql: Transaction,
  partition: number,
  records: readonly AggregateRecord[],
  nextOffset: number | undefined,
): Promise<void> {
  const last = records[records.length - 1]
  const place = last === undefined ? undefined : placeBehind(last)
  // Of whole chunks of this epoch only: the watermark is the time of the record before the place.
  const watermark = records.findLast(
    (record) => record.epoch === place?.epoch && placeBehind(record).part === 0,
  )?.watermark
  await sql`
    update shelf.progress set
      epoch = coalesce(${place?.epoch ?? null}, epoch),
      next_from = coalesce(${place?.from ?? null}, next_from),
      next_part = coalesce(${place?.part ?? null}, next_part),
      next_offset = greatest(next_offset, ${nextOffset ?? 0}),
      watermark = coalesce(
        ${watermark ?? null}::timestamptz,
        case when epoch = coalesce(${place?.epoch ?? null}, epoch) then watermark end
      ),
      updated_at = now()
    where partition = ${partition}`
}
