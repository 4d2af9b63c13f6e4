/** Values of a router line, as they are read from wherever they stand. */
import { ABSENT } from './burst.ts'
import { byteAt } from './bytes.ts'

/** Longest number read. 9 digits of ms are 11 days, where the router gives up after 30 s. */
export const MS_DIGITS_MAX = 9

/** 14 digits of bytes are 100 TB; both keep to the burst's 2^48. */
export const BYTES_DIGITS_MAX = 14

export const STATUS_DIGITS_MAX = 3

/** What a value that is there but can't be read becomes. */
export const UNREADABLE = -2

/** `18ms`, or `18`, in ms. */
export function readMs(body: Uint8Array, start: number, end: number): number {
  return readNumber(body, start, end, MS_DIGITS_MAX, true)
}

export function readStatus(body: Uint8Array, start: number, end: number): number {
  return readNumber(body, start, end, STATUS_DIGITS_MAX, false)
}

export function readBytes(body: Uint8Array, start: number, end: number): number {
  return readNumber(body, start, end, BYTES_DIGITS_MAX, false)
}

/** Digits, with `ms` behind them or not. Nothing is ABSENT, anything else UNREADABLE. */
function readNumber(
  body: Uint8Array,
  start: number,
  end: number,
  digitsMax: number,
  isDuration: boolean,
): number {
  if (start === end) return ABSENT
  let value = 0
  let at = start
  for (; at < end; at++) {
    const digit = byteAt(body, at) - 0x30
    if (digit < 0 || digit > 9) break
    value = value * 10 + digit
  }
  const unit = isDuration && end - at === 2 && body[at] === 0x6d && body[at + 1] === 0x73
  if (at === start || at - start > digitsMax || !(at === end || unit)) return UNREADABLE
  return value
}

/** Where the process type ends: `web.1` at its dot, Fir's `web-5d8f5f9b8-abcde` before the last two dashes. */
export function processEnd(body: Uint8Array, start: number, end: number): number {
  let dashes = 0
  let cut = end
  for (let at = end - 1; at > start; at--) {
    if (body[at] === 0x2e) return at
    if (body[at] === 0x2d && ++dashes === 2) cut = at
  }
  return cut
}
