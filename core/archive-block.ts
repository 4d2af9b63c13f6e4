/**
 * A block of archived records: what a file of the archive is made of, each block compressed on its
 * own, so that a read from the middle need not begin at the start. Layout, integers as in
 * core/bytes.ts: version (1 byte), count, first offset, first log time (Unix ms); then each record:
 * offset and log time as differences to the record before it, the key's length + 1 and its bytes (0:
 * no key), the value's length and its bytes.
 */
import { ByteReader, ByteWriter } from './bytes.ts'

/** The version that is written; the first byte of a block. */
const BLOCK_VERSION = 1

/** Bytes of records after which a block is full; one record may be larger. */
const BLOCK_BYTES_MAX = 4 * 1_048_576

/** About what a record takes beside its key and its value. */
const RECORD_BYTES = 12

/** Base64 of a burst, or of a control record, begins so: its first byte is below 4. */
const BASE64_START = 0x41

const encoder = new TextEncoder()
const decoder = new TextDecoder('utf-8', { ignoreBOM: true })

export interface ArchivedRecord {
  offset: number
  /** Log append time, Unix ms. */
  timestamp: number
  key: string | null
  value: Uint8Array
}

/**
 * The bytes of a value, the same whichever way it came: a burst in base64, as a dialect of text
 * carries it, is what it is the base64 of. Anything else is kept as it is, text as UTF-8.
 */
export function archivedValue(value: string | Uint8Array): Uint8Array {
  const bytes = typeof value === 'string' ? encoder.encode(value) : value
  if (bytes[0] !== BASE64_START) return bytes
  const text = decoder.decode(bytes)
  try {
    const decoded = Uint8Array.fromBase64(text)
    return decoded.toBase64() === text ? decoded : bytes
  } catch {
    return bytes
  }
}

/** Collects records of one partition, in their order, until a block of them is full. */
export class BlockWriter {
  private records: ArchivedRecord[] = []
  private size = 0

  /** Where the block stands in its partition; undefined while it is empty. */
  get first(): ArchivedRecord | undefined {
    return this.records[0]
  }

  get count(): number {
    return this.records.length
  }

  /** Whether a record would make the block too large. Looks at records only: all cut alike. */
  isFullFor(record: ArchivedRecord): boolean {
    return this.size > 0 && this.size + sizeOf(record) > BLOCK_BYTES_MAX
  }

  push(record: ArchivedRecord): void {
    this.records.push(record)
    this.size += sizeOf(record)
  }

  /** The block's bytes; the next record begins another. */
  finish(): Uint8Array<ArrayBuffer> {
    const bytes = encodeBlock(this.records, this.size)
    this.records = []
    this.size = 0
    return bytes
  }
}

const sizeOf = ({ key, value }: ArchivedRecord): number =>
  value.length + (key?.length ?? 0) + RECORD_BYTES

function encodeBlock(
  records: readonly ArchivedRecord[],
  capacity: number,
): Uint8Array<ArrayBuffer> {
  const writer = new ByteWriter(capacity)
  let { offset, timestamp } = records[0] ?? { offset: 0, timestamp: 0 }
  writer.byte(BLOCK_VERSION)
  writer.varint(records.length)
  writer.varint(offset)
  writer.varint(timestamp)
  for (const record of records) {
    writer.varint(record.offset - offset)
    writer.signed(record.timestamp - timestamp)
    const key = record.key === null ? undefined : encoder.encode(record.key)
    writer.varint(key === undefined ? 0 : key.length + 1)
    if (key !== undefined) writer.raw(key)
    writer.raw(record.value, true)
    ;({ offset, timestamp } = record)
  }
  return writer.finish()
}

/**
 * The records of a block; their values are views of its bytes.
 * @throws RangeError where the bytes are no block
 */
export function decodeBlock(bytes: Uint8Array): ArchivedRecord[] {
  const reader = new ByteReader(bytes)
  const version = reader.byte()
  if (version !== BLOCK_VERSION) throw new RangeError(`block version ${version} is not known here`)
  const count = reader.varint()
  let offset = reader.varint()
  let timestamp = reader.varint()
  const records: ArchivedRecord[] = []
  for (let i = 0; i < count; i++) {
    offset += reader.varint()
    timestamp += reader.signed()
    const keyBytes = reader.varint()
    const key = keyBytes === 0 ? null : decoder.decode(reader.raw(keyBytes - 1))
    records.push({ offset, timestamp, key, value: reader.raw(reader.varint()) })
  }
  if (reader.left > 0) throw new RangeError('bytes follow the last record')
  return records
}
