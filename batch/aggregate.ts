/**
 * `shelf aggregate`: closed chunks of the raw topic become cells in the topic aggregates. It has no
 * memory of its own: it goes on from the tail of its own output. Two of it on one partition write
 * the same records twice, and nothing breaks.
 */
import { z } from 'zod'
import type { Log, LogRecord, NewRecord } from '../broker/log.ts'
import { type Chunk, type DeadLetter, PartitionAggregator } from '../core/aggregate.ts'
import {
  AGGREGATE_VERSION,
  type AggregateRecord,
  aggregateRecordSchema,
  toAggregateRecords,
} from '../core/aggregate-record.ts'
import { DEDUPE_MS, DEDUPE_OFFSETS } from '../core/dedupe.ts'
import { aggregateLines } from './aggregate-lines.ts'
import { locateLog } from './locate.ts'
import { eachPartition, partitionsOf, patiently } from './loop.ts'
import { inputIsPiped } from './ndjson.ts'
import { openLog } from './open-log.ts'
import type { Program } from './program.ts'
import { refuseAnotherLog } from './same-log.ts'
import { stepEnd } from './tick.ts'
import { AGGREGATES, DEAD_LETTER, RAW, textOf } from './topics.ts'

/** How long a read waits for records where no chunk is open. */
const IDLE_WAIT_MS = 10_000

/** How long after a tick the next may follow: the broker's clock may be behind ours. */
const TICK_PAUSE_MS = 250

const versionSchema = z.object({ version: z.int() })

/** How far back the tail of the output is searched for a record that is one. */
const TAIL_RECORDS_MAX = 1000

export const aggregate: Program = {
  usage: 'aggregate',
  summary: 'Folds the raw log into cells: closed chunks of raw, to the topic aggregates.',
  details: `
With input (shelf from raw | shelf aggregate | shelf to aggregates) it is a filter.
Without (a terminal, /dev/null) it works on the log itself, until it is stopped.`,
  options: {},
  async run(_args, signal) {
    if (inputIsPiped()) await aggregateLines(signal)
    else await aggregateLog(openLog(locateLog(process.env)), signal)
  },
}

/** Aggregates all partitions until `signal`. */
export async function aggregateLog(log: Log, signal: AbortSignal): Promise<void> {
  let partitions = 0
  await patiently('aggregate', signal, async () => {
    partitions = partitionsOf(await log.topics(), RAW)
  })
  await eachPartition(partitions, signal, (partition, stop) =>
    patiently(`aggregate ${partition}`, stop, (succeeded) =>
      aggregatePartition(log, partition, stop, succeeded),
    ),
  )
}

/** Aggregates one partition until `signal`, from where the output of all before it ends. */
export async function aggregatePartition(
  log: Log,
  partition: number,
  signal: AbortSignal,
  succeeded: () => void = () => {},
): Promise<void> {
  const aggregator = new PartitionAggregator()
  let next = await startingPlace(log, partition, aggregator)
  let seenAt = Date.now()
  let tickAt = 0
  while (!signal.aborted) {
    const { waiting } = aggregator
    const wakeAt = waiting?.bursts ? Math.max(stepEnd(waiting.last, seenAt), tickAt) : Infinity
    const waitMs = Math.min(Math.max(wakeAt - Date.now(), 0), IDLE_WAIT_MS)
    const records = await log.read(RAW, partition, next, { waitMs, signal })
    succeeded()
    if (records.length > 0) seenAt = Date.now()
    const chunks: Chunk[] = []
    for (const record of records) {
      if (record.offset > next && (await isGap(log, partition, next))) {
        chunks.push(...aggregator.gap(next, record))
      }
      const chunk = aggregator.push(record)
      if (chunk !== undefined) chunks.push(chunk)
      next = record.offset + 1
    }
    await writeChunks(log, partition, chunks)
    if (records.length === 0 && Date.now() >= wakeAt) {
      await log.append(RAW, [{ partition, value: '' }])
      tickAt = Date.now() + TICK_PAUSE_MS
    }
  }
}

/** Offsets that a native Kafka skips are no loss; what lies before the earliest record is. */
async function isGap(log: Log, partition: number, next: number): Promise<boolean> {
  return (await log.offsetAt(RAW, partition, 'earliest')) > next
}

