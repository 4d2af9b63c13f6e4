/**
 * Columns of whole numbers, as they lie in a record: the base, the width of the rest, and what each
 * row adds to the base. Folding reads them where they lie.
 */
import { type ByteReader, type ByteWriter, byteAt } from './bytes.ts'

/** Row `i` is `base` and what `width` bytes at `start + i * width` add to it, lowest byte first. */
export interface PackedColumn {
  bytes: Uint8Array
  start: number
  width: number
  base: number
}

/** Bytes that a row may take. */
const WIDTHS = [0, 1, 2, 3, 4, 6]

/** @throws RangeError where a value is not whole, or not between `least` and `most` */
export function writeColumn(
  writer: ByteWriter,
  values: Float64Array,
  least: number,
  most: number,
): void {
  let low = Number.POSITIVE_INFINITY
  let high = Number.NEGATIVE_INFINITY
  for (let i = 0; i < values.length; i++) {
    const value = values[i] as number
    if (!Number.isInteger(value)) throw new RangeError(`a column holds whole numbers, not ${value}`)
    if (value < low) low = value
    if (value > high) high = value
  }
  if (low < least || high > most) {
    throw new RangeError(`a column of ${least} to ${most} has ${low} to ${high}`)
  }
  const width = WIDTHS.find((bytes) => high - low < 2 ** (bytes * 8)) ?? 6
  writer.byte(width)
  writer.signed(low)
  if (width > 0) writer.fixed(values, width, low)
}

/**
 * What does not fit its column is not passed on: the cells it goes to would refuse it later.
 * @throws RangeError where a value is not between `least` and `most`
 */
export function readColumn(
  reader: ByteReader,
  rows: number,
  least: number,
  most: number,
): PackedColumn {
  const width = reader.byte()
  if (!WIDTHS.includes(width)) throw new RangeError(`a column of width ${width}`)
  const base = reader.signed()
  const { bytes } = reader
  const column = { bytes, start: reader.skip(rows * width), width, base }
  // Mostly nothing of that width can be out of bounds.
  if (base >= least && highestOf(column) <= most) return column
  for (let row = 0; row < rows; row++) {
    const value = base + addedAt(bytes, column.start + row * width, width)
    if (!(value >= least && value <= most)) {
      throw new RangeError(`a column of ${least} to ${most} has ${value}`)
    }
  }
  return column
}

/** No row of a column of that width has more. */
export function highestOf({ base, width }: PackedColumn): number {
  return base + 2 ** (width * 8) - 1
}

export function valueAt({ bytes, start, width, base }: PackedColumn, row: number): number {
  return base + addedAt(bytes, start + row * width, width)
}

/** What a row adds to the base. */
export function addedAt(bytes: Uint8Array, at: number, width: number): number {
  if (width === 1) return byteAt(bytes, at)
  if (width === 2) return byteAt(bytes, at) + (byteAt(bytes, at + 1) << 8)
  return width === 0 ? 0 : wideAt(bytes, at, width)
}

function wideAt(bytes: Uint8Array, at: number, width: number): number {
  let value = byteAt(bytes, at) + (byteAt(bytes, at + 1) << 8) + (byteAt(bytes, at + 2) << 16)
  if (width > 3) value += byteAt(bytes, at + 3) * 2 ** 24
  if (width === 6) value += byteAt(bytes, at + 4) * 2 ** 32 + byteAt(bytes, at + 5) * 2 ** 40
  return value
}

/** The values of all rows. */
export function unpackColumn(column: PackedColumn, rows: number): Float64Array {
  const values = new Float64Array(rows)
  for (let row = 0; row < rows; row++) values[row] = valueAt(column, row)
  return values
}
