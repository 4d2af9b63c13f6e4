/**
 * A message of Logplex: syslog's `<PRI>1 TIMESTAMP HOST APP PROCID - TEXT`, without structured data.
 * https://github.com/heroku/logplex/blob/master/doc/README.http_drains.md, RFC 5424
 */
import { isDigit } from './bytes.ts'
import { parseTimestamp } from './timestamp.ts'

const SPACE = 0x20
const NEWLINE = 0x0a
const RETURN = 0x0d
const GREATER = 0x3e
const DASH = 0x2d

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
  message.textEnd = endOfText(body, message.textStart, end)
  return body[procEnd + 2] === SPACE || procEnd + 2 >= end
}

/** Where the text from `textStart` ends in a message that ends at `end`: before its newline. */
export function endOfText(body: Uint8Array, textStart: number, end: number): number {
  let at = end
  while (at > textStart && isLineEnd(body[at - 1])) at--
  return at
}

const isLineEnd = (byte: number | undefined): boolean => byte === NEWLINE || byte === RETURN

/** Whether a message begins at `less` with its priority and version: `<45>1 `. */
export function isPriority(body: Uint8Array, less: number): boolean {
  let at = less + 1
  while (at - less <= 3 && isDigit(body[at])) at++
  return at > less + 1 && body[at] === GREATER && body[at + 1] === 0x31 && body[at + 2] === SPACE
}

/** Whether the bytes from `start` to `end` are the ASCII `text`. */
export function isText(body: Uint8Array, start: number, end: number, text: string): boolean {
  if (end - start !== text.length) return false
  for (let i = 0; i < text.length; i++) {
    if (body[start + i] !== text.charCodeAt(i)) return false
  }
  return true
}

/** Whether the bytes from `start` to `end` begin with the ASCII `text`. */
export function startsWith(body: Uint8Array, start: number, end: number, text: string): boolean {
  return end - start >= text.length && isText(body, start, start + text.length, text)
}