async function writeChunks(log: Log, partition: number, chunks: readonly Chunk[]): Promise<void> {
  const letters = chunks.flatMap((chunk) => chunk.deadLetters)
  if (letters.length > 0) {
    const records = letters.map((letter) => deadLetterRecord(partition, letter))
    for (const batch of inBatches(records)) await log.append(DEAD_LETTER, batch)
  }
  const records = chunks
    .flatMap((chunk) => toAggregateRecords(partition, chunk))
    .map((record): NewRecord => ({ partition, value: JSON.stringify(record) }))
  for (const batch of inBatches(records)) await log.append(AGGREGATES, batch)
}

/** Longest value that a dead letter repeats: with what stands around it, it stays below 1 MB. */
const DEAD_VALUE_CHARS_MAX = 900_000

function deadLetterRecord(partition: number, { record, code, message }: DeadLetter): NewRecord {
  const value = typeof record.value === 'string' ? record.value : record.value.toBase64()
  return {
    ...(record.key === null ? {} : { key: record.key }),
    value: JSON.stringify({
      ...{ topic: RAW, partition, offset: record.offset, code, message },
      value: value.slice(0, DEAD_VALUE_CHARS_MAX),
    }),
  }
}

/** Well under the bound of a request to the broker, 16 MiB. */
const APPEND_BYTES_MAX = 4 * 1_048_576

function* inBatches(records: readonly NewRecord[]): Generator<NewRecord[]> {
  let batch: NewRecord[] = []
  let bytes = 0
  for (const record of records) {
    if (bytes > 0 && bytes + record.value.length > APPEND_BYTES_MAX) {
      yield batch
      batch = []
      bytes = 0
    }
    batch.push(record)
    bytes += record.value.length
  }
  if (batch.length > 0) yield batch
}

/**
 * The raw offset to read from: behind the last chunk whose parts are all written. The aggregator
 * gets to know the bursts before it, which may come again.
 */
async function startingPlace(
  log: Log,
  partition: number,
  aggregator: PartitionAggregator,
): Promise<number> {
  const tail = await lastAggregate(log, partition)
  // Nothing written yet: all that was ever logged is due, and what is gone of it is a gap.
  if (tail === undefined) return 0
  await refuseAnotherLog(log, partition, tail.to, Date.parse(tail.watermark))
  const earliest = await log.offsetAt(RAW, partition, 'earliest')
  const place = tail.part + 1 === tail.parts ? tail.to : tail.from
  const oldest = await log.offsetAt(RAW, partition, Date.parse(tail.watermark) - DEDUPE_MS)
  let at = Math.max(earliest, Math.min(oldest, place), place - DEDUPE_OFFSETS)
  while (at < place) {
    const records = await log.read(RAW, partition, at)
    if (records.length === 0) break
    for (const record of records) {
      if (record.offset < place) aggregator.remember(record)
      at = record.offset + 1
    }
  }
  return place
}

/** The last record of the output; what somebody else may have put behind it is passed over. */
async function lastAggregate(log: Log, partition: number): Promise<AggregateRecord | undefined> {
  const earliest = await log.offsetAt(AGGREGATES, partition, 'earliest')
  const latest = await log.offsetAt(AGGREGATES, partition, 'latest')
  for (let at = latest - 1; at >= Math.max(earliest, latest - TAIL_RECORDS_MAX); at--) {
    const [record] = await log.read(AGGREGATES, partition, at)
    const aggregate = record && parseAggregate(record)
    if (aggregate !== undefined) return aggregate
  }
  return undefined
}

/**
 * What a record of aggregates holds; undefined where it is none.
 * @throws Error for a record of a newer Shelf: to pass over it would lose it
 */
export function parseAggregate(record: LogRecord): AggregateRecord | undefined {
  let json: unknown
  try {
    json = JSON.parse(textOf(record.value))
  } catch {
    return undefined
  }
  const version = versionSchema.safeParse(json).data?.version ?? 0
  if (version > AGGREGATE_VERSION) {
    throw new Error(
      `offset ${record.offset} of ${AGGREGATES} was written by a newer Shelf (version ${version}): ` +
        'update this one',
    )
  }
  const parsed = aggregateRecordSchema.safeParse(json)
  return parsed.success && parsed.data.partition === record.partition ? parsed.data : undefined
}
