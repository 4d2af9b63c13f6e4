/**
 * The router's line for a request: `at=info method=GET path="/" … dyno=web.1 connect=0ms
 * service=3ms status=200 bytes=6979`. https://devcenter.heroku.com/articles/http-routing
 */
import { ABSENT } from './burst.ts'
import { byteAt } from './bytes.ts'
import { isText } from './message.ts'

/** Longest number read. 9 digits of ms are 11 days, where the router gives up after 30 s. */
const MS_DIGITS_MAX = 9

/** 14 digits of bytes are 100 TB; both keep to the burst's 2^48. */
const BYTES_DIGITS_MAX = 14

/** Longest process type and error code taken. Heroku's process types have at most 30 characters. */
const NAME_BYTES_MAX = 64

const SPACE = 0x20
const EQUALS = 0x3d
const QUOTE = 0x22

/** Filled again for each line; -1 is absent. Names are bounds in the body. */
export interface RouterLine {
  serviceMs: number
  connectMs: number
  status: number
  bytes: number
  /** The process type of the dyno (web of web.1); empty where no dyno took the request. */
  processStart: number
  processEnd: number
  /** H12 …; empty where there was no error. */
  codeStart: number
  codeEnd: number
}

export function emptyRouterLine(): RouterLine {
  return {
    serviceMs: ABSENT,
    connectMs: ABSENT,
    status: ABSENT,
    bytes: ABSENT,
    processStart: 0,
    processEnd: 0,
    codeStart: 0,
    codeEnd: 0,
  }
}

/** What a value that is there but can't be read becomes. */
const UNREADABLE = -2

/**
 * Reads the line from `start` to `end`. Keys may come in any order and unknown ones are passed
 * over. A key that comes twice counts as it came last, because what a client can write into a line
 * (path, host, fwd) stands before the router's own figures. `code` stands before that and counts as
 * it came first; a line at=info has none, or has it right behind.
 * @returns false where it is no line for a request, or a value in it can't be read
 */
export function parseRouterLine(
  body: Uint8Array,
  start: number,
  end: number,
  line: RouterLine,
): boolean {
  line.serviceMs = line.connectMs = line.status = line.bytes = ABSENT
  line.processStart = line.processEnd = line.codeStart = line.codeEnd = 0
  let isRequest = false
  let infoEnd = -1
  let mayClose = true
  let at = start
  while (at < end) {
    while (at < end && body[at] === SPACE) at++
    const key = at
    while (at < end && body[at] !== EQUALS && body[at] !== SPACE) at++
    if (body[at] !== EQUALS || at >= end) continue
    const keyEnd = at
    const value = at + 1
    at = body[value] === QUOTE && mayClose ? closingQuote(body, value + 1, end) : -1
    if (at < 0) {
      // Where no quote closes there is none further on: looking again would take quadratic time.
      if (body[value] === QUOTE) mayClose = false
      at = wordEnd(body, value, end)
    }
    switch (keyEnd - key) {
      case 2:
        if (infoEnd < 0 && isText(body, key, keyEnd, 'at') && isText(body, value, at, 'info')) {
          infoEnd = at
        }
        break
      case 4:
        if (isText(body, key, keyEnd, 'dyno')) {
          line.processStart = value
          line.processEnd = processEnd(body, value, at)
        } else if (line.codeStart === 0 && isText(body, key, keyEnd, 'code')) {
          if (infoEnd >= 0 && key !== infoEnd + 1) break
          isRequest = true
          line.codeStart = value
          line.codeEnd = at
        }
        break
      case 5:
        if (isText(body, key, keyEnd, 'bytes')) {
          line.bytes = readNumber(body, value, at, BYTES_DIGITS_MAX, false)
        }
        break
      case 6:
        if (isText(body, key, keyEnd, 'status')) {
          isRequest = true
          line.status = readNumber(body, value, at, 3, false)
        }
        break
      case 7:
        if (isText(body, key, keyEnd, 'connect')) {
          line.connectMs = readNumber(body, value, at, MS_DIGITS_MAX, true)
        } else if (isText(body, key, keyEnd, 'service')) {
          isRequest = true
          line.serviceMs = readNumber(body, value, at, MS_DIGITS_MAX, true)
        }
        break
    }
  }
  return isRequest && isReadable(body, line)
}

/**
 * Behind the quote that ends a quoted value, or -1. It is one before a space: paths may hold spaces,
 * equals signs and quotes.
 */
function closingQuote(body: Uint8Array, from: number, end: number): number {
  for (let at = from; at < end; at++) {
    if (body[at] === QUOTE && (at + 1 === end || body[at + 1] === SPACE)) return at + 1
  }
  return -1
}

function wordEnd(body: Uint8Array, from: number, end: number): number {
  let at = from
  while (at < end && body[at] !== SPACE) at++
  return at
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
  const unit = isDuration && isText(body, at, end, 'ms')
  if (at === start || at - start > digitsMax || !(at === end || unit)) return UNREADABLE
  return value
}

/** `web.1` ends at its dot; Fir's `web-5d8f5f9b8-abcde` before the last two dashes. */
function processEnd(body: Uint8Array, start: number, end: number): number {
  let dashes = 0
  let cut = end
  for (let at = end - 1; at > start; at--) {
    if (body[at] === 0x2e) return at
    if (body[at] === 0x2d && ++dashes === 2) cut = at
  }
  return cut
}

function isReadable(body: Uint8Array, line: RouterLine): boolean {
  return (
    line.serviceMs !== UNREADABLE &&
    line.connectMs !== UNREADABLE &&
    line.status !== UNREADABLE &&
    line.bytes !== UNREADABLE &&
    isName(body, line.processStart, line.processEnd) &&
    isName(body, line.codeStart, line.codeEnd)
  )
}

/** Letters, digits, dashes, underscores. */
function isName(body: Uint8Array, start: number, end: number): boolean {
  if (end - start > NAME_BYTES_MAX) return false
  for (let at = start; at < end; at++) {
    const byte = byteAt(body, at)
    const letter = byte | 0x20
    const known =
      (letter >= 0x61 && letter <= 0x7a) || (byte >= 0x30 && byte <= 0x39) || byte === 0x2d
    if (!known && byte !== 0x5f) return false
  }
  return true
}
