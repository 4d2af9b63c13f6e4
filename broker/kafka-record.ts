/** Records as Kafka stores them, in batches, and as a log gives them. */

import type { RecordsBatch } from '@platformatic/kafka'
import type { FetchedRecord } from './dialect.ts'
import type { LogRecord } from './log.ts'

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
 * The records of batches from `offset` on, and where to read on. The first batch may begin before
 * `offset`; marks of transactions take an offset and are no records.
 */
export function readBatches(
  where: { topic: string; partition: number },
  batches: readonly RecordsBatch[],
  offset: number,
): { records: KafkaRecord[]; next: number } {
  const records: KafkaRecord[] = []
  let next = offset
  for (const batch of batches) {
    const first = Number(batch.firstOffset)
    if (!(batch.attributes & CONTROL)) {
      for (const { offsetDelta, timestampDelta, key, value, headers } of batch.records) {
        if (first + offsetDelta < offset) continue
        records.push({
          ...where,
          offset: first + offsetDelta,
          timestamp: Number(
            batch.attributes & LOG_APPEND_TIME
              ? batch.maxTimestamp
              : batch.firstTimestamp + timestampDelta,
          ),
          key: key === null ? null : text.decode(key),
          value: plain(value),
          headers: headers.map(([name, content]) => ({
            key: text.decode(plain(name)),
            value: text.decode(plain(content)),
          })),
        })
      }
    }
    next = Math.max(next, first + batch.lastOffsetDelta + 1)
  }
  return { records, next }
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
