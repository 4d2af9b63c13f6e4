/** Writing and reading the burst's bytes: varints, strings, fixed-width little-endian integers. */
import { isLoggable } from './text.ts'

const encoder = new TextEncoder()
/** A byte order mark at the start of a name is part of the name. */
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** The byte at `index`. Callers keep to the array's length; this is the one place that says so. */
export function byteAt(bytes: Uint8Array, index: number): number {
  return bytes[index] as number
}

/** Whether `byte` is one of 0 to 9; there may be none. */
export function isDigit(byte: number | undefined): boolean {
  return byte !== undefined && byte >= 0x30 && byte <= 0x39
}

function checkText(text: string): void {
  if (!isLoggable(text)) throw new RangeError(`a text of ${text.length} characters, or with a NUL`)
}

/** Integers in JavaScript are exact to 2^53; the widest column is 6 bytes, so 2^48 is the limit. */
export const INTEGER_MAX = 2 ** 48 - 1

export class ByteWriter {
  private bytes: Uint8Array
  private length = 0

  constructor(capacity = 1024) {
    this.bytes = new Uint8Array(capacity)
  }

  /** Begins anew, in the room that there is. */
  reset(): void {
    this.length = 0
  }

  /** Makes room for `more` bytes and returns where they start. */
  private grow(more: number): number {
    const start = this.length
    this.length += more
    if (this.length > this.bytes.length) {
      const bigger = new Uint8Array(Math.max(this.bytes.length * 2, this.length))
      bigger.set(this.bytes.subarray(0, start))
      this.bytes = bigger
    }
    return start
  }

  byte(value: number): void {
    const at = this.grow(1)
    this.bytes[at] = value
  }

  /**
   * An integer from 0 to 2^53 - 1, 7 bits a byte, lowest first (LEB128).
   * @throws RangeError for any other number
   */
  varint(value: number): void {
    if (!(Number.isSafeInteger(value) && value >= 0)) {
      throw new RangeError(`a varint is a whole number from 0 on, not ${value}`)
    }
    let rest = value
    while (rest >= 0x80) {
      this.byte((rest % 0x80) + 0x80)
      rest = Math.floor(rest / 0x80)
    }
    this.byte(rest)
  }

  /** A signed integer, zigzag in a varint. */
  signed(value: number): void {
    this.varint(value < 0 ? -value * 2 - 1 : value * 2)
  }

  /** @throws RangeError for a text that could not be read back */
  string(text: string): void {
    checkText(text)
    const start = this.length
    // Names are short and ASCII: to call the runtime's encoder takes longer than to write them.
    this.varint(text.length)
    const at = this.grow(text.length)
    for (let i = 0; i < text.length; i++) {
      const code = text.charCodeAt(i)
      if (code > 0x7f) {
        this.length = start
        this.raw(encoder.encode(text), true)
        return
      }
      this.bytes[at + i] = code
    }
  }

  /** Bytes as they are, with their count before them if `counted`. */
  raw(bytes: Uint8Array, counted = false): void {
    if (counted) this.varint(bytes.length)
    const at = this.grow(bytes.length)
    this.bytes.set(bytes, at)
  }

  /** Each value minus `base`, in `width` bytes, lowest byte first. */
  fixed(values: Float64Array, width: number, base: number): void {
    const at = this.grow(values.length * width)
    const { bytes } = this
    // A loop a width: a test of it for each value would take as long as the rest.
    if (width === 1) writeBytes(values, base, bytes, at)
    else if (width === 2) writePairs(values, base, bytes, at)
    else writeWide(values, width, base, bytes, at)
  }

  /** A double, IEEE 754, lowest byte first. */
  float(value: number): void {
    const at = this.grow(8)
    new DataView(this.bytes.buffer).setFloat64(at, value, true)
  }

  /** What was written, as an array of its own. */
  finish(): Uint8Array<ArrayBuffer> {
    return this.bytes.slice(0, this.length)
  }
}

function writeBytes(values: Float64Array, base: number, bytes: Uint8Array, start: number): void {
  for (let i = 0; i < values.length; i++) bytes[start + i] = (values[i] as number) - base
}

function writePairs(values: Float64Array, base: number, bytes: Uint8Array, start: number): void {
  let at = start
  for (let i = 0; i < values.length; i++) {
    const rest = ((values[i] as number) - base) | 0
    bytes[at] = rest & 0xff
    bytes[at + 1] = rest >>> 8
    at += 2
  }
}

function writeWide(
  values: Float64Array,
  width: number,
  base: number,
  bytes: Uint8Array,
  start: number,
): void {
  let at = start
  for (let i = 0; i < values.length; i++) {
    let rest = (values[i] as number) - base
    // Bit operations hold 32 bits; the two high bytes of the widest column come by division.
    if (width === 6) {
      const high = Math.floor(rest / 2 ** 32)
      bytes[at + 4] = high & 0xff
      bytes[at + 5] = high >>> 8
      rest -= high * 2 ** 32
    }
    bytes[at] = rest & 0xff
    bytes[at + 1] = (rest >>> 8) & 0xff
    bytes[at + 2] = (rest >>> 16) & 0xff
    if (width > 3) bytes[at + 3] = (rest >>> 24) & 0xff
    at += width
  }
}

/**
 * The text in UTF-8 from `start` to `end`.
 * @throws TypeError where it is not UTF-8, RangeError where the log does not hold it
 */
export function textAt(bytes: Uint8Array, start: number, end: number): string {
  const text = decoder.decode(bytes.subarray(start, end))
  checkText(text)
  return text
}

/** Reads what ByteWriter wrote. Throws RangeError where the bytes end too early. */
export class ByteReader {
  private at = 0

  constructor(
    readonly bytes: Uint8Array,
    private readonly end = bytes.length,
    private readonly readText = textAt,
  ) {}

  get left(): number {
    return this.end - this.at
  }

  /** Passes over the next `count` bytes, and tells where they begin. */
  skip(count: number): number {
    const start = this.at
    if (count > this.end - start) throw new RangeError('the bytes end too early')
    this.at = start + count
    return start
  }

  byte(): number {
    return byteAt(this.bytes, this.skip(1))
  }

  varint(): number {
    let value = 0
    let scale = 1
    for (;;) {
      const byte = this.byte()
      value += (byte & 0x7f) * scale
      if (byte < 0x80) break
      scale *= 0x80
      if (scale > 2 ** 49) throw new RangeError('a varint is too long')
    }
    if (value > Number.MAX_SAFE_INTEGER) throw new RangeError('a varint is too large')
    return value
  }

  signed(): number {
    const value = this.varint()
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2
  }

  float(): number {
    const at = this.skip(8)
    return new DataView(this.bytes.buffer, this.bytes.byteOffset).getFloat64(at, true)
  }

  string(): string {
    const length = this.varint()
    return this.readText(this.bytes, this.skip(length), this.at)
  }

  hex(count: number): string {
    // A view would give the array a buffer of its own, which costs a copy of all of it.
    return this.bytes.slice(this.skip(count), this.at).toHex()
  }

  /** A view of the next `count` bytes. */
  raw(count: number): Uint8Array {
    return this.bytes.subarray(this.skip(count), this.at)
  }
}
