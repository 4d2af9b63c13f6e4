/**
 * A burst is one drain request: the record of the raw topic. Its value is columnar, because that
 * is small (a router line of about 290 bytes becomes about 10) and quick to fold.
 */
import { ByteReader, ByteWriter, INTEGER_MAX } from './bytes.ts'
import { type PackedColumn, readColumn, unpackColumn, writeColumn } from './column.ts'
import { APP_NAME } from './credential.ts'
import { type Ledger, minuteOf } from './ledger.ts'
import { readLedger, writeLedger } from './ledger-bytes.ts'
import { emptySignals, hasSignals, readSignals, type Signals, writeSignals } from './signals.ts'
import { TIME_MS_MAX } from './time.ts'

/** The version that is written; the first byte of the value. */
export const BURST_VERSION = 1

/** In a column: the line did not say. Never 0, which is a value. */
export const ABSENT = -1

/** An id is 16 bytes, as 32 hex digits: see burstId in edge/. */
export const ID_BYTES = 16

/**
 * Most requests of a burst. A body is at most 768 KiB, and the shortest line for a request takes 29
 * bytes of it. Columns of equal values take none, so the bytes of a record do not bound its rows.
 */
export const ROWS_MAX = 65_536

/** A duration fits 32 bits with its sign. */
export const DURATION_MS_MAX = 2 ** 31 - 1

/** A status has three digits. */
export const STATUS_MAX = 999

/** What a column of 6 bytes holds, beside ABSENT. */
export const RESPONSE_BYTES_MAX = INTEGER_MAX - 1

/** The requests of a burst: one entry each in every column, in the order of the body. */
interface Requests<Column> {
  /** Unix ms. */
  timeMs: Column
  /** Time in the app, ms, or ABSENT. */
  serviceMs: Column
  /** Time to open the connection to the dyno, ms, or ABSENT. */
  connectMs: Column
  /** HTTP status, or ABSENT. */
  status: Column
  /** Bytes sent to the client, or ABSENT. */
  bytes: Column
  /** Index into `processes`. */
  process: Column
  /** Index into `codes` (H12 …), or ABSENT: no error. */
  code: Column
  processes: string[]
  codes: string[]
}

/** All of one type: loops that see two are compiled to something three times as slow. */
export type RequestColumns = Requests<Float64Array>

/** As they lie in a record: `rows` of them. */
export interface PackedRequests extends Requests<PackedColumn> {
  rows: number
}

export interface Burst {
  /** What makes it one: the same for each try of a resend. 32 hex digits. */
  id: string
  app: string
  /** The drain format: heroku. */
  drain: string
  /** When the edge took it, Unix ms. */
  receivedAtMs: number
  ledger: Ledger
  requests: RequestColumns
  signals: Signals
}

/** A burst whose requests are still as they lie in its record. */
export interface PackedBurst extends Omit<Burst, 'requests'> {
  requests: PackedRequests
}

/** What is wrong with a record's value: it goes to the dead-letter topic. */
export class BurstError extends Error {
  constructor(
    readonly code: 'unknown-version' | 'unknown-section' | 'corrupt',
    message: string,
  ) {
    super(message)
    this.name = 'BurstError'
  }
}

/** Columns for `count` requests, all zero. */
export function requestColumns(count: number): RequestColumns {
  return {
    timeMs: new Float64Array(count),
    serviceMs: new Float64Array(count),
    connectMs: new Float64Array(count),
    status: new Float64Array(count),
    bytes: new Float64Array(count),
    process: new Float64Array(count),
    code: new Float64Array(count),
    processes: [],
    codes: [],
  }
}

function writeStrings(writer: ByteWriter, strings: readonly string[]): void {
  writer.varint(strings.length)
  for (const text of strings) writer.string(text)
}

function readStrings(reader: ByteReader): string[] {
  const strings: string[] = []
  for (let left = reader.varint(); left > 0; left--) strings.push(reader.string())
  return strings
}

/** After the header come sections, each with its kind; 0 ends them. */
const SECTION_END = 0
const SECTION_REQUESTS = 1
const SECTION_SIGNALS = 2

/** Room for all bursts, one at a time: 100 requests take a KB, and no record is above 780. */
const writer = new ByteWriter(16_384)

/**
 * The burst as the raw topic holds it.
 * @throws RangeError where it holds what could not be read back
 */
export function encodeBurst(burst: Burst): Uint8Array<ArrayBuffer> {
  const { requests } = burst
  if (burst.receivedAtMs > TIME_MS_MAX || requests.timeMs.length > ROWS_MAX) {
    throw new RangeError(`a burst has at most ${ROWS_MAX} requests, and a year of four digits`)
  }
  if (!APP_NAME.test(burst.app)) throw new RangeError('no name of an app')
  writer.reset()
  writer.byte(BURST_VERSION)
  writer.raw(hexToBytes(burst.id))
  writer.string(burst.app)
  writer.string(burst.drain)
  writer.varint(burst.receivedAtMs)
  writeLedger(writer, burst.ledger, minuteOf(burst.receivedAtMs))
  if (requests.timeMs.length > 0) {
    writer.byte(SECTION_REQUESTS)
    writeRequests(writer, requests)
  }
  if (hasSignals(burst.signals)) {
    writer.byte(SECTION_SIGNALS)
    writeSignals(writer, burst.signals, burst.receivedAtMs)
  }
  writer.byte(SECTION_END)
  return writer.finish()
}

/**
 * Reads a record's value: bytes, or their base64 where a dialect carried text only.
 * @throws BurstError
 */
