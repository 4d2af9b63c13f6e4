/**
 * Logplex bodies: octet-counted frames of syslog messages. Frames are cut by their count and never
 * by newlines: an L10 line has none at its end, an app's line may hold one inside.
 * https://github.com/heroku/logplex/blob/master/doc/README.http_drains.md, RFC 6587 section 3.4.1
 */
import { byteAt } from './bytes.ts'

/** Longest message taken. Producers split at 10,000 bytes; real frames reach 10,057. */
export const FRAME_BYTES_MAX = 65_536

/** Digits of an octet count that are read: enough for any frame taken, and for its neighbours. */
const COUNT_DIGITS_MAX = 7

/** How far the message is looked for behind a count that can't be read. */
const COUNT_BYTES_MAX = 32

/** Blank bytes passed over between frames; a newline or two is what is seen. */
const BLANK_BYTES_MAX = 16

const SPACE = 0x20
const NEWLINE = 0x0a
const RETURN = 0x0d
const ZERO = 0x30
const NINE = 0x39
const LESS = 0x3c
const GREATER = 0x3e
const DASH = 0x2d

const isDigit = (byte: number | undefined): boolean =>
  byte !== undefined && byte >= ZERO && byte <= NINE

/** What came of cutting a body into frames. */
export interface Cut {
  /** Frames handed over. */
  frames: number
  /** Stretches that were no frame, or one with a count that is wrong. */
  malformed: number
}

/**
 * Cuts `body` and hands the bounds of each message to `take`. A frame with a wrong or unreadable
 * count costs only itself: the next frame is found by its looks, `123 <45>1 `.
 */
export function cutFrames(body: Uint8Array, take: (start: number, end: number) => void): Cut {
  const cut: Cut = { frames: 0, malformed: 0 }
  const bodyEnd = blankFrom(body)
  let at = skipBlank(body, 0, body.length)
  while (at < body.length) {
    const start = messageStart(body, at)
    const end = start < 0 ? -1 : start + octetCount(body, at)
    if (body[start] !== LESS || end > body.length || !isEnd(body, end, bodyEnd)) {
      cut.malformed += 1
      at = nextFrame(body, behindOpening(body, at), bodyEnd)
    } else if (end - start > FRAME_BYTES_MAX) {
      cut.malformed += 1
      at = skipBlank(body, end, body.length)
    } else {
      cut.frames += 1
      take(start, end)
      at = skipBlank(body, end, body.length)
    }
  }
  return cut
}

/** Nothing stands between frames, but files and shells like to end with a newline. */
function skipBlank(body: Uint8Array, from: number, bytesMax: number): number {
  let at = from
  while (at - from < bytesMax && isBlank(body[at])) at++
  return at
}

const isBlank = (byte: number | undefined): boolean =>
  byte === NEWLINE || byte === RETURN || byte === SPACE

/** Where the blanks begin that end the body. */
function blankFrom(body: Uint8Array): number {
  let end = body.length
  while (end > 0 && isBlank(body[end - 1])) end--
  return end
}

/** Where the message of the frame at `at` starts, or -1 where no count and space stand. */
function messageStart(body: Uint8Array, at: number): number {
  let end = at
  while (end - at < COUNT_DIGITS_MAX && isDigit(body[end])) end++
  return end > at && body[end] === SPACE ? end + 1 : -1
}

function octetCount(body: Uint8Array, at: number): number {
  let value = 0
  for (let i = at; isDigit(body[i]); i++) value = value * 10 + (byteAt(body, i) - ZERO)
  return value
}

/** Whether a frame begins at `at`, as far as can be told without its end. */
function isFrameStart(body: Uint8Array, at: number): boolean {
  const start = messageStart(body, at)
  return start === body.length || (start > 0 && body[start] === LESS)
}

/** Whether a frame begins at `at` that ends behind a newline, before another, or with the body. */
function isFrame(body: Uint8Array, at: number, bodyEnd: number): boolean {
  const start = messageStart(body, at)
  if (start < 0 || body[start] !== LESS) return false
  const end = start + octetCount(body, at)
  if (end > body.length) return false
  if (end >= bodyEnd || body[end - 1] === NEWLINE) return true
  return isFrameStart(body, skipBlank(body, end, BLANK_BYTES_MAX))
}

/**
 * Whether a message may end at `end`: with the body, behind a newline (the next frame may be the bad
 * one), or before another frame. Bounded, or bad counts that all point to one place would be slow.
 */
function isEnd(body: Uint8Array, end: number, bodyEnd: number): boolean {
  if (end >= bodyEnd || body[end - 1] === NEWLINE) return true
  const next = skipBlank(body, end, BLANK_BYTES_MAX)
  if (!isFrameStart(body, next)) return isCutCount(body, next)
  if (!isDigit(body[end]) || isFrame(body, end, bodyEnd)) return true
  // Digits before `end` are the message's own, unless the next frame is right only with them: then
  // this count is the wrong one.
  for (let at = end - 1; end - at < COUNT_DIGITS_MAX && isDigit(body[at]); at--) {
    if (isFrame(body, at, bodyEnd)) return false
  }
  return true
}

