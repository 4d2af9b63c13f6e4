/** Cells as JSON, as the topic aggregates carries them. fromWire(toWire(cells)) = cells. */
import { z } from 'zod'
import type { Cells } from './cell.ts'
import {
  emptyHistogram,
  fromSparse,
  type Histogram,
  merge,
  type SparseHistogram,
  toSparse,
} from './histogram.ts'
import { addUp } from './ledger.ts'
import { MARKER_KINDS } from './marker.ts'
import { isLoggable } from './text.ts'

/** Bins of all doubles: 2^-1074 to 2^1024, 32 a doubling. */
const BIN_MAX = 35_000

/** What Postgres takes: text without NUL, times from 1970 on, whole numbers that are exact. */
export const wireText = z.string().refine(isLoggable, 'is too long, or holds a NUL')
export const wireTime = z.iso.datetime().refine((text) => Date.parse(text) >= 0, 'is before 1970')
export const wireCount = z.int().min(0)

const histogramSchema = z
  .object({
    zero: wireCount,
    bins: z.array(z.int().min(-BIN_MAX).max(BIN_MAX)),
    counts: z.array(wireCount),
    sum: z.number(),
    min: z.number().nullable(),
    max: z.number().nullable(),
  })
  .refine(
    ({ bins, counts }) =>
      bins.length === counts.length &&
      bins.every((bin, i) => i === 0 || bin > (bins[i - 1] ?? bin)),
    'bins must ascend, each with its count',
  )

const metric = {
  app: wireText,
  process: wireText,
  name: wireText,
  source: wireText,
  bucket: wireTime,
}

const requestsSchema = z.object({
  kind: z.literal('requests'),
  app: wireText,
  process: wireText,
  bucket: wireTime,
  requests: wireCount,
  status: z.record(z.string().regex(/^\d{1,3}$/), wireCount),
  service: histogramSchema,
  connect: histogramSchema,
  bytes: wireCount,
})

const gaugeSchema = z.object({
  kind: z.literal('gauge'),
  ...metric,
  count: wireCount,
  sum: z.number(),
  min: z.number(),
  max: z.number(),
  last: z.number(),
  /** When `last` was. */
  at: wireTime,
})

const counterSchema = z.object({ kind: z.literal('counter'), ...metric, sum: z.number() })

const measureSchema = z.object({
  kind: z.literal('histogram'),
  ...metric,
  histogram: histogramSchema,
})

const markerSchema = z.object({
  kind: z.literal('marker'),
  app: wireText,
  time: wireTime,
  marker: z.enum(MARKER_KINDS),
  process: wireText,
  dyno: wireText,
  text: wireText,
  by: wireText,
})

const dynoSchema = z.object({
  kind: z.literal('dyno'),
  app: wireText,
  dyno: wireText,
  instance: wireText,
  first: wireTime,
  last: wireTime,
})

export const cellSchema = z.discriminatedUnion('kind', [
  requestsSchema,
  gaugeSchema,
  counterSchema,
  measureSchema,
  markerSchema,
  dynoSchema,
])

export type WireCell = z.infer<typeof cellSchema>

const isoOf = (timeMs: number): string => new Date(timeMs).toISOString()

/** By code units, so that every machine sorts alike. */
export function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

/** By their keys: in the order in which records carry them. */
export function inOrder<Cell>(cells: ReadonlyMap<string, Cell>): Cell[] {
  return [...cells].sort(([a], [b]) => compareText(a, b)).map(([, cell]) => cell)
}

