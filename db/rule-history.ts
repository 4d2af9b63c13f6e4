/** The past as check saw it, from the rows: so that a rule can be tried on it. */
import { AGGREGATE_VERSION, type AggregateRecord } from '../core/aggregate-record.ts'
import { MAINTENANCE } from '../core/app-window.ts'
import type { WireCell } from '../core/cell-wire.ts'
import { GRACE_MS, PartitionChecker } from '../core/check.ts'
import type { CheckResult } from '../core/check-result.ts'
import { MINUTE_MS } from '../core/ledger.ts'
import { parseMetric } from '../core/metric.ts'
import { ALL_APPS, type Rule } from '../core/rule.ts'
import { RULE_RECORD_VERSION } from '../core/rule-record.ts'
import { namesOf } from '../core/window-value.ts'
import type { Sql } from './client.ts'
import { type Asked, readCells, readLedger } from './rule-rows.ts'

/** Rows that are read at a time: those of so many steps. */
const STEPS = 720

/** A time whose finest rows are those of one step. Unix ms. */
interface Span {
  fromMs: number
  toMs: number
  stepMs: number
}

/**
 * What the rule would have said from `sinceMs` to `untilMs`, Unix ms, oldest first. Where minutes
 * are no longer kept its windows are as long as the rows, at least.
 * @param signal ends it early
 */
export async function* tryRule(
  sql: Sql,
  rule: Rule,
  sinceMs: number,
  untilMs: number,
  signal?: AbortSignal,
): AsyncGenerator<CheckResult> {
  /** What is not ok, by app. */
  const open = new Map<string, CheckResult>()
  for (const span of await spansOf(sql, sinceMs, untilMs)) {
    const { fromMs } = span
    const resume = { fromMs, untilMs: fromMs, tail: [...open.values()] }
    const checker = new PartitionChecker({ partition: 0, resume, stepMs: span.stepMs })
    checker.learn({
      ...{ version: RULE_RECORD_VERSION, kind: 'rule', id: rule.id, revision: 0 },
      rule: { ...widened(rule, span.stepMs), enabled: true, mutedUntil: null },
      timestampMs: fromMs,
    })
    for await (const record of recordsOf(sql, rule, span, signal)) {
      for (const result of checker.push(record)) {
        if (result.kind !== 'change' && result.kind !== 'reminder') continue
        if (result.state === 'ok') open.delete(result.app)
        else open.set(result.app, result)
        yield result
      }
    }
  }
}

/** The finest tier of each time, the oldest first; none before there is a row. */
async function spansOf(sql: Sql, sinceMs: number, untilMs: number): Promise<Span[]> {
  const tiers = await sql<{ stepMs: number; fromMs: number }[]>`
    select extract(epoch from step)::double precision * 1000 as "stepMs",
      case when isfinite(dropped_until)
        then extract(epoch from dropped_until)::double precision * 1000 else 0 end as "fromMs"
    from shelf.tiers order by step`
  const firstMs = await firstRowMs(sql)
  const spans: Span[] = []
  // What is not in the rows yet is no silence.
  const inMs = Math.min(untilMs, (await persistedMs(sql)) - GRACE_MS)
  let endMs = Math.floor(inMs / MINUTE_MS) * MINUTE_MS
  for (const tier of tiers) {
    const { stepMs } = tier
    const beginMs = Math.max(sinceMs, firstMs, tier.fromMs)
    const fromMs = Math.ceil(beginMs / stepMs) * stepMs
    if (fromMs < endMs) spans.unshift({ fromMs, toMs: endMs, stepMs })
    endMs = Math.min(endMs, fromMs)
  }
  return spans
}

/** Log time up to which persist is, where it is furthest; Infinity where nobody knows. */
async function persistedMs(sql: Sql): Promise<number> {
  const [row] = await sql<{ at: Date | null }[]>`
    select max(watermark) as at from shelf.progress`
  return row?.at?.getTime() ?? Number.POSITIVE_INFINITY
}

