/** Scripted histories: what is logged when, as records of aggregates, and what check says to it. */

import type { AggregateRecord } from '../core/aggregate-record.ts'
import { toAggregateRecords } from '../core/aggregate-record.ts'
import { ABSENT, packRequests, requestColumns } from '../core/burst.ts'
import { Cells } from '../core/cell.ts'
import { PartitionChecker } from '../core/check.ts'
import type { CheckRecord, CheckResult } from '../core/check-result.ts'
import { resumeFrom } from '../core/check-tail.ts'
import type { LedgerCounts } from '../core/ledger.ts'
import { type Rule, ruleSchema } from '../core/rule.ts'
import type { RuleEntry } from '../core/rule-record.ts'

export const MINUTE_MS = 60_000

/** When all histories begin: a day, three in the morning. */
export const START_MS = Date.UTC(2026, 10, 23, 3)

/** `at(5, 30)` is 03:05:30. */
export const at = (minute: number, second = 0): number =>
  START_MS + minute * MINUTE_MS + second * 1000

interface Traffic {
  app?: string
  process?: string
  requests?: number
  /** Of them, those with status 503. */
  failed?: number
  serviceMs?: number
}

export class History {
  private readonly entries: { logMs: number; fill: (cells: Cells) => void; lost: number }[] = []
  readonly rules: RuleEntry[] = []
  private readonly outages: [number, number][] = []
  private revision = 0

  /** Logged at `logMs`. */
  log(logMs: number, fill: (cells: Cells) => void): this {
    this.entries.push({ logMs, fill, lost: 0 })
    return this
  }

  /** Records of raw that nobody could read any more. */
  lose(logMs: number, lost: number): this {
    this.entries.push({ logMs, fill: () => {}, lost })
    return this
  }

  /** Requests in the middle of a minute, logged `delayMs` after it ended, unless said otherwise. */
  minute(minute: number, traffic: Traffic, logMs = at(minute, 31)): this {
    const { app = 'demo', process = 'web', requests = 100, failed = 0, serviceMs = 100 } = traffic
    return this.log(logMs, (cells) => {
      const columns = requestColumns(requests)
      for (let i = 0; i < requests; i++) {
        columns.timeMs[i] = at(minute, 30)
        columns.serviceMs[i] = serviceMs
        columns.connectMs[i] = 1
        columns.status[i] = i < failed ? 503 : 200
        columns.bytes[i] = 100
        columns.process[i] = 0
        columns.code[i] = ABSENT
      }
      cells.addRequests(app, packRequests({ ...columns, processes: [process], codes: [] }))
      cells.addLedger(app, at(minute), { received: requests, kept: requests })
    })
  }

  /** The same traffic in the minutes from `first` to `last`. */
  minutes(first: number, last: number, traffic: Traffic): this {
    for (let minute = first; minute <= last; minute++) this.minute(minute, traffic)
    return this
  }

  ledger(minute: number, counts: LedgerCounts, app = 'demo'): this {
    return this.log(at(minute, 40), (cells) => cells.addLedger(app, at(minute), counts))
  }

  counter(minute: number, name: string, sum: number, app = 'demo'): this {
    const cell = { app, process: 'web', name, source: '', bucketMs: at(minute), sum }
    return this.log(at(minute, 40), (cells) => {
      cells.addCounter(cell)
      cells.addLedger(app, at(minute), { received: sum, kept: sum })
    })
  }

  gauge(minute: number, name: string, value: number, app = 'demo', process = 'web'): this {
    return this.log(at(minute, 40), (cells) => {
      const key = { app, process, name, source: '', bucketMs: at(minute) }
      const one = { count: 1, sum: value, min: value, max: value, last: value }
      cells.addGauge({ ...key, ...one, lastMs: at(minute, 40) })
      cells.addLedger(app, at(minute), { received: 1, kept: 1 })
    })
  }

  deploy(minute: number, app = 'demo'): this {
    const marker = { kind: 'deploy' as const, process: '', dyno: '', text: 'abc', by: '' }
    return this.log(at(minute, 30), (cells) =>
      cells.addMarker({ app, timeMs: at(minute, 30), ...marker }),
    )
  }

  /** Nobody could write to the raw log. */
  outage(fromMs: number, untilMs: number): this {
    this.outages.push([fromMs, untilMs])
    return this
  }

  rule(rule: Partial<Rule> & { metric: string }, timestampMs = START_MS - 1): this {
    const full = ruleSchema.parse({ id: 'r', apps: ['demo'], ...rule })
    this.revision += 1
    const record = { version: 1 as const, kind: 'rule' as const, id: full.id, rule: full }
    this.rules.push({ ...record, revision: this.revision, timestampMs })
    return this
  }

