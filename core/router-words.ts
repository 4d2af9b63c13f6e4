/** The router's line, read word by word: whatever it is like. */
import { ABSENT } from './burst.ts'
import { isText } from './message.ts'
import { processEnd, readBytes, readMs, readStatus } from './router-figures.ts'
import type { RouterLine } from './router-line.ts'

const SPACE = 0x20
const EQUALS = 0x3d
const QUOTE = 0x22

/** Sets what a line may say; absent where it doesn't. */
function clear(line: RouterLine): void {
  line.serviceMs = line.connectMs = line.status = line.bytes = ABSENT
  line.processStart = line.processEnd = line.codeStart = line.codeEnd = 0
}

/** @returns whether it is a request's line */
export function readWords(body: Uint8Array, start: number, end: number, line: RouterLine): boolean {
  clear(line)
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
    if (isText(body, key, keyEnd, 'service')) {
      isRequest = true
      line.serviceMs = readMs(body, value, at)
    } else if (isText(body, key, keyEnd, 'connect')) {
      line.connectMs = readMs(body, value, at)
    } else if (isText(body, key, keyEnd, 'status')) {
      isRequest = true
      line.status = readStatus(body, value, at)
    } else if (isText(body, key, keyEnd, 'bytes')) {
      line.bytes = readBytes(body, value, at)
    } else if (isText(body, key, keyEnd, 'dyno')) {
      line.processStart = value
      line.processEnd = processEnd(body, value, at)
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

/** The next space, or the end. */
export function wordEnd(body: Uint8Array, from: number, end: number): number {
  let at = from
  while (at < end && body[at] !== SPACE) at++
  return at
}
