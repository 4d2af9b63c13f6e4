/**
 * Most lines of a drain are an app's output, of which nothing is kept, with the head of the one
 * before: minute, host and source. They are told by comparing bytes, in a third of the time that
 * reading them takes.
 */
import { byteAt, isDigit } from '../../core/bytes.ts'
import type { LedgerCounts } from '../../core/ledger.ts'
import type { Message } from '../../core/message.ts'

/** `2025-11-22T08:00:07.123456+00:00`, as Logplex writes it, and where its parts begin. */
const TIMESTAMP_BYTES = 32
const SECOND_AT = 17
const OFFSET_AT = 26

const SPACE = 0x20
const DASH = 0x2d
const DOT = 0x2e
const SIX = 0x36
const H = 0x68

export class OutputHead {
  private readonly view: DataView
  /** Where the message begins whose head is known, and how far from there its parts lie. */
  private start = -1
  private timeAt = 0
  private processAt = 0
  /** What the ledger counts in the minute of it. */
  private counts: LedgerCounts = {}

  constructor(private readonly body: Uint8Array) {
    this.view = new DataView(body.buffer, body.byteOffset, body.byteLength)
  }

  /** Takes the head of a message that was read, where its time is written as Logplex does. */
  remember(start: number, { procStart }: Message, counts: LedgerCounts): void {
    const timeStart = this.body.indexOf(SPACE, start) + 1
    const timeEnd = timeStart + TIMESTAMP_BYTES
    const isUsual = this.body[timeEnd] === SPACE && isSecond(this.body, timeStart + SECOND_AT)
    this.start = isUsual ? start : -1
    this.timeAt = timeStart - start
    this.processAt = procStart - start
    this.counts = counts
  }

  /** Counts a message that has this head, and nothing that is kept. */
  countIgnored(): void {
    const { counts } = this
    counts.received = (counts.received ?? 0) + 1
    counts.ignoredOutput = (counts.ignoredOutput ?? 0) + 1
  }

  /**
   * Where the text begins of a message that has this head, but for the second and the process,
   * which is a dyno's. -1 where it has another head, or has to be read to know.
   */
  textStart(start: number, end: number): number {
    const { body, timeAt, processAt } = this
    const process = start + processAt
    const isSame =
      this.start >= 0 &&
      process < end &&
      this.isSame(start, 0, timeAt + SECOND_AT) &&
      this.isSame(start, timeAt + OFFSET_AT, processAt) &&
      isSecond(body, start + timeAt + SECOND_AT)
    if (!isSame) return -1
    let at = process
    let isDyno = false
    for (; at < end && body[at] !== SPACE; at++) isDyno ||= body[at] === DOT
    // `web.1`: what is no dyno (api, log-shuttle) has no dot, or begins like heroku-postgres.
    isDyno &&= body[process] !== H
    return isDyno && at + 3 <= end && body[at + 1] === DASH && body[at + 2] === SPACE ? at + 3 : -1
  }

  /** Whether these bytes, 8 or more, are those of the known head. No ASCII is a NaN or a -0. */
  private isSame(start: number, from: number, to: number): boolean {
    const { view } = this
    for (let i = from; i < to; i += 8) {
      const at = Math.min(i, to - 8)
      if (view.getFloat64(start + at) !== view.getFloat64(this.start + at)) return false
    }
    return true
  }
}

/** Whether this is a second of a minute and its fraction: `07.123456`. */
function isSecond(body: Uint8Array, at: number): boolean {
  if (!(isDigit(body[at]) && byteAt(body, at) < SIX && isDigit(body[at + 1]))) return false
  for (let i = at + 3; i < at + 9; i++) if (!isDigit(body[i])) return false
  return body[at + 2] === DOT
}