  unrule(id: string, timestampMs: number): this {
    this.revision += 1
    const record = { version: 1 as const, kind: 'rule' as const, id, rule: null }
    this.rules.push({ ...record, revision: this.revision, timestampMs })
    return this
  }

  silence(sinceMs: number, untilMs: number, timestampMs: number, app: string | null = null): this {
    this.revision += 1
    const [since, until] = [new Date(sinceMs).toISOString(), new Date(untilMs).toISOString()]
    const silence = { app, rule: null, since, until, author: 'kim', reason: 'move' }
    const record = { version: 1 as const, kind: 'silence' as const, id: 's', silence }
    this.rules.push({ ...record, revision: this.revision, timestampMs })
    return this
  }

  /** All cells, moved by so much. */
  into(cells: Cells, moveMs: number): void {
    for (const { fill } of this.entries) {
      const own = new Cells()
      fill(own)
      for (const cell of own.requests.values()) cells.mergeRequestCell(moved(cell, moveMs))
      for (const cell of own.gauges.values()) cells.addGauge(moved(cell, moveMs))
      for (const cell of own.counters.values()) cells.addCounter(moved(cell, moveMs))
      for (const { app, bucketMs, counts } of own.ledger.values()) {
        cells.addLedger(app, bucketMs + moveMs, counts)
      }
    }
  }

  /** The records of aggregates until a minute. Each minute has two ticks, as check writes them. */
  until(minute: number): AggregateRecord[] {
    const ticks: number[] = [START_MS]
    for (let m = 0; m <= minute; m++) ticks.push(at(m, 5), at(m, 7))
    const writable = (ms: number): boolean =>
      !this.outages.some(([from, until]) => from <= ms && ms < until)
    const nothing = { fill: () => {}, lost: 0 }
    const all = [
      ...this.entries,
      ...ticks.filter(writable).map((logMs) => ({ logMs, ...nothing })),
    ].sort((a, b) => a.logMs - b.logMs)
    let offset = 0
    return all.flatMap(({ logMs, fill, lost }) => {
      const cells = new Cells()
      fill(cells)
      const from = offset + lost
      offset = from + 10
      const chunk = { epoch: 0, begin: 0, from, to: offset, watermarkMs: logMs, deadLetters: [] }
      return toAggregateRecords(0, { ...chunk, cells })
    })
  }
}

const moved = <Cell extends { bucketMs: number }>(cell: Cell, moveMs: number): Cell => ({
  ...cell,
  bucketMs: cell.bucketMs + moveMs,
})

/** What a checker from the beginning says. */
export function check(history: History, minute: number): CheckRecord[] {
  const checker = new PartitionChecker({ partition: 0 })
  for (const entry of history.rules) checker.learn(entry)
  return history.until(minute).flatMap((record) => checker.push(record))
}

/** How many minutes before a window can matter to it, in the rules of a history. */
const BACK_MINUTES = 20

/** What one says that starts when `written` is in the log, with what it reads back of aggregates. */
export function checkAgain(
  history: History,
  aggregates: readonly AggregateRecord[],
  written: readonly CheckRecord[],
): CheckRecord[] {
  const resume = resumeFrom(written, BACK_MINUTES)
  const checker = new PartitionChecker({ partition: 0, resume })
  for (const entry of history.rules) checker.learn(entry)
  const sinceMs = (resume?.fromMs ?? START_MS) - BACK_MINUTES * MINUTE_MS
  const first = aggregates.findIndex(({ watermark }) => Date.parse(watermark) >= sinceMs)
  return aggregates.slice(Math.max(0, first - 1)).flatMap((record) => checker.push(record))
}

export const results = (records: readonly CheckRecord[]): CheckResult[] =>
  records.filter((record) => record.kind !== 'checkpoint')

/** `03:06 +6.0s firing 1200 (was ok)`: the window's end, how long after it, the state, the value. */
export function words(records: readonly CheckRecord[]): string[] {
  return results(records).map((record) => {
    const { window, at, state, value, previous, kind, muted } = record
    const lateMs = Date.parse(at) - Date.parse(window.until)
    const rounded = value === null ? 'null' : String(Math.round(value * 1000) / 1000)
    const why = kind === 'change' ? `was ${previous}` : kind
    const quiet = muted === null ? '' : `, muted: ${muted}`
    return `${window.until.slice(11, 16)} +${lateMs / 1000}s ${state} ${rounded} (${why}${quiet})`
  })
}