/** Whether the body ends inside a count, as one that was cut short may. */
function isCutCount(body: Uint8Array, at: number): boolean {
  let end = at
  while (end - at < COUNT_DIGITS_MAX && isDigit(body[end])) end++
  return end === body.length
}

/** Behind the message's `<` that a wrong count stands before: that frame is not to be found again. */
function behindOpening(body: Uint8Array, at: number): number {
  let end = at
  while (end - at < COUNT_BYTES_MAX && body[end] !== SPACE && body[end] !== NEWLINE) end++
  return body[end] === SPACE && body[end + 1] === LESS ? end + 2 : at + 1
}

/** The next place from `from` on that looks like a frame, or the end of the body. */
function nextFrame(body: Uint8Array, from: number, bodyEnd: number): number {
  for (let less = body.indexOf(LESS, from); less >= 0; less = body.indexOf(LESS, less + 1)) {
    if (body[less - 1] !== SPACE || !isPriority(body, less)) continue
    let first = less - 1
    while (first > from && less - first <= COUNT_DIGITS_MAX && isDigit(body[first - 1])) first--
    if (first === less - 1) continue
    // A message without a newline may end in digits, which then stand before the count: `00262 <`.
    for (let at = first; at < less - 1; at++) {
      if (body[at] !== ZERO && isFrame(body, at, bodyEnd)) return at
    }
    return first
  }
  return body.length
}

/** `<45>1 ` */
function isPriority(body: Uint8Array, less: number): boolean {
  let at = less + 1
  while (at - less <= 3 && isDigit(body[at])) at++
  return at > less + 1 && body[at] === GREATER && body[at + 1] === 0x31 && body[at + 2] === SPACE
}

/** The parts of a syslog message, as bounds in the body. Filled again for each message. */
export interface Message {
  /** Unix ms, or NaN for a message that gives none (`-`). */
  timeMs: number
  appStart: number
  appEnd: number
  procStart: number
  procEnd: number
  textStart: number
  /** Without the newline that ends most messages. */
  textEnd: number
}

export function emptyMessage(): Message {
  return {
    timeMs: Number.NaN,
    appStart: 0,
    appEnd: 0,
    procStart: 0,
    procEnd: 0,
    textStart: 0,
    textEnd: 0,
  }
}

/** The end of the token at `from`: the next space. -1 where it is empty or nothing follows. */
function tokenEnd(body: Uint8Array, from: number, end: number): number {
  let at = from
  while (at < end && body[at] !== SPACE) at++
  return at > from && at < end ? at : -1
}

/**
 * Reads `<PRI>1 TIMESTAMP HOST APP PROCID - TEXT`, Logplex's RFC 5424 without structured data.
 * @returns false where it is not of that form
 */
export function parseMessage(
  body: Uint8Array,
  start: number,
  end: number,
  message: Message,
): boolean {
  if (!isPriority(body, start)) return false
  let at = start + 1
  while (body[at] !== GREATER) at++
  const timeStart = at + 3
  const timeEnd = tokenEnd(body, timeStart, end)
  if (timeEnd < 0) return false
  const hostEnd = tokenEnd(body, timeEnd + 1, end)
  if (hostEnd < 0) return false
  const appEnd = tokenEnd(body, hostEnd + 1, end)
  if (appEnd < 0) return false
  const procEnd = tokenEnd(body, appEnd + 1, end)
  if (procEnd < 0 || body[procEnd + 1] !== DASH) return false
  const nilTime = timeEnd - timeStart === 1 && body[timeStart] === DASH
  message.timeMs = nilTime ? Number.NaN : parseTimestamp(body, timeStart, timeEnd)
  if (!nilTime && Number.isNaN(message.timeMs)) return false
  message.appStart = hostEnd + 1
  message.appEnd = appEnd
  message.procStart = appEnd + 1
  message.procEnd = procEnd
  message.textStart = Math.min(procEnd + 3, end)
  message.textEnd = end
  while (message.textEnd > message.textStart && isLineEnd(body[message.textEnd - 1])) {
    message.textEnd--
  }
  return body[procEnd + 2] === SPACE || procEnd + 2 >= end
}

const isLineEnd = (byte: number | undefined): boolean => byte === NEWLINE || byte === RETURN

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

/** Whether the bytes from `start` to `end` are the ASCII `text`. */
export function isText(body: Uint8Array, start: number, end: number, text: string): boolean {
  if (end - start !== text.length) return false
  for (let i = 0; i < text.length; i++) {
    if (body[start + i] !== text.charCodeAt(i)) return false
  }
  return true
}
