/** Records as Kafka stores them, in batches, and as a log gives them. */

import { Reader, type RecordsBatch, readRecordsBatch } from '@platformatic/kafka'
import type { FetchedRecord } from './dialect.ts'
import type { LogRecord } from './log.ts'

/** Of a batch: its first offset, and how many bytes follow. */
const BATCH_HEAD_BYTES = 12

/** Attributes of a batch, from Kafka's message format, version 2. */
const LOG_APPEND_TIME = 1 << 3
const CONTROL = 1 << 5

const text = new TextDecoder('utf-8', { ignoreBOM: true })
const strictText = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

export interface KafkaRecord extends LogRecord {
  value: Uint8Array
  headers: { key: string; value: string }[]
}

/**
 * The records that an answer holds from `offset` on, up to `bytesMax` of them, but always one; and where to read on. Decoded batch by batch, and no more of them than are taken. The first
 * batch may begin before `offset`; the last one may be cut short, and comes again.
 */
export function readStored(
  where: { topic: string; partition: number },
  stored: Buffer,
  offset: number,
  bytesMax: number,
): { records: KafkaRecord[]; bytes: number; next: number } {
  const records: KafkaRecord[] = []
  let bytes = 0
  let next = offset
  for (const batch of batchesOf(stored)) {
    const first = Number(batch.firstOffset)
    for (const record of batch.attributes & CONTROL ? [] : batch.records) {
      if (first + record.offsetDelta < offset) continue
      const isFull = records.length > 0 && bytes + record.length > bytesMax
      if (isFull) return { records, bytes, next }
      bytes += record.length
      records.push(recordOf(where, batch, record))
      next = first + record.offsetDelta + 1
    }
    // Marks of transactions take an offset and are no records.
    next = Math.max(next, first + batch.lastOffsetDelta + 1)
    if (bytes >= bytesMax) break
  }
  return { records, bytes, next }
}

function* batchesOf(stored: Buffer): Generator<RecordsBatch> {
  let at = 0
  while (stored.length - at >= BATCH_HEAD_BYTES) {
    const end = at + BATCH_HEAD_BYTES + stored.readInt32BE(at + 8)
    if (end > stored.length) return
    yield readRecordsBatch(Reader.from(stored.subarray(at, end)))
    at = end
  }
}

function recordOf(
  where: { topic: string; partition: number },
  { attributes, firstOffset, firstTimestamp, maxTimestamp }: RecordsBatch,
  { offsetDelta, timestampDelta, key, value, headers }: RecordsBatch['records'][number],
): KafkaRecord {
  return {
    ...where,
    offset: Number(firstOffset) + offsetDelta,
    timestamp: Number(
      attributes & LOG_APPEND_TIME ? maxTimestamp : firstTimestamp + timestampDelta,
    ),
    key: key === null ? null : text.decode(key),
    value: plain(value),
    headers: headers.map(([name, content]) => ({
      key: text.decode(plain(name)),
      value: text.decode(plain(content)),
    })),
  }
}

/**
 * A record for a dialect that carries text only: its value as it is where it is text, in base64
 * where it is not. A burst is not: no text begins with a control character, as its version is.
 */
export function textRecord({ value, ...record }: KafkaRecord): FetchedRecord {
  return { ...record, value: textOf(value) ?? value.toBase64() }
}

function textOf(value: Uint8Array): string | undefined {
  const [first] = value
  if (first !== undefined && first < 0x09) return undefined
  try {
    return strictText.decode(value)
  } catch {
    return undefined
  }
}

/** The library's buffers as plain bytes; no value (a tombstone) as none. */
const plain = (bytes: Buffer | null): Uint8Array =>
  bytes === null
    ? new Uint8Array()
    : new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength)
