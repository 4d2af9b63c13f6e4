/**
 * The router's line for a request: `at=info method=GET path="/" … dyno=web.1 connect=0ms
 * service=3ms status=200 bytes=6979`. https://devcenter.heroku.com/articles/http-routing
 */
import { eightOf, viewOf } from './ascii.ts'
import { ABSENT } from './burst.ts'
import { byteAt } from './bytes.ts'
import { startsWith } from './message.ts'
import { UNREADABLE } from './router-figures.ts'
import { RouterTail } from './router-tail.ts'
import { readWords, wordEnd } from './router-words.ts'

/** Longest process type and error code taken. Heroku's process types have at most 30 characters. */
const NAME_BYTES_MAX = 64

const QUOTE = 0x22
const C = 0x63

const INFO = eightOf('at=info ')

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

/** Reads the router's lines of one body. */
export class RouterLines {
  /** The one that was read last. */
  readonly line = emptyRouterLine()
  private readonly tail: RouterTail

  constructor(
    private readonly body: Uint8Array,
    private readonly view = viewOf(body),
  ) {
    this.tail = new RouterTail(body, view)
  }

  /**
   * Reads the line from `start` to `end`. Keys may come in any order and unknown ones are passed
   * over. A key that comes twice counts as it came last, because what a client can write into a line
   * (path, host, fwd) stands before the router's own figures. `code` stands before that and counts as
   * it came first; a line at=info has none, or has it right behind.
   * @returns false where it is no line for a request, or a value in it can't be read
   */
  read(start: number, end: number): boolean {
    const { body, line, tail } = this
    const isRequest =
      (this.readHead(start, end) && tail.read(start, end, line)) ||
      readWords(body, start, end, line)
    return isRequest && isReadable(body, line)
  }

  /**
   * The code of a line that begins as the router's do, `at=info` or `at=error code=H12`: so nothing
   * behind it is one. False where it begins otherwise.
   */
  private readHead(start: number, end: number): boolean {
    const { body, line, view } = this
    line.codeStart = line.codeEnd = 0
    if (end - start < 16) return false
    if (view.getFloat64(start, true) === INFO) {
      return view.getUint8(start + 8) !== C || !startsWith(body, start + 8, end, 'code=')
    }
    if (!startsWith(body, start, end, 'at=error code=')) return false
    const code = start + 14
    if (view.getUint8(code) === QUOTE) return false
    line.codeStart = code
    line.codeEnd = wordEnd(body, code, end)
    return true
  }
}

/** Whether all that the line says could be read. */
export function isReadable(body: Uint8Array, line: RouterLine): boolean {
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
