/**
 * Looks back in the raw log for late bursts (core/late.ts). It costs a read of the log from the
 * oldest receipt among them up to where the window of ids begins, some 10 µs a record, once for each
 * read that brought late ones: two lookups of an offset, and no read, where the window covers their
 * receipt. While a spool drains it is little: Kafka was down then. A log whose clock is more than a
 * minute ahead of the edge's pays it all the time.
 */
import type { LogRecord } from '../broker/log.ts'
import { readBurstHead } from '../core/burst-head.ts'
import type { Position } from '../core/chunk.ts'
import { DEDUPE_MS, DEDUPE_OFFSETS } from '../core/dedupe.ts'
import { LookBack } from '../core/late.ts'
import type { RawLog } from './raw-source.ts'
import { RAW } from './topics.ts'

/** What `PartitionAggregator.recall` takes before it takes `records`. */
export async function lookBack(
  log: RawLog,
  partition: number,
  records: readonly LogRecord[],
  signal?: AbortSignal,
): Promise<LookBack> {
  const search = new LookBack()
  for (const record of records) {
    const head = readBurstHead(record.value)
    if (head !== undefined) search.ask(record, head)
  }
  const [first] = records
  if (first === undefined || search.last === undefined) return search
  const end = Math.min(first.offset, await windowStart(log, partition, search.last))
  await searchLog(log, partition, search, end, signal)
  return search
}

/** The raw offset at which the window of ids begins for a record. */
async function windowStart(log: RawLog, partition: number, at: Position): Promise<number> {
  const recent = await log.offsetAt(RAW, partition, at.timestamp - DEDUPE_MS)
  return Math.max(at.offset - DEDUPE_OFFSETS, recent)
}

/** Searches the log up to, without, the raw offset `end`. */
export async function searchLog(
  log: RawLog,
  partition: number,
  search: LookBack,
  end: number,
  signal?: AbortSignal,
): Promise<void> {
  if (search.last === undefined) return
  let at = await log.offsetAt(RAW, partition, search.sinceMs)
  while (at < end) {
    const records = await log.read(RAW, partition, at, signal && { signal })
    if (records.length === 0) return
    for (const record of records) {
      if (record.offset < end) search.tell(record)
      at = record.offset + 1
    }
  }
}
