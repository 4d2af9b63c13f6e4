/**
 * The frames of a Logplex body: each a count of octets, a space, and a message of that many bytes.
 * They are cut by their count and never by newlines: an L10 line has none at its end, an app's line
 * may hold one inside. RFC 6587 section 3.4.1,
 * https://github.com/heroku/logplex/blob/master/doc/README.http_drains.md
 */
import { byteAt, isDigit } from './bytes.ts'
import { isPriority } from './message.ts'

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
const LESS = 0x3c

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
    const end = start < 0 ? -1 : start + octetCount(body, at, start)
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

/** The count that stands before the message's start, digits and a space. */
function octetCount(body: Uint8Array, at: number, messageStart: number): number {
  let value = 0
  for (let i = at; i < messageStart - 1; i++) value = value * 10 + (byteAt(body, i) - ZERO)
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
  const end = start + octetCount(body, at, start)
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
