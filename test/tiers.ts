/** What the rows of a tier must be, from the events themselves; and what they are. */
import { ABSENT, packRequests, requestColumns } from '../core/burst.ts'
import { Cells } from '../core/cell.ts'
import { toSparse } from '../core/histogram.ts'
import { addUp, LEDGER_COUNTS } from '../core/ledger.ts'
import type { Sql } from '../db/client.ts'
import { histogramFromText } from '../db/schema.ts'

export const STEP_MS = { '1m': 60_000, '10m': 600_000, '1h': 3_600_000, '1d': 86_400_000 } as const

export type Tier = keyof typeof STEP_MS

/** A request, and one value of each kind of metric. */
export interface Event {
  app: string
  process: string
  timeMs: number
  /** Of the request, ms. */
  serviceMs: number
  status: number
  bytes: number
  /** Of the metrics. */
  name: string
  value: number
}

/** The cells of one minute, as the log carries them. */
export function cellsOf(events: readonly Event[]): Cells {
  const cells = new Cells()
  for (const { app, process, timeMs, serviceMs, status, bytes, name, value } of events) {
    const requests = requestColumns(1)
    requests.timeMs[0] = timeMs
    requests.serviceMs[0] = serviceMs
    requests.connectMs[0] = serviceMs === 0 ? ABSENT : serviceMs % 7
    requests.status[0] = status
    requests.bytes[0] = ABSENT
    requests.process[0] = 0
    requests.code[0] = status === 503 ? 0 : ABSENT
    cells.addRequests(app, packRequests({ ...requests, processes: [process], codes: ['H12'] }))
    const point = { timeMs, process, name, source: '', value }
    cells.addSignals(app, {
      points: [
        { ...point, kind: 'gauge' },
        { ...point, kind: 'counter' },
        { ...point, kind: 'measure', value: Math.abs(value) },
      ],
      markers: [],
      dynos: [],
    })
    const bucketMs = Math.floor(timeMs / 60_000) * 60_000
    // More than one request can have: what adds up in a tier.
    const cell = cells.requestCell(app, process, bucketMs)
    cell.bytes = addUp(cell.bytes, bytes)
    cells.addLedger(app, bucketMs, { received: bytes, kept: 1, repartitioned: serviceMs })
  }
  return cells
}

/** The rows of a tier, one a line, as `rowsIn` prints them. */
export function rowsOf(events: readonly Event[], tier: Tier): string[] {
  return rowsOfStep(events, STEP_MS[tier])
}

/** The same for buckets of any length, ms. */
export function rowsOfStep(events: readonly Event[], stepMs: number): string[] {
  const all = new Cells()
  const floor = <Cell extends { bucketMs: number }>(cell: Cell): Cell => ({
    ...cell,
    bucketMs: Math.floor(cell.bucketMs / stepMs) * stepMs,
  })
  for (const event of events) {
    const { requests, gauges, counters, measures, ledger } = cellsOf([event])
    for (const cell of requests.values()) all.mergeRequestCell(floor(cell))
    for (const cell of gauges.values()) all.addGauge(floor(cell))
    for (const cell of counters.values()) all.addCounter(floor(cell))
    for (const cell of measures.values()) all.addMeasure(floor(cell))
    for (const cell of ledger.values()) {
      const { app, bucketMs, counts } = floor(cell)
      all.addLedger(app, bucketMs, counts)
    }
  }
  return [
    ...[...all.requests.values()].map((cell) => [
      ...['requests', cell.app, cell.bucketMs, cell.process, cell.requests, cell.bytes],
      ...[Object.fromEntries(cell.status), toSparse(cell.service), toSparse(cell.connect)],
    ]),
    ...[...all.gauges.values()].map((cell) => [
      ...['gauges', cell.app, cell.bucketMs, cell.process, cell.name, cell.source, cell.count],
      ...[cell.sum, cell.min, cell.max, cell.last, cell.lastMs],
    ]),
    ...[...all.counters.values()].map((cell) => [
      ...['counters', cell.app, cell.bucketMs, cell.process, cell.name, cell.source, cell.sum],
    ]),
    ...[...all.measures.values()].map((cell) => [
      ...['histograms', cell.app, cell.bucketMs, cell.process, cell.name, cell.source],
      toSparse(cell.histogram),
    ]),
    ...[...all.ledger.values()].map(({ app, bucketMs, counts }) => [
      ...['ledger', app, bucketMs, ...LEDGER_COUNTS.map((what) => counts[what] ?? 0)],
    ]),
  ]
    .map((row) => JSON.stringify(row))
    .sort()
}

const snake = (what: string): string => what.replace(/[A-Z]/g, (a) => `_${a.toLowerCase()}`)

/** The rows of a tier, one a line. With `closed` only those that readers may take as they are. */
export async function rowsIn(sql: Sql, tier: Tier, closed = false): Promise<string[]> {
  const where = sql.unsafe(
    closed
      ? `where bucket < (select compacted_until from shelf.tiers where tier = '${tier}')
          and bucket >= (select coalesce(dropped_until, '-infinity') from shelf.tiers
            where tier = '${tier}')
          and not exists (select from shelf.dirty d
            where d.tier = '${tier}' and d.app = t.app and d.bucket = t.bucket)`
      : '',
  )
  return await rowsFrom(sql, (kind) => sql`from shelf.${sql.unsafe(`${kind}_${tier}`)} t ${where}`)
}

/** The rows of all kinds, one a line, each from what `from` says. */
export async function rowsFrom(
  sql: Sql,
  from: (kind: string) => ReturnType<Sql>,
): Promise<string[]> {
  const bucket = sql`(extract(epoch from bucket) * 1000)::float8`
  const requests = await sql`
    select 'requests', app, ${bucket} as bucket, process, requests, bytes, status, service, connect
    ${from('requests')}`.values()
  const gauges = await sql`
    select 'gauges', app, ${bucket}, process, name, source, count, sum, min, max, last,
      (extract(epoch from last_at) * 1000)::float8
    ${from('gauges')}`.values()
  const counters = await sql`
    select 'counters', app, ${bucket}, process, name, source, sum ${from('counters')}`.values()
  const histograms = await sql`
    select 'histograms', app, ${bucket}, process, name, source, histogram
    ${from('histograms')}`.values()
  const ledger = await sql`
    select 'ledger', app, ${bucket}, ${sql.unsafe(LEDGER_COUNTS.map(snake).join())}
    ${from('ledger')}`.values()
  return [
    ...requests.map((row) => [
      ...row.slice(0, -2),
      ...row.slice(-2).map((text) => histogramFromText(text)),
    ]),
    ...histograms.map((row) => [...row.slice(0, -1), histogramFromText(row[6])]),
    ...[...gauges, ...counters, ...ledger],
  ]
    .map((row) => JSON.stringify(row))
    .sort()
}
