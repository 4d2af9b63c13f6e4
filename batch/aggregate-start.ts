/** Where aggregation of a partition goes on: behind its own output, or in a log that replaced it. */
import type { Log } from '../broker/log.ts'
import type { Epoch } from '../core/aggregate.ts'
import type { AggregateRecord } from '../core/aggregate-record.ts'
import { type Position, timeStep } from '../core/chunk.ts'
import { aggregatesFrom, lastAggregate } from './aggregate-tail.ts'
import { isSameLog } from './same-log.ts'
import { AGGREGATES, RAW } from './topics.ts'

export interface Start {
  epoch: Epoch
  /** The raw log is another one than the output was made from: it is a new epoch. */
  isReplaced: boolean
  /** Raw offset to read from. */
  place: number
  /** The record before the place, where it is known. */
  last?: Position
  /** Log time before which all lies that the place follows; undefined where nothing does. */
  watermarkMs?: number
  /** Log time of the last record known before the place, also one of the log that was replaced. */
  beforeMs?: number | undefined
}

/** Behind the last chunk whose parts are all written; from the earliest record where there is none. */
export async function findStart(log: Log, partition: number): Promise<Start> {
  const tail = await lastAggregate(log, partition)
  // Nothing written yet: all that was ever logged is due, and what is gone of it is a gap.
  if (tail === undefined) {
    return { epoch: { epoch: 0, begin: 0 }, isReplaced: false, place: 0 }
  }
  const watermarkMs = Date.parse(tail.watermark)
  if (!(await isSameLog(log, partition, tail.to, watermarkMs))) {
    const begin = await beginOf(log, partition, tail)
    const epoch = { epoch: tail.epoch + 1, begin }
    return { epoch, isReplaced: true, place: begin, watermarkMs, beforeMs: watermarkMs }
  }
  const known = { epoch: { epoch: tail.epoch, begin: tail.begin }, isReplaced: false, watermarkMs }
  if (tail.part + 1 < tail.parts) {
    return { ...known, place: tail.from, beforeMs: await timeBefore(log, partition, tail) }
  }
  const last = { offset: tail.to - 1, timestamp: watermarkMs }
  return { ...known, place: tail.to, last, beforeMs: watermarkMs }
}

/** The watermark before a chunk: who writes the chunk again says the same of what lies before it. */
async function timeBefore(
  log: Log,
  partition: number,
  { epoch, from }: AggregateRecord,
): Promise<number | undefined> {
  const isBefore = (record: AggregateRecord) =>
    record.epoch < epoch || (record.epoch === epoch && record.from < from)
  const before = await lastAggregate(log, partition, isBefore)
  return before && Date.parse(before.watermark)
}

/**
 * Where the log begins to be another one. It may have been cut off at its end only, as by an unclean
 * election of Kafka, or come back from a backup: what it still holds of the log before was
 * aggregated, and is passed over.
 */
async function beginOf(log: Log, partition: number, tail: AggregateRecord): Promise<number> {
  const earliest = await log.offsetAt(RAW, partition, 'earliest')
  const newer = await log.offsetAt(RAW, partition, Date.parse(tail.watermark) + 1)
  if (newer <= earliest) return earliest
  const [known] = await log.read(RAW, partition, newer - 1)
  if (known === undefined || known.offset >= newer) return earliest
  // It was aggregated if the chunk of its offset is of its time: chunks never cross a step of it.
  const written = await log.offsetAt(AGGREGATES, partition, known.timestamp)
  for await (const { from, to, watermark } of aggregatesFrom(log, partition, written)) {
    const isHeld = from <= known.offset && known.offset < to
    if (isHeld && timeStep(Date.parse(watermark)) === timeStep(known.timestamp)) return newer
  }
  return earliest
}