export function decodeBurst(value: string | Uint8Array): Burst {
  const burst = readBurst(value)
  return { ...burst, requests: unpackRequests(burst.requests) }
}

/**
 * The same, with its requests left where they lie.
 * @throws BurstError
 */
export function readBurst(value: string | Uint8Array): PackedBurst {
  return parseBurst(() => new ByteReader(toBytes(value)))
}

/** @throws BurstError, also for what `open` throws */
export function parseBurst(open: () => ByteReader): PackedBurst {
  try {
    return parse(open())
  } catch (error) {
    if (error instanceof BurstError) throw error
    throw new BurstError('corrupt', error instanceof Error ? error.message : String(error))
  }
}

/** Base64 of a burst begins with A: its first byte, the version, is below 4. */
export function toBytes(value: string | Uint8Array): Uint8Array {
  if (typeof value === 'string') return Uint8Array.fromBase64(value)
  if (value[0] === 0x41) return Uint8Array.fromBase64(new TextDecoder().decode(value))
  return value
}

function parse(reader: ByteReader): PackedBurst {
  const version = reader.byte()
  if (version !== BURST_VERSION) {
    throw new BurstError('unknown-version', `burst format version ${version} is not known here`)
  }
  const id = reader.hex(ID_BYTES)
  const app = reader.string()
  if (!APP_NAME.test(app)) throw new RangeError('no name of an app')
  const drain = reader.string()
  const receivedAtMs = reader.varint()
  if (receivedAtMs > TIME_MS_MAX) throw new RangeError(`received at ${receivedAtMs}`)
  const ledger = readLedger(reader, minuteOf(receivedAtMs))
  let requests: PackedRequests | undefined
  let signals: Signals | undefined
  for (;;) {
    const section = reader.byte()
    if (section === SECTION_END) break
    if (section > SECTION_SIGNALS) {
      throw new BurstError('unknown-section', `burst section ${section} is not known here`)
    }
    if (section === SECTION_REQUESTS && requests === undefined) requests = readRequests(reader)
    else if (section === SECTION_SIGNALS && signals === undefined) {
      signals = readSignals(reader, receivedAtMs)
    } else throw new RangeError(`two sections ${section}`)
  }
  if (requests?.rows === 0) throw new RangeError('no requests in their section')
  if (reader.left > 0) throw new RangeError(`${reader.left} bytes after the end`)
  requests ??= NO_REQUESTS
  signals ??= emptySignals()
  return { id, app, drain, receivedAtMs, ledger, requests, signals }
}

function writeRequests(writer: ByteWriter, requests: RequestColumns): void {
  const { processes, codes } = requests
  writer.varint(requests.timeMs.length)
  writeStrings(writer, processes)
  writeStrings(writer, codes)
  writeColumn(writer, requests.timeMs, 0, TIME_MS_MAX)
  writeColumn(writer, requests.serviceMs, ABSENT, DURATION_MS_MAX)
  writeColumn(writer, requests.connectMs, ABSENT, DURATION_MS_MAX)
  writeColumn(writer, requests.status, ABSENT, STATUS_MAX)
  writeColumn(writer, requests.bytes, ABSENT, RESPONSE_BYTES_MAX)
  writeColumn(writer, requests.process, 0, processes.length - 1)
  writeColumn(writer, requests.code, ABSENT, codes.length - 1)
}

function readRequests(reader: ByteReader): PackedRequests {
  const rows = reader.varint()
  if (rows > ROWS_MAX) throw new RangeError(`${rows} requests in one burst`)
  const processes = readStrings(reader)
  const codes = readStrings(reader)
  // In the order of the record.
  return {
    rows,
    timeMs: readColumn(reader, rows, 0, TIME_MS_MAX),
    serviceMs: readColumn(reader, rows, ABSENT, DURATION_MS_MAX),
    connectMs: readColumn(reader, rows, ABSENT, DURATION_MS_MAX),
    status: readColumn(reader, rows, ABSENT, STATUS_MAX),
    bytes: readColumn(reader, rows, ABSENT, RESPONSE_BYTES_MAX),
    process: readColumn(reader, rows, 0, processes.length - 1),
    code: readColumn(reader, rows, ABSENT, codes.length - 1),
    processes,
    codes,
  }
}

/** Packed, of a burst that has none: three counts, and width and base of seven columns, all 0. */
export const NO_REQUESTS = readRequests(new ByteReader(new Uint8Array(17)))

/**
 * Packed as in a record.
 * @throws RangeError where it holds what could not be read back
 */
export function packRequests(requests: RequestColumns): PackedRequests {
  if (requests.timeMs.length === 0) return NO_REQUESTS
  const writer = new ByteWriter()
  writeRequests(writer, requests)
  return readRequests(new ByteReader(writer.finish()))
}

function unpackRequests({ rows, processes, codes, ...columns }: PackedRequests): RequestColumns {
  return {
    timeMs: unpackColumn(columns.timeMs, rows),
    serviceMs: unpackColumn(columns.serviceMs, rows),
    connectMs: unpackColumn(columns.connectMs, rows),
    status: unpackColumn(columns.status, rows),
    bytes: unpackColumn(columns.bytes, rows),
    process: unpackColumn(columns.process, rows),
    code: unpackColumn(columns.code, rows),
    processes: [...processes],
    codes: [...codes],
  }
}

function hexToBytes(hex: string): Uint8Array {
  const bytes = Uint8Array.fromHex(hex)
  if (bytes.length !== ID_BYTES) throw new RangeError('a burst id is 32 hex digits')
  return bytes
}
