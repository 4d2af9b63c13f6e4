/** How often each value stands in a column: that is all that a cell wants to know of most of them. */
import { addedAt, type PackedColumn } from './column.ts'

/** Values, in the order of their first row, and how often each stands there. */
export interface Tally {
  length: number
  /** They fit 32 bits: durations, a status, an index. */
  values: Int32Array
  counts: Int32Array
}

/** Columns of up to so many bytes have at most that many values. */
const NARROW_BYTES = 2
const LENGTH_MAX = 2 ** 16

const tallied: Tally = {
  length: 0,
  values: new Int32Array(LENGTH_MAX),
  counts: new Int32Array(LENGTH_MAX),
}

/** How often a row added so much to the base; all 0 between calls. */
const seen = new Int32Array(LENGTH_MAX)

/**
 * Of the rows from `from` up to, without, `to`. Of a column of more than two bytes a value may stand
 * there more than once. The answer is good until the next call.
 */
export function tally(column: PackedColumn, from: number, to: number): Tally {
  const { bytes, start, width, base } = column
  const { values, counts } = tallied
  if (width > NARROW_BYTES) return tallyWide(column, from, to)
  if (width === 0) {
    values[0] = base
    counts[0] = to - from
    tallied.length = 1
    return tallied
  }
  let length = 0
  const end = start + to * width
  for (let at = start + from * width; at < end; at += width) {
    const added = addedAt(bytes, at, width)
    const before = seen[added] as number
    if (before === 0) values[length++] = added
    seen[added] = before + 1
  }
  for (let i = 0; i < length; i++) {
    const added = values[i] as number
    values[i] = base + added
    counts[i] = seen[added] as number
    seen[added] = 0
  }
  tallied.length = length
  return tallied
}

function tallyWide({ bytes, start, width, base }: PackedColumn, from: number, to: number): Tally {
  const { values, counts } = tallied
  for (let row = from; row < to; row++) {
    values[row - from] = base + addedAt(bytes, start + row * width, width)
    counts[row - from] = 1
  }
  tallied.length = to - from
  return tallied
}
