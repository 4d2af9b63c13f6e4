/** The output of aggregate as it reads it itself: what its last records say of where it was. */
import { z } from 'zod'
import type { Log, LogRecord } from '../broker/log.ts'
import {
  AGGREGATE_VERSION,
  type AggregateRecord,
  aggregateRecordSchema,
} from '../core/aggregate-record.ts'
import { AGGREGATES, textOf } from './topics.ts'

const versionSchema = z.object({ version: z.int() })

/** How far back the tail of the output is searched for a record that is one. */
const TAIL_RECORDS_MAX = 1000

/** The last records among which a slower worker's may hide those of a newer epoch. */
const TAIL_RECORDS = 20

/**
 * The last record of the output, of the newest epoch there. What somebody else may have put behind
 * it is passed over, and what is not wanted.
 */
export async function lastAggregate(
  log: Log,
  partition: number,
  isWanted: (record: AggregateRecord) => boolean = () => true,
): Promise<AggregateRecord | undefined> {
  const [earliest, latest] = await Promise.all([
    log.offsetAt(AGGREGATES, partition, 'earliest'),
    log.offsetAt(AGGREGATES, partition, 'latest'),
  ])
  const start = Math.max(earliest, latest - TAIL_RECORDS_MAX)
  for (let end = latest; end > start; end -= TAIL_RECORDS) {
    let last: AggregateRecord | undefined
    const from = Math.max(start, end - TAIL_RECORDS)
    for await (const record of aggregatesFrom(log, partition, from, end)) {
      if (isWanted(record) && record.epoch >= (last?.epoch ?? 0)) last = record
    }
    if (last !== undefined) return last
  }
  return undefined
}

/** The records of the output from an offset on, up to its end or, without, the offset `end`. */
export async function* aggregatesFrom(
  log: Log,
  partition: number,
  offset: number,
  end = Number.POSITIVE_INFINITY,
): AsyncGenerator<AggregateRecord> {
  for (let at = offset; at < end; ) {
    const records = await log.read(AGGREGATES, partition, at)
    if (records.length === 0) return
    for (const record of records) {
      if (record.offset >= end) return
      const aggregate = parseAggregate(record)
      if (aggregate !== undefined) yield aggregate
      at = record.offset + 1
    }
  }
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
