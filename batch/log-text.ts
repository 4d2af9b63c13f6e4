/** Log text as drain messages: lines as `heroku logs` prints them, or drain bodies ready made. */
import { cutFrames } from '../core/frames.ts'
import { parseTimestamp } from '../core/timestamp.ts'

/** Producers split a message at 10,000 bytes, "Logplex max" (log-shuttle, DefaultMaxLineLength). */
const TEXT_BYTES_MAX = 10_000

const MINUTE_MS = 60_000

/** `2014-01-09T06:16:53.748849+00:00 heroku[router]: at=info …` */
const LINE = /^(\d{4}-\S+) ([^\s[]+)\[([^\]\s]+)\]: ?(.*)$/s

/** `158 <158>1 2014-…`: what a drain body begins with. */
const BODY = /^\d{1,7} <\d{1,3}>1 /

/** `<158>1 ` and, behind it, the date and time without fraction and zone. */
const STAMP = /^<\d{1,3}>1 (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)/

/** A syslog message of a drain, without its octet count. */
export type DrainMessage = Uint8Array

export interface LogText {
  messages: DrainMessage[]
  /** Lines, or frames, that could not be read. */
  unreadable: number
}

/** Heroku's priorities as drains were seen to carry them: router, platform, application. */
function priorityOf(app: string, process: string): number {
  if (app !== 'heroku') return 190
  return process === 'router' ? 158 : 45
}

export function readLogText(bytes: Uint8Array): LogText {
  const head = Buffer.from(bytes.subarray(0, 16)).toString('latin1')
  return BODY.test(head) ? readBody(bytes) : readLines(bytes)
}

function readBody(bytes: Uint8Array): LogText {
  const messages: DrainMessage[] = []
  const { malformed } = cutFrames(bytes, (start, end) => messages.push(bytes.subarray(start, end)))
  return { messages, unreadable: malformed }
}

function readLines(bytes: Uint8Array): LogText {
  // Latin-1 keeps bytes that are not UTF-8 as they are.
  const text = Buffer.from(bytes).toString('latin1')
  const messages: DrainMessage[] = []
  let unreadable = 0
  for (const line of text.split('\n')) {
    if (line === '' || line === '\r') continue
    const [, time, app = '', process = '', content] = LINE.exec(line) ?? []
    if (time === undefined || content === undefined) {
      unreadable += 1
      continue
    }
    const head = `<${priorityOf(app, process)}>1 ${time} host ${app} ${process} - `
    for (let at = 0; at === 0 || at < content.length; at += TEXT_BYTES_MAX) {
      const part = content.slice(at, at + TEXT_BYTES_MAX)
      const end = at + TEXT_BYTES_MAX < content.length ? '' : '\n'
      messages.push(Buffer.from(head + part + end, 'latin1'))
    }
  }
  return { messages, unreadable }
}

/** When the newest message happened, Unix ms; undefined where none gives a time. */
export function newestMs(messages: readonly DrainMessage[]): number | undefined {
  let newest: number | undefined
  for (const message of messages) {
    const start = message.indexOf(0x20) + 1
    const timeMs = parseTimestamp(message, start, message.indexOf(0x20, start))
    if (timeMs > (newest ?? Number.NEGATIVE_INFINITY)) newest = timeMs
  }
  return newest
}

/** Minutes to add so that the newest message lies in the last full minute. */
export function minutesToNow(newest: number, nowMs: number): number {
  return Math.floor(nowMs / MINUTE_MS) - 1 - Math.floor(newest / MINUTE_MS)
}

/** The message moved by whole minutes; its length and its fraction of a second stay. */
export function shiftMessage(message: DrainMessage, minutes: number): DrainMessage {
  const head = Buffer.from(message.subarray(0, 32)).toString('latin1')
  const [all, stamp] = STAMP.exec(head) ?? []
  if (all === undefined || stamp === undefined || minutes === 0) return message
  const movedMs = Date.parse(`${stamp}Z`) + minutes * MINUTE_MS
  const moved = Buffer.from(message)
  moved.write(new Date(movedMs).toISOString().slice(0, 19), all.length - 19, 'latin1')
  return moved
}
