/** Where check goes on: all it knows comes from the log, from the end of its own output above all. */
import type { Log } from '../broker/log.ts'
import { PartitionChecker } from '../core/check.ts'
import { checkpointOf } from '../core/check-make.ts'
import type { CheckRecord, CheckResult } from '../core/check-result.ts'
import { depthMinutesOf } from '../core/check-rules.ts'
import { type Arrivals, resumeFrom } from '../core/check-tail.ts'
import { MINUTE_MS, minuteOf } from '../core/ledger.ts'
import { partitionOf } from '../core/partition.ts'
import type { RuleEntry } from '../core/rule-record.ts'
import { lastAggregate } from './aggregate-tail.ts'
import { appendAll } from './append.ts'
import { parseCheckRecord } from './check-results.ts'
import { partitionsOf } from './loop.ts'
import { AGGREGATES, CHECK_RESULTS } from './topics.ts'

/** What is not ok is said once a UTC day; a window ends at most this before that is written. */
const TAIL_MS = 25 * 60 * MINUTE_MS

/** Between a checkpoint and the last record there are minutes, unless somebody was away. */
const SLACK_MS = 60 * MINUTE_MS

/** What claims to be of the future by up to 5 minutes is believed. */
const FUTURE_MINUTES = 6

/** A gap before the first record read would not show. */
const RECORDS_BEFORE = 50

export interface Start {
  checker: PartitionChecker
  /** Offset of aggregates to read on from. */
  next: number
}

/**
 * A checker of the partition that goes on where the log says, with `entries` to be learnt.
 * @param partitions of the log: they decide whose app is whose
 * @param where to begin if nothing was decided yet: now, or with the first record that comes; `all`
 *   begins with that in any case
 */
export async function startChecker(
  log: Log,
  partition: number,
  partitions: number,
  entries: readonly RuleEntry[],
  otherwise: 'now' | 'first' | 'all' = 'now',
): Promise<Start> {
  const owns = (app: string): boolean => partitionOf(app, partitions) === partition
  const tail = otherwise === 'all' ? [] : await readTail(log, partition)
  const before = partitionsBefore(tail, partitions)
  const isOurs = (app: string): boolean => before > 0 && partitionOf(app, before) === partition
  const arrivals =
    otherwise === 'all' || before === partitions
      ? undefined
      : await findArrivals(log, partition, partitions, (app) => owns(app) && !isOurs(app))
  if (otherwise === 'now') await append(log, partition, arrivals?.results ?? [])
  const found =
    resumeFrom(tail, backMinutesOf(entries)) ??
    (otherwise === 'now' ? await begin(log, partition, partitions) : undefined)
  const resume = found && { ...found, arrivals }
  const checker = new PartitionChecker({ partition, partitions, owns, resume })
  if (resume === undefined) return { checker, next: 0 }
  const depthMinutes = depthOf(entries) + FUTURE_MINUTES
  const sinceMs = resume.fromMs - depthMinutes * MINUTE_MS
  const [first, earliest] = await Promise.all([
    log.offsetAt(AGGREGATES, partition, Math.max(0, sinceMs)),
    log.offsetAt(AGGREGATES, partition, 'earliest'),
  ])
  return { checker, next: Math.max(earliest, first - RECORDS_BEFORE) }
}

/** The first start: windows are decided from now on, and the log says so to all that come later. */
async function begin(log: Log, partition: number, partitions: number) {
  const watermarkMs = await watermarkOf(log, partition)
  const untilMs = minuteOf(watermarkMs)
  await append(log, partition, [checkpointOf({ partition, untilMs, watermarkMs }, partitions)])
  return { fromMs: untilMs, untilMs, tail: [] }
}

async function watermarkOf(log: Log, partition: number): Promise<number> {
  const last = await lastAggregate(log, partition)
  return last === undefined ? Date.now() : Date.parse(last.watermark)
}

async function append(log: Log, partition: number, records: readonly CheckRecord[]): Promise<void> {
  const values = records.map((record) => ({ partition, value: JSON.stringify(record) }))
  await appendAll(log, CHECK_RESULTS, values)
}

/** How many partitions there were when the last checkpoint was written; 0 where there is none. */
function partitionsBefore(tail: readonly CheckRecord[], now: number): number {
  const checkpoint = tail.findLast((record) => record.kind === 'checkpoint')
  return checkpoint === undefined ? 0 : (checkpoint.partitions ?? now)
}

/**
 * The apps that were another partition's when it was decided last: their incidents go on here, as
 * what stands, and their windows from now on. Before, their data went elsewhere: that is no silence.
 */
async function findArrivals(
  log: Log,
  partition: number,
  partitions: number,
  has: (app: string) => boolean,
): Promise<Arrivals> {
  const last = new Map<string, CheckResult>()
  // Aggregates may have got its partitions first.
  const there = Math.min(partitions, partitionsOf(await log.topics(), CHECK_RESULTS))
  for (let other = 0; other < there; other++) {
    for (const record of other === partition ? [] : await readTail(log, other)) {
      if (record.kind === 'checkpoint' || !has(record.app)) continue
      const id = `${record.rule}/${record.app}`
      const known = last.get(id)
      if (known === undefined || known.window.until <= record.window.until) last.set(id, record)
    }
  }
  const results = [...last.values()]
    .filter(({ state }) => state !== 'ok')
    .map((record): CheckResult => {
      const key = `${record.rule}/${record.app}/${record.window.until}/standing`
      return { ...record, key, partition, kind: 'standing', previous: record.state }
    })
  return { has, untilMs: minuteOf(await watermarkOf(log, partition)), results }
}

function backMinutesOf(entries: readonly RuleEntry[]): number {
  return 1 + mostOf(entries, ({ recoveryMinutes }) => recoveryMinutes)
}

function depthOf(entries: readonly RuleEntry[]): number {
  return 1 + mostOf(entries, depthMinutesOf)
}

type RuleOf = (rule: NonNullable<Extract<RuleEntry, { kind: 'rule' }>['rule']>) => number

function mostOf(entries: readonly RuleEntry[], minutesOf: RuleOf): number {
  let most = 0
  for (const entry of entries) {
    if (entry.kind === 'rule' && entry.rule !== null) most = Math.max(most, minutesOf(entry.rule))
  }
  return most
}

/** The partition's check-results of the day before its last checkpoint, and all behind that. */
async function readTail(log: Log, partition: number): Promise<CheckRecord[]> {
  const latest = await log.offsetAt(CHECK_RESULTS, partition, 'latest')
  const [last] = await log.read(CHECK_RESULTS, partition, Math.max(0, latest - 1))
  if (last === undefined) return []
  const sinceMs = last.timestamp - TAIL_MS - SLACK_MS
  const records = await readFrom(log, partition, sinceMs)
  // Who was away for long has written of times that lie long before.
  const resume = resumeFrom(records, 0)
  if (resume === undefined || resume.untilMs - TAIL_MS >= sinceMs) return records
  return await readFrom(log, partition, resume.untilMs - TAIL_MS)
}

async function readFrom(log: Log, partition: number, sinceMs: number): Promise<CheckRecord[]> {
  const found: CheckRecord[] = []
  let next = await log.offsetAt(CHECK_RESULTS, partition, Math.max(0, sinceMs))
  for (;;) {
    const records = await log.read(CHECK_RESULTS, partition, next)
    if (records.length === 0) return found
    for (const record of records) {
      const result = parseCheckRecord(record)
      if (result?.partition === partition) found.push(result)
      next = record.offset + 1
    }
  }
}
