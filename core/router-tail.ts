/**
 * The router's own figures, where they end its line in the order it writes them, as they mostly do:
 * ` dyno=… connect=… service=… status=… bytes=…`.
 */
import { byteAt } from './bytes.ts'
import { processEnd, readBytes, readMs, readStatus } from './router-figures.ts'
import type { RouterLine } from './router-line.ts'

const SPACE = 0x20
const QUOTE = 0x22
const EQUALS = 0x3d

/** The ends of their keys: ` dyno=` without its space and `=`, and so on. */
const DYNO = asNumber('dyno')
const [CONNECT_START, CONNECT] = [asNumber(' con'), asNumber('nect')]
const [SERVICE_START, SERVICE] = [asNumber(' ser'), asNumber('vice')]
const [STATUS_START, STATUS] = [asNumber(' sta'), asNumber('atus')]
const [BYTES_START, BYTES] = [asNumber(' byt'), asNumber('ytes')]

/**
 * Reads them from the end of the line backwards, so that what lies before them, three quarters of
 * the line, need not be looked at: no quoted value reaches into words that hold no quote.
 * @returns false where they do not stand so
 */
export function readTail(body: Uint8Array, start: number, end: number, line: RouterLine): boolean {
  const bytesEnd = figuresEnd(body, start, end)
  if (bytesEnd < 0) return false
  const bytes = valueStart(body, start, bytesEnd)
  const statusEnd = bytes - ' bytes='.length
  const status = valueStart(body, start, statusEnd)
  const serviceEnd = status - ' status='.length
  const service = valueStart(body, start, serviceEnd)
  const connectEnd = service - ' service='.length
  const connect = valueStart(body, start, connectEnd)
  const dynoEnd = connect - ' connect='.length
  const dyno = valueStart(body, start, dynoEnd)
  const isUsual =
    dyno - ' dyno='.length >= start &&
    fourBytes(body, status - 5) === STATUS &&
    fourBytes(body, status - 8) === STATUS_START &&
    fourBytes(body, service - 5) === SERVICE &&
    fourBytes(body, service - 9) === SERVICE_START &&
    fourBytes(body, connect - 5) === CONNECT &&
    fourBytes(body, connect - 9) === CONNECT_START &&
    fourBytes(body, dyno - 5) === DYNO &&
    body[dyno - 6] === SPACE
  if (!isUsual) return false
  line.bytes = readBytes(body, bytes, bytesEnd)
  line.status = readStatus(body, status, statusEnd)
  line.serviceMs = readMs(body, service, serviceEnd)
  line.connectMs = readMs(body, connect, connectEnd)
  line.processStart = dyno
  line.processEnd = processEnd(body, dyno, dynoEnd)
  return true
}

/** Where the value of ` bytes=` ends, if no other figure and no quote follows on it; or -1. */
function figuresEnd(body: Uint8Array, start: number, end: number): number {
  let wordEnd = end
  for (let at = end - 1; at > start; at--) {
    const byte = byteAt(body, at)
    if (byte > EQUALS) continue
    if (byte === SPACE) {
      wordEnd = at
    } else if (byte === QUOTE) {
      return -1
    } else if (byte === EQUALS) {
      const key = fourBytes(body, at - 4)
      if (key === BYTES && fourBytes(body, at - 6) === BYTES_START) return wordEnd
      if (key === DYNO || key === CONNECT || key === SERVICE || key === STATUS) return -1
    }
  }
  return -1
}

/** Behind the last `=` before `end`, or -1 where a blank or a quote lies between, or there is none. */
function valueStart(body: Uint8Array, start: number, end: number): number {
  let at = end
  while (at > start && byteAt(body, at - 1) > QUOTE && body[at - 1] !== EQUALS) at--
  return at > start && body[at - 1] === EQUALS ? at : -1
}

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
