/** Where check goes on: all it knows comes from the log, from the end of its own output above all. */
import type { Log } from '../broker/log.ts'
import { PartitionChecker } from '../core/check.ts'
import { checkpointOf } from '../core/check-make.ts'
import type { CheckRecord } from '../core/check-result.ts'
import { depthMinutesOf } from '../core/check-rules.ts'
import { resumeFrom } from '../core/check-tail.ts'
import { MINUTE_MS, minuteOf } from '../core/ledger.ts'
import { partitionOf } from '../core/partition.ts'
import type { RuleEntry } from '../core/rule-record.ts'
import { lastAggregate } from './aggregate-tail.ts'
import { parseCheckRecord } from './check-results.ts'
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
  const resume =
    resumeFrom(tail, backMinutesOf(entries)) ??
    (otherwise === 'now' ? await begin(log, partition) : undefined)
  const checker = new PartitionChecker({ partition, owns, resume })
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
async function begin(log: Log, partition: number) {
  const last = await lastAggregate(log, partition)
  const watermarkMs = last === undefined ? Date.now() : Date.parse(last.watermark)
  const untilMs = minuteOf(watermarkMs)
  const value = JSON.stringify(checkpointOf({ partition, untilMs, watermarkMs }))
  await log.append(CHECK_RESULTS, [{ partition, value }])
  return { fromMs: untilMs, untilMs, tail: [] }
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
