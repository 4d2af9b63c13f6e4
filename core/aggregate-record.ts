/** The records of the topic aggregates: a closed chunk's cells as JSON, in one part or several. */
import { z } from 'zod'
import type { Chunk } from './aggregate.ts'
import type { LedgerCell, RequestCell } from './cell.ts'
import { fromSparse, toSparse } from './histogram.ts'
import { LEDGER_COUNTS, type LedgerCounts } from './ledger.ts'

/** Kafka takes messages of 1 MB (max.message.bytes, 1,048,588); the rest is for the envelope. */
const PART_BYTES_MAX = 900_000

const encoder = new TextEncoder()

const histogramSchema = z.object({
  zero: z.number(),
  bins: z.array(z.int()),
  counts: z.array(z.number()),
  sum: z.number(),
  min: z.number().nullable(),
  max: z.number().nullable(),
})

const requestCellSchema = z.object({
  kind: z.literal('requests'),
  app: z.string(),
  process: z.string(),
  bucket: z.iso.datetime(),
  requests: z.number(),
  status: z.record(z.string(), z.number()),
  service: histogramSchema,
  connect: histogramSchema,
  bytes: z.number(),
})

const ledgerCellSchema = z.object({
  app: z.string(),
  bucket: z.iso.datetime(),
  ...Object.fromEntries(LEDGER_COUNTS.map((what) => [what, z.number().optional()])),
})

export const aggregateRecordSchema = z.object({
  partition: z.int().min(0),
  /** Raw offsets of the chunk: from `from` up to, without, `to`. */
  from: z.int().min(0),
  to: z.int().min(0),
  part: z.int().min(0),
  parts: z.int().min(1),
  /** Log time up to which the partition is in. */
  watermark: z.iso.datetime(),
  cells: z.array(requestCellSchema),
  ledger: z.array(ledgerCellSchema),
})

export type AggregateRecord = z.infer<typeof aggregateRecordSchema>

function requestCellToWire(cell: RequestCell): AggregateRecord['cells'][number] {
  const status = [...cell.status].sort(([a], [b]) => a - b)
  return {
    kind: 'requests',
    app: cell.app,
    process: cell.process,
    bucket: new Date(cell.bucketMs).toISOString(),
    requests: cell.requests,
    status: Object.fromEntries(status),
    service: toSparse(cell.service),
    connect: toSparse(cell.connect),
    bytes: cell.bytes,
  }
}

export function requestCellFromWire(wire: AggregateRecord['cells'][number]): RequestCell {
  return {
    app: wire.app,
    process: wire.process,
    bucketMs: Date.parse(wire.bucket),
    requests: wire.requests,
    status: new Map(Object.entries(wire.status).map(([status, n]) => [Number(status), n])),
    service: fromSparse(wire.service),
    connect: fromSparse(wire.connect),
    bytes: wire.bytes,
  }
}

export function ledgerCellFromWire(wire: AggregateRecord['ledger'][number]): LedgerCell {
  const { app, bucket, ...counts } = wire
  return { app, bucketMs: Date.parse(bucket), counts: counts as LedgerCounts }
}

/** By code units, so that every machine sorts alike. */
function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

/**
 * The records of a chunk, the same from whoever makes them: cells in order of time, app and process
 * type, cut where a part is full.
 */
export function toAggregateRecords(partition: number, chunk: Chunk): AggregateRecord[] {
  const cells = [...chunk.cells.requests.values()]
    .sort(
      (a, b) =>
        a.bucketMs - b.bucketMs || compareText(a.app, b.app) || compareText(a.process, b.process),
    )
    .map(requestCellToWire)
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
  for (const cell of cells) partFor(cell).cells.push(cell)
  for (const row of ledger) partFor(row).ledger.push(row)
  return parts.map((content, index) => ({
    partition,
    from: chunk.from,
    to: chunk.to,
    part: index,
    parts: parts.length,
    watermark: new Date(chunk.watermarkMs).toISOString(),
    ...content,
  }))
}
