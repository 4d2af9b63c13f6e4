/** The records of the topic aggregates: a closed chunk's cells as JSON, in one part or several. */
import { z } from 'zod'
import type { Chunk } from './aggregate.ts'
import { Cells, type LedgerCell } from './cell.ts'
import {
  addWireCell,
  cellSchema,
  cellsToWire,
  compareText,
  wireCount,
  wireText,
  wireTime,
} from './cell-wire.ts'
import { LEDGER_COUNTS, type LedgerCounts } from './ledger.ts'

/** Kafka takes messages of 1 MB (max.message.bytes, 1,048,588); the rest is for the envelope. */
const PART_BYTES_MAX = 900_000

const encoder = new TextEncoder()

const ledgerCellSchema = z.object({
  app: wireText,
  bucket: wireTime,
  ...Object.fromEntries(LEDGER_COUNTS.map((what) => [what, wireCount.optional()])),
})

/** The version that is written. A record of a later one is not passed over: see parseAggregate. */
export const AGGREGATE_VERSION = 1

export const aggregateRecordSchema = z.object({
  version: z.literal(AGGREGATE_VERSION),
  partition: z.int().min(0),
  /** Which raw log this is of, and where in it aggregation began: see Epoch. */
  epoch: z.int().min(0).default(0),
  begin: z.int().min(0).default(0),
  /** Raw offsets of the chunk: from `from` up to, without, `to`. */
  from: z.int().min(0),
  to: z.int().min(0),
  part: z.int().min(0),
  parts: z.int().min(1),
  /** Log time up to which the partition is in. */
  watermark: z.iso.datetime(),
  cells: z.array(cellSchema),
  ledger: z.array(ledgerCellSchema),
})

export type AggregateRecord = z.infer<typeof aggregateRecordSchema>

export function ledgerCellFromWire(wire: AggregateRecord['ledger'][number]): LedgerCell {
  const { app, bucket, ...counts } = wire
  return { app, bucketMs: Date.parse(bucket), counts: counts as LedgerCounts }
}

/** The cells of a record, its ledger with them. */
export function cellsOfRecord(record: AggregateRecord): Cells {
  const cells = new Cells()
  for (const cell of record.cells) addWireCell(cells, cell)
  for (const row of record.ledger) {
    const { app, bucketMs, counts } = ledgerCellFromWire(row)
    cells.addLedger(app, bucketMs, counts)
  }
  return cells
}

/** The records of a chunk, the same from whoever makes them: cells in order, cut where a part is full. */
export function toAggregateRecords(partition: number, chunk: Chunk): AggregateRecord[] {
  const ledger = [...chunk.cells.ledger.values()]
    .sort((a, b) => a.bucketMs - b.bucketMs || compareText(a.app, b.app))
    .map(({ app, bucketMs, counts }) => ({
      app,
      bucket: new Date(bucketMs).toISOString(),
      ...counts,
    }))
  let part: Pick<AggregateRecord, 'cells' | 'ledger'> = { cells: [], ledger: [] }
  const parts = [part]
  let bytes = 0
  const partFor = (item: object): typeof part => {
    const size = encoder.encode(JSON.stringify(item)).length + 1
    if (bytes > 0 && bytes + size > PART_BYTES_MAX) {
      part = { cells: [], ledger: [] }
      parts.push(part)
      bytes = 0
    }
    bytes += size
    return part
  }
  for (const cell of cellsToWire(chunk.cells)) partFor(cell).cells.push(cell)
  for (const row of ledger) partFor(row).ledger.push(row)
  return parts.map((content, index) => ({
    version: AGGREGATE_VERSION,
    partition,
    epoch: chunk.epoch,
    begin: chunk.begin,
    from: chunk.from,
    to: chunk.to,
    part: index,
    parts: parts.length,
    watermark: new Date(chunk.watermarkMs).toISOString(),
    ...content,
  }))
}
