/** The minutes of the past as check saw them, from the rows: so that a rule can be tried on them. */
import { AGGREGATE_VERSION, type AggregateRecord } from '../core/aggregate-record.ts'
import type { WireCell } from '../core/cell-wire.ts'
import { GRACE_MS, PartitionChecker } from '../core/check.ts'
import type { CheckResult } from '../core/check-result.ts'
import { LEDGER_COUNTS, MINUTE_MS } from '../core/ledger.ts'
import { MARKER_KINDS } from '../core/marker.ts'
import { ALL_APPS, type Rule } from '../core/rule.ts'
import { RULE_RECORD_VERSION } from '../core/rule-record.ts'
import type { Sql } from '../db/client.ts'
import { histogramFromText } from '../db/schema.ts'

/** Rows that are read at a time: those of so much time. */
const STEP_MS = 6 * 60 * MINUTE_MS

/** What the rule would have said from `sinceMs` to `untilMs`, Unix ms, oldest first. */
export async function* tryRule(
  sql: Sql,
  rule: Rule,
  sinceMs: number,
  untilMs: number,
): AsyncGenerator<CheckResult> {
  const checker = new PartitionChecker({ partition: 0 })
  const always = { ...rule, enabled: true, mutedUntil: null }
  const entry = { version: RULE_RECORD_VERSION, kind: 'rule', id: rule.id, revision: 0 } as const
  checker.learn({ ...entry, rule: always, timestampMs: 0 })
  const apps = rule.apps.includes(ALL_APPS) ? null : rule.apps
  for await (const record of minutesOf(sql, apps, sinceMs, untilMs)) {
    for (const result of checker.push(record)) {
      if (result.kind === 'change' || result.kind === 'reminder') yield result
    }
  }
}

/** A record a minute, as if it had been aggregated by itself, and in time. */
async function* minutesOf(
  sql: Sql,
  apps: string[] | null,
  sinceMs: number,
  untilMs: number,
): AsyncGenerator<AggregateRecord> {
  const firstMs = Math.ceil(sinceMs / MINUTE_MS) * MINUTE_MS
  let number = 0
  for (let fromMs = firstMs; fromMs < untilMs; fromMs += STEP_MS) {
    const toMs = Math.min(fromMs + STEP_MS, untilMs)
    const cells = Map.groupBy(await readCells(sql, apps, fromMs, toMs), minuteOfCell)
    const ledger = Map.groupBy(await readLedger(sql, apps, fromMs, toMs), ({ bucket }) =>
      Date.parse(bucket),
    )
    for (let minuteMs = fromMs; minuteMs < toMs; minuteMs += MINUTE_MS) {
      yield {
        ...{ version: AGGREGATE_VERSION, partition: 0, epoch: 0, begin: 0, part: 0, parts: 1 },
        ...{ from: number, to: number + 1 },
        watermark: isoOf(minuteMs + MINUTE_MS + GRACE_MS),
        cells: cells.get(minuteMs) ?? [],
        ledger: ledger.get(minuteMs) ?? [],
      }
      number += 1
    }
  }
}

const isoOf = (time: number | Date): string => new Date(time).toISOString()

function minuteOfCell(cell: WireCell): number {
  const time = 'bucket' in cell ? cell.bucket : cell.kind === 'marker' ? cell.time : cell.first
  return Math.floor(Date.parse(time) / MINUTE_MS) * MINUTE_MS
}

/** From the minutes: what is older than they are kept is not found. */
async function readCells(
  sql: Sql,
  apps: string[] | null,
  fromMs: number,
  toMs: number,
): Promise<WireCell[]> {
  const [from, to] = [isoOf(fromMs), isoOf(toMs)]
  const which = (time: string) => sql`
    where ${apps === null ? sql`true` : sql`app = any(${apps})`}
      and ${sql(time)} >= ${from} and ${sql(time)} < ${to}`
  type Row<Kind extends WireCell['kind'], Times extends string> = Omit<
    Extract<WireCell, { kind: Kind }>,
    Times | 'kind'
  > &
    Record<Times, Date>
  const requests = await sql<
    (Omit<Row<'requests', 'bucket'>, 'service' | 'connect'> &
      Record<'service' | 'connect', string>)[]
  >`select app, process, bucket, requests, status, service::text as service,
      connect::text as connect, bytes from shelf.requests_1m ${which('bucket')}`
  const gauges = await sql<Row<'gauge', 'bucket' | 'at'>[]>`
    select app, process, name, source, bucket, count, sum, min, max, last, last_at as at
    from shelf.gauges_1m ${which('bucket')}`
  const counters = await sql<Row<'counter', 'bucket'>[]>`
    select app, process, name, source, bucket, sum from shelf.counters_1m ${which('bucket')}`
  const measures = await sql<
    (Omit<Row<'histogram', 'bucket'>, 'histogram'> & { histogram: string })[]
  >`select app, process, name, source, bucket, histogram::text as histogram
    from shelf.histograms_1m ${which('bucket')}`
  const markers = await sql<(Omit<Row<'marker', 'time'>, 'marker'> & { marker: string })[]>`
    select app, time, kind as marker, process, dyno, text, by
    from shelf.marker_lines ${which('time')}`
  return [
    ...requests.map(({ bucket, service, connect, ...row }): WireCell => {
      const histograms = {
        service: histogramFromText(service),
        connect: histogramFromText(connect),
      }
      return { kind: 'requests', ...row, bucket: isoOf(bucket), ...histograms }
    }),
    ...gauges.map(({ bucket, at, ...row }): WireCell => {
      return { kind: 'gauge', ...row, bucket: isoOf(bucket), at: isoOf(at) }
    }),
    ...counters.map(({ bucket, ...row }): WireCell => {
      return { kind: 'counter', ...row, bucket: isoOf(bucket) }
    }),
    ...measures.map(({ bucket, histogram, ...row }): WireCell => {
      return {
        kind: 'histogram',
        ...row,
        bucket: isoOf(bucket),
        histogram: histogramFromText(histogram),
      }
    }),
    ...markers.flatMap(({ time, marker, ...row }): WireCell[] => {
      const kind = MARKER_KINDS.find((kind) => kind === marker)
      return kind === undefined ? [] : [{ kind: 'marker', ...row, marker: kind, time: isoOf(time) }]
    }),
  ]
}

/** Those of the apps, and what our own log lost, which may have been anybody's. */
async function readLedger(
  sql: Sql,
  apps: string[] | null,
  fromMs: number,
  toMs: number,
): Promise<AggregateRecord['ledger']> {
  const rows = await sql<({ app: string; bucket: Date } & Record<string, unknown>)[]>`
    select * from shelf.ledger_1m
    where ${apps === null ? sql`true` : sql`app = any(${[...apps, '']})`}
      and bucket >= ${isoOf(fromMs)} and bucket < ${isoOf(toMs)}`
  return rows.map(({ app, bucket, ...row }) => {
    const counts = LEDGER_COUNTS.flatMap((what): [string, number][] => {
      const n = row[what.replaceAll(/[A-Z0-9]+/g, (end) => `_${end.toLowerCase()}`)]
      return typeof n === 'number' && n > 0 ? [[what, n]] : []
    })
    return { app, bucket: isoOf(bucket), ...Object.fromEntries(counts) }
  })
}
