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
import { makePartitions } from './partitions.ts'
import { say, setting } from './program.ts'

/** Names that an app may have in a minute; what is over goes to `other`. */
export const LIMITS = {
  processes: setting('SHELF_PROCESSES_MAX', 64),
  names: setting('SHELF_NAMES_MAX', 500),
}

interface Minute {
  app: string
  bucketMs: number
}

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
    const passedOver = await mergeCells(transaction, cellsOf(fresh, row, limits))
    await moveTo(transaction, partition, fresh, nextOffset)
    return passedOver
  })
  if (passedOver !== undefined && passedOver > 0) {
    // Their rows of the ledger are among them: nowhere else could it be said.
    say(`persist ${partition}: ${passedOver} cells are older than any tier keeps, and not kept`)
  }
  return passedOver !== undefined
}

/** The minutes of apps whose names are limited. */
export function* minutesOf(records: readonly AggregateRecord[]): Generator<Minute> {
  for (const { cells } of records) {
    for (const cell of cells) {
      if ('bucket' in cell) yield { app: cell.app, bucketMs: Date.parse(cell.bucket) }
    }
  }
}

/** All that the records hold, names limited in the order of the log: so a replay limits alike. */
export function cellsOf(
  records: readonly AggregateRecord[],
  start: Progress,
  limits: Limits,
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
    for (const cell of record.cells) addWireCell(cells, limited(cell, limits, cells))
    for (const row of record.ledger) {
      const { app, bucketMs, counts } = ledgerCellFromWire(row)
      cells.addLedger(app, bucketMs, counts)
    }
    place = placeBehind(record)
    beforeMs = watermarkMs
  }
  return cells
}

/** The cell, or its share of `other`, which the ledger counts. */
function limited(cell: WireCell, limits: Limits, cells: Cells): WireCell {
  if (!('bucket' in cell)) return cell
  const bucketMs = Date.parse(cell.bucket)
  const process = limits.process(cell.app, bucketMs, cell.process)
  const metric =
    cell.kind === 'requests' ? undefined : limits.name(cell.app, bucketMs, cell.name, cell.source)
  const isSame = metric === undefined || ('name' in cell && metric.name === cell.name)
  if (isSame && process === cell.process) return cell
  cells.addLedger(cell.app, bucketMs, { overLimit: valuesIn(cell) })
  return { ...cell, process, ...metric }
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