/** When the first row begins; Infinity where there is none. */
export async function firstRowMs(sql: Sql): Promise<number> {
  const [row] = await sql<{ first: Date | null }[]>`
    select least(
      (select min(bucket) from shelf.ledger_1m), (select min(bucket) from shelf.ledger_10m),
      (select min(bucket) from shelf.ledger_1h), (select min(bucket) from shelf.ledger_1d)
    ) as first`
  return row?.first?.getTime() ?? Number.POSITIVE_INFINITY
}

/**
 * The rule over windows of whole steps. What is a sum is told as much more of as the window grew,
 * but for silence, which shows where it fills a window.
 */
function widened(rule: Rule, stepMs: number): Rule {
  const step = stepMs / MINUTE_MS
  const windowMinutes = Math.ceil(rule.windowMinutes / step) * step
  const times = windowMinutes / rule.windowMinutes
  const wide = { ...rule, windowMinutes, minRequests: Math.ceil(rule.minRequests * times) }
  if (parseMetric(rule.metric)?.kind !== 'counter') return wide
  const { threshold, recoveryThreshold: back } = rule
  return {
    ...wide,
    ...{ threshold: threshold * times, recoveryThreshold: back === null ? null : back * times },
  }
}

/** A record a step, as if it had been aggregated by itself, and in time. */
async function* recordsOf(
  sql: Sql,
  rule: Rule,
  span: Span,
  signal: AbortSignal | undefined,
): AsyncGenerator<AggregateRecord> {
  const { stepMs } = span
  const apps = rule.apps.includes(ALL_APPS) ? null : rule.apps
  const needed = { apps, ...neededBy(rule) }
  const startOf = (time: string): number => Math.floor(Date.parse(time) / stepMs) * stepMs
  let number = 0
  for (let { fromMs } = span; fromMs < span.toMs; fromMs += STEPS * stepMs) {
    if (signal?.aborted) return
    const toMs = Math.min(fromMs + STEPS * stepMs, span.toMs)
    const asked = { ...needed, fromMs, toMs, stepMs }
    const cells = Map.groupBy(await readCells(sql, asked), (cell) => startOf(timeOf(cell)))
    const ledger = Map.groupBy(await readLedger(sql, asked), ({ bucket }) => startOf(bucket))
    for (let atMs = fromMs; atMs < toMs; atMs += stepMs) {
      const bucket = new Date(atMs + stepMs - MINUTE_MS).toISOString()
      yield {
        ...{ version: AGGREGATE_VERSION, partition: 0, epoch: 0, begin: 0, part: 0, parts: 1 },
        ...{ from: number, to: number + 1 },
        watermark: new Date(atMs + stepMs + GRACE_MS).toISOString(),
        // In their last minute: so they lie in the windows that end with them, and in no earlier.
        cells: (cells.get(atMs) ?? []).map((cell) =>
          'bucket' in cell ? { ...cell, bucket } : cell,
        ),
        ledger: (ledger.get(atMs) ?? []).map((row) => ({ ...row, bucket })),
      }
      number += 1
    }
  }
}

/** The names whose rows the rule is made of, and those of maintenance. */
function neededBy(rule: Rule): Pick<Asked, 'gauges' | 'counters' | 'histograms'> {
  const metric = parseMetric(rule.metric)
  const names = metric === undefined ? [] : namesOf(metric)
  const isOf = (...kinds: string[]): boolean => kinds.includes(metric?.kind ?? '')
  return {
    gauges: isOf('gauge', 'memory') ? names : [],
    counters: [MAINTENANCE, ...(isOf('counter') ? names : [])],
    histograms: isOf('histogram') ? names : [],
  }
}

function timeOf(cell: WireCell): string {
  if ('bucket' in cell) return cell.bucket
  return cell.kind === 'marker' ? cell.time : cell.first
}
