/**
 * A burst is one drain request: the record of the raw topic. Its value is columnar, because that
 * is small (a router line of about 290 bytes becomes about 10) and quick to fold.
 */
import { ByteReader, ByteWriter, INTEGER_MAX } from './bytes.ts'
import { appNameSchema } from './credential.ts'
import { LEDGER_COUNTS, type Ledger, type LedgerCounts, MINUTE_MS, minuteOf } from './ledger.ts'
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

/**
 * One entry a request, in the order of the body. All columns are of one type: loops that see two are
 * compiled to something three times as slow.
 */
export interface RequestColumns {
  /** Unix ms. */
  timeMs: Float64Array
  /** Time in the app, ms, or ABSENT. */
  serviceMs: Float64Array
  /** Time to open the connection to the dyno, ms, or ABSENT. */
  connectMs: Float64Array
  /** HTTP status, or ABSENT. */
  status: Float64Array
  /** Bytes sent to the client, or ABSENT. */
  bytes: Float64Array
  /** Index into `processes`. */
  process: Float64Array
  /** Index into `codes` (H12 …), or ABSENT: no error. */
  code: Float64Array
  processes: string[]
  codes: string[]
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

/** Bytes a value of a column takes, by the spread of its values. */
function widthFor(spread: number): number {
  if (spread === 0) return 0
  if (spread < 2 ** 8) return 1
  if (spread < 2 ** 16) return 2
  if (spread < 2 ** 24) return 3
  if (spread < 2 ** 32) return 4
  return 6
}

/** A column and the least and the most that it may hold. */
type Column = readonly [values: Float64Array | Float64Array, least: number, most: number]

/** The columns in the order of the record. */
function columnsOf(requests: RequestColumns): Column[] {
  return [
    [requests.timeMs, 0, TIME_MS_MAX],
    [requests.serviceMs, ABSENT, DURATION_MS_MAX],
    [requests.connectMs, ABSENT, DURATION_MS_MAX],
    [requests.status, ABSENT, STATUS_MAX],
    [requests.bytes, ABSENT, RESPONSE_BYTES_MAX],
    [requests.process, 0, requests.processes.length - 1],
    [requests.code, ABSENT, requests.codes.length - 1],
  ]
}

/** A column is written as its least value, the width of the rest, and each value less the least. */
function writeColumn(
  writer: ByteWriter,
  values: Float64Array,
  leastAllowed: number,
  mostAllowed: number,
): void {
  let least = Number.POSITIVE_INFINITY
  let most = Number.NEGATIVE_INFINITY
  for (let i = 0; i < values.length; i++) {
    const value = values[i] as number
    if (!Number.isInteger(value)) throw new RangeError(`a column holds whole numbers, not ${value}`)
    if (value < least) least = value
    if (value > most) most = value
  }
  if (least < leastAllowed || most > mostAllowed) {
    throw new RangeError(`a column of ${leastAllowed} to ${mostAllowed} has ${least} to ${most}`)
  }
  const width = widthFor(most - least)
  writer.byte(width)
  writer.signed(least)
  if (width > 0) writer.fixed(values, width, least)
}

/** What does not fit its column is not passed on: the cells it goes to would refuse it later. */
function readColumn(reader: ByteReader, [values, least, most]: Column): void {
  const width = reader.byte()
  if (width > 6 || width === 5) throw new BurstError('corrupt', `a column of width ${width}`)
  const base = reader.signed()
  if (width === 0) values.fill(base)
  else reader.fixed(values, width, base)
  // Mostly nothing of that width can be out of bounds.
  if (base >= least && base + 2 ** (width * 8) - 1 <= most) return
  for (let i = 0; i < values.length; i++) {
    const value = values[i] as number
    if (!(value >= least && value <= most)) {
      throw new BurstError('corrupt', `a column of ${least} to ${most} has ${value}`)
    }
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
  if (!appNameSchema.safeParse(burst.app).success) throw new RangeError('no name of an app')
  writer.reset()
  writer.byte(BURST_VERSION)
  writer.raw(hexToBytes(burst.id))
  writer.string(burst.app)
  writer.string(burst.drain)
  writer.varint(burst.receivedAtMs)
  writeLedger(writer, burst.ledger, minuteOf(burst.receivedAtMs))
  if (requests.timeMs.length > 0) {
    writer.byte(SECTION_REQUESTS)
    writer.varint(requests.timeMs.length)
    writeStrings(writer, requests.processes)
    writeStrings(writer, requests.codes)
    for (const [values, least, most] of columnsOf(requests)) {
      writeColumn(writer, values, least, most)
    }
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
  try {
    return decode(toBytes(value))
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

function decode(bytes: Uint8Array): Burst {
  const reader = new ByteReader(bytes)
  const version = reader.byte()
  if (version !== BURST_VERSION) {
    throw new BurstError('unknown-version', `burst format version ${version} is not known here`)
  }
  const id = reader.raw(ID_BYTES).toHex()
  const app = reader.string()
  if (!appNameSchema.safeParse(app).success) throw new BurstError('corrupt', 'no name of an app')
  const drain = reader.string()
  const receivedAtMs = reader.varint()
  if (receivedAtMs > TIME_MS_MAX) throw new BurstError('corrupt', `received at ${receivedAtMs}`)
  const ledger = readLedger(reader, minuteOf(receivedAtMs))
  let requests: RequestColumns | undefined
  let signals: Signals | undefined
  for (;;) {
    const section = reader.byte()
    if (section === SECTION_END) break
    if (section === SECTION_REQUESTS && requests === undefined) requests = readRequests(reader)
    else if (section === SECTION_SIGNALS && signals === undefined) {
      signals = readSignals(reader, receivedAtMs)
    } else if (section === SECTION_REQUESTS || section === SECTION_SIGNALS) {
      throw new BurstError('corrupt', `two sections ${section}`)
    } else {
      throw new BurstError('unknown-section', `burst section ${section} is not known here`)
    }
  }
  if (reader.left > 0) throw new BurstError('corrupt', `${reader.left} bytes after the end`)
  return {
    ...{ id, app, drain, receivedAtMs, ledger },
    requests: requests ?? requestColumns(0),
    signals: signals ?? emptySignals(),
  }
}

function readRequests(reader: ByteReader): RequestColumns {
  const count = reader.varint()
  if (count === 0 || count > ROWS_MAX) {
    throw new BurstError('corrupt', `${count} requests in one burst`)
  }
  const requests = requestColumns(count)
  requests.processes = readStrings(reader)
  requests.codes = readStrings(reader)
  for (const column of columnsOf(requests)) readColumn(reader, column)
  return requests
}

/** Minutes relative to the one of receipt; of each row the counts that are not 0. */
function writeLedger(writer: ByteWriter, ledger: Ledger, minuteMs: number): void {
  writer.varint(ledger.size)
  for (const [rowMinuteMs, counts] of ledger) {
    if (!isMinute(rowMinuteMs)) throw new RangeError(`a ledger row of ${rowMinuteMs}`)
    writer.signed((rowMinuteMs - minuteMs) / MINUTE_MS)
    let present = 0
    const values: number[] = []
    LEDGER_COUNTS.forEach((what, i) => {
      const by = counts[what]
      if (!by) return
      present += 2 ** i
      values.push(by)
    })
    writer.varint(present)
    for (const by of values) writer.varint(by)
  }
}

function readLedger(reader: ByteReader, minuteMs: number): Ledger {
  const ledger: Ledger = new Map()
  for (let left = reader.varint(); left > 0; left--) {
    const rowMinuteMs = minuteMs + reader.signed() * MINUTE_MS
    if (!isMinute(rowMinuteMs)) throw new BurstError('corrupt', `a ledger row of ${rowMinuteMs}`)
    const present = reader.varint()
    if (present >= 2 ** LEDGER_COUNTS.length) {
      throw new BurstError('corrupt', 'a ledger count that is not known here')
    }
    const counts: LedgerCounts = {}
    for (let i = 0; present >> i !== 0; i++) {
      const what = LEDGER_COUNTS[i]
      if ((present >> i) % 2 === 1 && what !== undefined) counts[what] = reader.varint()
    }
    ledger.set(rowMinuteMs, counts)
  }
  return ledger
}

const isMinute = (timeMs: number): boolean =>
  timeMs >= 0 && timeMs <= TIME_MS_MAX && minuteOf(timeMs) === timeMs

function hexToBytes(hex: string): Uint8Array {
  const bytes = Uint8Array.fromHex(hex)
  if (bytes.length !== ID_BYTES) throw new RangeError('a burst id is 32 hex digits')
  return bytes
}
