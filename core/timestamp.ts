/** Timestamps of log messages: RFC 3339, as Unix ms. Read from bytes, as there is one a line. */
import { byteAt, isDigit } from './bytes.ts'

const ZERO = 0x30
const DASH = 0x2d

/** Days before each month in a year that is not a leap year. */
const DAYS_BEFORE = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365]

/** `count` digits at `from` as a number, or NaN. */
function digits(body: Uint8Array, from: number, count: number): number {
  let value = 0
  for (let i = from; i < from + count; i++) {
    const byte = byteAt(body, i)
    if (!isDigit(byte)) return Number.NaN
    value = value * 10 + (byte - ZERO)
  }
  return value
}

/**
 * An RFC 3339 timestamp with 0 to 9 digits of fraction, as Unix ms (the fraction cut to ms).
 * NaN where it is none, or lies before 1970.
 */
export function parseTimestamp(body: Uint8Array, start: number, end: number): number {
  if (end - start < 20) return Number.NaN
  const year = digits(body, start, 4)
  const month = digits(body, start + 5, 2)
  const day = digits(body, start + 8, 2)
  const hour = digits(body, start + 11, 2)
  const minute = digits(body, start + 14, 2)
  const second = digits(body, start + 17, 2)
  const separated =
    body[start + 4] === DASH &&
    body[start + 7] === DASH &&
    (byteAt(body, start + 10) | 0x20) === 0x74 &&
    body[start + 13] === 0x3a &&
    body[start + 16] === 0x3a
  const leap = (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0
  const before = DAYS_BEFORE[month - 1]
  const after = DAYS_BEFORE[month]
  if (!separated || before === undefined || after === undefined || !(year >= 1970))
    return Number.NaN
  const monthDays = after - before + (leap && month === 2 ? 1 : 0)
  // A leap second (:60) is the first of the next minute.
  if (!(day >= 1 && day <= monthDays && hour < 24 && minute < 60 && second <= 60)) return Number.NaN
  const past = year - 1
  const days =
    past * 365 +
    Math.floor(past / 4) -
    Math.floor(past / 100) +
    Math.floor(past / 400) -
    719_162 +
    before +
    (leap && month > 2 ? 1 : 0) +
    day -
    1
  let at = start + 19
  let ms = 0
  if (body[at] === 0x2e) {
    at++
    let scale = 100
    const from = at
    for (; at < end && isDigit(body[at]); at++) {
      if (scale >= 1) ms += (byteAt(body, at) - ZERO) * scale
      scale /= 10
    }
    if (at === from || at - from > 9) return Number.NaN
    ms = Math.floor(ms)
  }
  const timeOfDayMs = hour * 3_600_000 + minute * 60_000 + second * 1000 + ms
  const timeMs = days * 86_400_000 + timeOfDayMs - parseOffset(body, at, end)
  return timeMs >= 0 ? timeMs : Number.NaN
}

/** `Z` or `+hh:mm`, in ms; NaN where it is neither. */
function parseOffset(body: Uint8Array, at: number, end: number): number {
  const byte = byteAt(body, at)
  if ((byte | 0x20) === 0x7a) return at + 1 === end ? 0 : Number.NaN
  const sign = byte === 0x2b ? 1 : byte === DASH ? -1 : Number.NaN
  if (at + 6 !== end || body[at + 3] !== 0x3a) return Number.NaN
  const hours = digits(body, at + 1, 2)
  const minutes = digits(body, at + 4, 2)
  if (!(hours < 24 && minutes < 60)) return Number.NaN
  return sign * (hours * 60 + minutes) * 60_000
}
