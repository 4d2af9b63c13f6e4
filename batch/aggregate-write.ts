/** Closed chunks into the topics aggregates and dead-letter. */
import type { Log, NewRecord } from '../broker/log.ts'
import type { Chunk, DeadLetter } from '../core/aggregate.ts'
import { toAggregateRecords } from '../core/aggregate-record.ts'
import { AGGREGATES, DEAD_LETTER, RAW } from './topics.ts'

/** Longest value that a dead letter repeats: with what stands around it, it stays below 1 MB. */
const DEAD_VALUE_CHARS_MAX = 900_000

/** Well under the bound of a request to the broker, 16 MiB. */
const APPEND_BYTES_MAX = 4 * 1_048_576

/** Writes the chunks; returns the offset of aggregates behind them, undefined where there are none. */
export async function writeChunks(
  log: Log,
  partition: number,
  chunks: readonly Chunk[],
): Promise<number | undefined> {
  const letters = chunks
    .flatMap((chunk) => chunk.deadLetters)
    .map((letter) => deadLetterRecord(partition, letter))
  for (const batch of inBatches(letters)) await log.append(DEAD_LETTER, batch)
  const records = chunks
    .flatMap((chunk) => toAggregateRecords(partition, chunk))
    .map((record): NewRecord => ({ partition, value: JSON.stringify(record) }))
  let end: number | undefined
  for (const batch of inBatches(records)) {
    const last = (await log.append(AGGREGATES, batch)).at(-1)
    if (last !== undefined) end = last.offset + 1
  }
  return end
}

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