/** All cells but the ledger's, in an order that whoever makes them finds alike. */
export function cellsToWire(cells: Cells): WireCell[] {
  return [
    ...inOrder(cells.requests).map((cell): WireCell => {
      const { bucketMs, status, service, connect, ...rest } = cell
      const codes = [...status].sort(([a], [b]) => a - b)
      return {
        kind: 'requests',
        ...rest,
        bucket: isoOf(bucketMs),
        status: Object.fromEntries(codes),
        service: toSparse(service),
        connect: toSparse(connect),
      }
    }),
    ...inOrder(cells.gauges).map(({ bucketMs, lastMs, ...rest }): WireCell => {
      return { kind: 'gauge', ...rest, bucket: isoOf(bucketMs), at: isoOf(lastMs) }
    }),
    ...inOrder(cells.counters).map(({ bucketMs, ...rest }): WireCell => {
      return { kind: 'counter', ...rest, bucket: isoOf(bucketMs) }
    }),
    ...inOrder(cells.measures).map(({ bucketMs, histogram, ...rest }): WireCell => {
      return { kind: 'histogram', ...rest, bucket: isoOf(bucketMs), histogram: toSparse(histogram) }
    }),
    ...inOrder(cells.markers).map(({ kind, timeMs, ...rest }): WireCell => {
      return { kind: 'marker', ...rest, marker: kind, time: isoOf(timeMs) }
    }),
    ...inOrder(cells.dynos).map(({ firstMs, lastMs, ...rest }): WireCell => {
      return { kind: 'dyno', ...rest, first: isoOf(firstMs), last: isoOf(lastMs) }
    }),
  ]
}

/** Adds a cell that was read to `cells`. */
export function addWireCell(cells: Cells, wire: WireCell): void {
  switch (wire.kind) {
    case 'requests':
      addRequests(cells, wire)
      break
    case 'gauge': {
      const { kind, bucket, at, ...rest } = wire
      cells.addGauge({ ...rest, bucketMs: Date.parse(bucket), lastMs: Date.parse(at) })
      break
    }
    case 'counter': {
      const { kind, bucket, ...rest } = wire
      cells.addCounter({ ...rest, bucketMs: Date.parse(bucket) })
      break
    }
    case 'histogram': {
      const { kind, bucket, histogram, ...rest } = wire
      const bucketMs = Date.parse(bucket)
      cells.addMeasure({ ...rest, bucketMs, histogram: fromSparse(histogram) })
      break
    }
    case 'marker': {
      const { marker, time, ...rest } = wire
      cells.addMarker({ ...rest, kind: marker, timeMs: Date.parse(time) })
      break
    }
    case 'dyno': {
      const { kind, first, last, ...rest } = wire
      cells.addDyno({ ...rest, firstMs: Date.parse(first), lastMs: Date.parse(last) })
      break
    }
  }
}

/** Of these there are the most: added as they are, with nothing made that is thrown away again. */
function addRequests(cells: Cells, wire: z.infer<typeof requestsSchema>): void {
  const cell = cells.requestCell(wire.app, wire.process, Date.parse(wire.bucket))
  cell.requests += wire.requests
  for (const text of Object.keys(wire.status)) {
    const code = Number(text)
    cell.status.set(code, (cell.status.get(code) ?? 0) + (wire.status[text] ?? 0))
  }
  addSparse(cell.service, wire.service)
  addSparse(cell.connect, wire.connect)
  cell.bytes = addUp(cell.bytes, wire.bytes)
}

/** One bin of it. */
const NOTHING: Histogram = { ...emptyHistogram(), counts: new Float64Array(1) }

function addSparse(
  histogram: Histogram,
  { zero, bins, counts, sum, min, max }: SparseHistogram,
): void {
  const [low, high] = [bins[0], bins.at(-1)]
  if (low !== undefined && high !== undefined) {
    for (const first of [low, high]) {
      const at = first - histogram.first
      // A bin that holds nothing only makes room.
      if (at < 0 || at >= histogram.counts.length) merge(histogram, { ...NOTHING, first })
    }
  }
  for (let i = 0; i < bins.length; i++) {
    const at = (bins[i] as number) - histogram.first
    histogram.counts[at] = (histogram.counts[at] as number) + (counts[i] ?? 0)
  }
  histogram.zero += zero
  histogram.sum += sum
  histogram.min = Math.min(histogram.min, min ?? Number.POSITIVE_INFINITY)
  histogram.max = Math.max(histogram.max, max ?? Number.NEGATIVE_INFINITY)
}
