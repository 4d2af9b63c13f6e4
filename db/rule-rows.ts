/** Rows of the past as cells of aggregates, by a step: what a rule needs of them. */
import type { AggregateRecord } from '../core/aggregate-record.ts'
import type { WireCell } from '../core/cell-wire.ts'
import { LEDGER_COUNTS } from '../core/ledger.ts'
import { MARKER_KINDS } from '../core/marker.ts'
import type { Sql } from './client.ts'
import { histogramFromText } from './schema.ts'

/** What is asked for. */
export interface Asked {
  /** null: all. */
  apps: string[] | null
  gauges: string[]
  counters: string[]
  histograms: string[]
  fromMs: number
  toMs: number
  /** One that the tiers kept from `fromMs` on serve. */
  stepMs: number
}

type Row<Kind extends WireCell['kind'], Times extends string> = Omit<
  Extract<WireCell, { kind: Kind }>,
  Times | 'kind'
> &
  Record<Times, Date>

const isoOf = (time: number | Date): string => new Date(time).toISOString()

/** Requests, gauges, counters and histograms by the step; markers as they are. */
export async function readCells(sql: Sql, asked: Asked): Promise<WireCell[]> {
  return [
    ...(await readRequests(sql, asked)),
    ...(await readGauges(sql, asked)),
    ...(await readCounters(sql, asked)),
    ...(await readMeasures(sql, asked)),
    ...(await readMarkers(sql, asked)),
  ]
}

const rangeOf = (sql: Sql, { fromMs, toMs, stepMs }: Asked) =>
  sql`${isoOf(fromMs)}, ${isoOf(toMs)}, make_interval(secs => ${stepMs / 1000})`

async function readRequests(sql: Sql, asked: Asked): Promise<WireCell[]> {
  type Texts = Record<'service' | 'connect', string>
  const rows = await sql<(Omit<Row<'requests', 'bucket'>, keyof Texts> & Texts)[]>`
    select app, process, bucket, requests, status, service::text as service,
      connect::text as connect, bytes
    from shelf.requests_at(${asked.apps}, ${rangeOf(sql, asked)})`
  return rows.map(({ bucket, service, connect, ...row }) => ({
    ...{ kind: 'requests', ...row, bucket: isoOf(bucket) },
    ...{ service: histogramFromText(service), connect: histogramFromText(connect) },
  }))
}

async function readGauges(sql: Sql, asked: Asked): Promise<WireCell[]> {
  if (asked.gauges.length === 0) return []
  const rows = await sql<Row<'gauge', 'bucket' | 'at'>[]>`
    select app, process, name, source, bucket, count, sum, min, max, last, last_at as at
    from shelf.gauges_at(${asked.apps}, ${asked.gauges}, ${rangeOf(sql, asked)})`
  return rows.map(({ bucket, at, ...row }) => ({
    ...{ kind: 'gauge', ...row, bucket: isoOf(bucket), at: isoOf(at) },
  }))
}

async function readCounters(sql: Sql, asked: Asked): Promise<WireCell[]> {
  if (asked.counters.length === 0) return []
  const rows = await sql<Row<'counter', 'bucket'>[]>`
    select app, process, name, source, bucket, sum
    from shelf.counters_at(${asked.apps}, ${asked.counters}, ${rangeOf(sql, asked)})`
  return rows.map(({ bucket, ...row }) => ({ kind: 'counter', ...row, bucket: isoOf(bucket) }))
}

async function readMeasures(sql: Sql, asked: Asked): Promise<WireCell[]> {
  if (asked.histograms.length === 0) return []
  type Text = Record<'histogram', string>
  const rows = await sql<(Omit<Row<'histogram', 'bucket'>, keyof Text> & Text)[]>`
    select app, process, name, source, bucket, histogram::text as histogram
    from shelf.histograms_at(${asked.apps}, ${asked.histograms}, ${rangeOf(sql, asked)})`
  return rows.map(({ bucket, histogram, ...row }) => ({
    ...{ kind: 'histogram', ...row, bucket: isoOf(bucket) },
    histogram: histogramFromText(histogram),
  }))
}

async function readMarkers(sql: Sql, { apps, fromMs, toMs }: Asked): Promise<WireCell[]> {
  const rows = await sql<(Omit<Row<'marker', 'time'>, 'marker'> & { marker: string })[]>`
    select app, time, kind as marker, process, dyno, text, by from shelf.marker_lines
    where (app = any(${apps}) or ${apps}::text[] is null)
      and time >= ${isoOf(fromMs)} and time < ${isoOf(toMs)}`
  return rows.flatMap(({ time, marker, ...row }): WireCell[] => {
    const kind = MARKER_KINDS.find((kind) => kind === marker)
    return kind === undefined ? [] : [{ kind: 'marker', ...row, marker: kind, time: isoOf(time) }]
  })
}

/** Those of the apps, and what our own log lost, which may have been anybody's. */
export async function readLedger(sql: Sql, asked: Asked): Promise<AggregateRecord['ledger']> {
  const apps = asked.apps && [...asked.apps, '']
  const rows = await sql<({ app: string; bucket: Date } & Record<string, unknown>)[]>`
    select * from shelf.ledger_at(${apps}, ${rangeOf(sql, asked)})`
  return rows.map(({ app, bucket, ...row }) => {
    const counts = LEDGER_COUNTS.flatMap((what): [string, number][] => {
      const n = row[what.replaceAll(/[A-Z0-9]+/g, (end) => `_${end.toLowerCase()}`)]
      return typeof n === 'number' && n > 0 ? [[what, n]] : []
    })
    return { app, bucket: isoOf(bucket), ...Object.fromEntries(counts) }
  })
}
