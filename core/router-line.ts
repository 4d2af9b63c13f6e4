/**
 * The router's line for a request: `at=info method=GET path="/" … dyno=web.1 connect=0ms
 * service=3ms status=200 bytes=6979`. https://devcenter.heroku.com/articles/http-routing
 */
import { ABSENT } from './burst.ts'
import { byteAt } from './bytes.ts'
import { isText, startsWith } from './message.ts'

/** Longest number read. 9 digits of ms are 11 days, where the router gives up after 30 s. */
const MS_DIGITS_MAX = 9

/** 14 digits of bytes are 100 TB; both keep to the burst's 2^48. */
const BYTES_DIGITS_MAX = 14

const STATUS_DIGITS_MAX = 3

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
  const isRequest =
    (readHead(body, start, end, line) && readTail(body, start, end, line)) ||
    readWords(body, start, end, line)
  return isRequest && isReadable(body, line)
}

/**
 * The code of a line that begins as the router's do, `at=info` or `at=error code=H12`: so nothing
 * behind it is one. False where it begins otherwise.
 */
function readHead(body: Uint8Array, start: number, end: number, line: RouterLine): boolean {
  if (startsWith(body, start, end, 'at=info ')) return !startsWith(body, start + 8, end, 'code=')
  if (!startsWith(body, start, end, 'at=error code=')) return false
  const code = start + 14
  if (code >= end || body[code] === QUOTE) return false
  line.codeStart = code
  line.codeEnd = wordEnd(body, code, end)
  return true
}

/** What the router's own figures are, as the bits of `readTail`. */
const DYNO = 1
const CONNECT = 2
const SERVICE = 4
const STATUS = 8
const BYTES = 16
const ALL = 31

/**
 * Reads the router's own figures from the end of the line backwards: they are the last, and what
 * lies before them, three quarters of the line, need not be looked at. No quoted value reaches
 * into words that hold no quote. False where they are not all found before one.
 */
function readTail(body: Uint8Array, start: number, end: number, line: RouterLine): boolean {
  let found = 0
  let wordStop = end
  for (let at = end - 1; at > start; at--) {
    const byte = byteAt(body, at)
    if (byte > EQUALS) continue
    if (byte === SPACE) {
      wordStop = at
    } else if (byte === QUOTE) {
      return false
    } else if (byte === EQUALS) {
      const what = figureBefore(body, at)
      if (what === 0 || (found & what) !== 0) continue
      readFigure(body, what, at + 1, wordStop, line)
      found |= what
      if (found === ALL) return true
    }
  }
  return false
}

/** Which figure has its key before the `=` at `equals`; 0 where it is another word. */
function figureBefore(body: Uint8Array, equals: number): number {
  switch (fourBytes(body, equals - 4)) {
    case DYNO_END:
      return body[equals - 5] === SPACE ? DYNO : 0
    case BYTES_END:
      return fourBytes(body, equals - 6) === BYTES_START ? BYTES : 0
    case STATUS_END:
      return fourBytes(body, equals - 7) === STATUS_START ? STATUS : 0
    case SERVICE_END:
      return fourBytes(body, equals - 8) === SERVICE_START ? SERVICE : 0
    case CONNECT_END:
      return fourBytes(body, equals - 8) === CONNECT_START ? CONNECT : 0
    default:
      return 0
  }
}

const FIGURES: Record<string, number> = {
  dyno: DYNO,
  connect: CONNECT,
  service: SERVICE,
  status: STATUS,
  bytes: BYTES,
}

/** Which figure the key is of; 0 for any other key. */
function figureOf(body: Uint8Array, key: number, end: number): number {
  for (const name in FIGURES) if (isText(body, key, end, name)) return FIGURES[name] ?? 0
  return 0
}

const DYNO_END = asNumber('dyno')
const [BYTES_START, BYTES_END] = [asNumber(' byt'), asNumber('ytes')]
const [STATUS_START, STATUS_END] = [asNumber(' sta'), asNumber('atus')]
const [SERVICE_START, SERVICE_END] = [asNumber(' ser'), asNumber('vice')]
const [CONNECT_START, CONNECT_END] = [asNumber(' con'), asNumber('nect')]

function fourBytes(body: Uint8Array, at: number): number {
  return (
    (byteAt(body, at) << 24) |
    (byteAt(body, at + 1) << 16) |
    (byteAt(body, at + 2) << 8) |
    byteAt(body, at + 3)
  )
}

function asNumber(text: string): number {
  return fourBytes(new TextEncoder().encode(text), 0)
}

function readFigure(
  body: Uint8Array,
  what: number,
  start: number,
  end: number,
  line: RouterLine,
): void {
  if (what === SERVICE) line.serviceMs = readNumber(body, start, end, MS_DIGITS_MAX, true)
  else if (what === CONNECT) line.connectMs = readNumber(body, start, end, MS_DIGITS_MAX, true)
  else if (what === STATUS) line.status = readNumber(body, start, end, STATUS_DIGITS_MAX, false)
  else if (what === BYTES) line.bytes = readNumber(body, start, end, BYTES_DIGITS_MAX, false)
  else if (what === DYNO) {
    line.processStart = start
    line.processEnd = processEnd(body, start, end)
  }
}

/**
 * Reads the line word by word, whatever it is like.
 * @returns whether it is a request's
 */
function readWords(body: Uint8Array, start: number, end: number, line: RouterLine): boolean {
  line.codeStart = line.codeEnd = 0
  line.processStart = line.processEnd = 0
  line.serviceMs = line.connectMs = line.status = line.bytes = ABSENT
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
    const what = figureOf(body, key, keyEnd)
    if (what !== 0) {
      isRequest ||= what === STATUS || what === SERVICE
      readFigure(body, what, value, at, line)
    } else if (isText(body, key, keyEnd, 'at')) {
      if (infoEnd < 0 && isText(body, value, at, 'info')) infoEnd = at
    } else if (line.codeStart === 0 && isText(body, key, keyEnd, 'code')) {
      if (infoEnd >= 0 && key !== infoEnd + 1) continue
      isRequest = true
      line.codeStart = value
      line.codeEnd = at
    }
  }
  return isRequest
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
  const unit = isDuration && end - at === 2 && body[at] === 0x6d && body[at + 1] === 0x73
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
