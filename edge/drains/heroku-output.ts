/** An app's own output: which of its lines may hold metrics, and which words of a split one are whole. */
import { isText, type Message, startsWith } from '../../core/message.ts'

/** Producers split a longer message into parts of this many bytes, also in the middle of a word. */
const SPLIT_BYTES = 10_000

const HASH = 0x23
const SPACE = 0x20
const NEWLINE = 0x0a
const E = 0x65
const T = 0x74

/** What stands before the `#` of a metric. */
const METRIC_WORDS = ['sample', 'measure', 'count']

/** Bounds in the body. */
export interface Words {
  start: number
  end: number
  /** Whether a metric was cut in two. */
  cutMetric: boolean
}

export class OutputLines {
  /** The first `#` of a metric at or behind the last line. Most bodies hold none. */
  private nextMetric = -1
  /** When a process wrote what was split last: its parts share a process and a time, Unix ms. */
  private readonly splits = new Map<string, number>()

  constructor(private readonly body: Uint8Array) {}

  /** Whether the text, up to the end of its message, says nothing to us. */
  isSilent(textStart: number, end: number): boolean {
    if (end - textStart >= SPLIT_BYTES || this.splits.size > 0) return false
    return !this.mayHoldMetrics(textStart, end)
  }

  /** Most lines are told from metrics by a search for one byte, once over the body. */
  mayHoldMetrics(start: number, end: number): boolean {
    if (this.nextMetric < start) this.nextMetric = this.metricFrom(start, this.body.length)
    // `measure.` is l2met's old form, `Error R13` an error that Heroku logs as the app's.
    return (
      this.nextMetric < end ||
      startsWith(this.body, start, end, 'measure.') ||
      startsWith(this.body, start, end, 'Error R13')
    )
  }

  /** Whether the message is a part of a split one, or may be, as one was split in this body. */
  maySplit({ textStart }: Message, end: number): boolean {
    return this.isCut(textStart, end) || this.splits.size > 0
  }

  /** The text without the words that a split went through: half a number is a wrong number. */
  wholeWords({ textStart, textEnd, timeMs }: Message, end: number, process: string): Words {
    const { body, splits } = this
    const words: Words = { start: textStart, end: textEnd, cutMetric: false }
    if (splits.get(process) === timeMs) {
      while (words.start < textEnd && !isBlank(body[words.start])) words.start++
    }
    splits.delete(process)
    if (this.isCut(textStart, end)) {
      splits.set(process, timeMs)
      while (words.end > words.start && !isBlank(body[words.end - 1])) words.end--
      words.cutMetric = this.metricFrom(words.end, textEnd) < textEnd
    }
    return words
  }

  /** Only the last part of a message ends with a newline. */
  private isCut(textStart: number, end: number): boolean {
    return end - textStart >= SPLIT_BYTES && this.body[end - 1] !== NEWLINE
  }

  /** The first `#` of a metric between the bounds, or infinity. */
  private metricFrom(from: number, to: number): number {
    const { body } = this
    for (let at = body.indexOf(HASH, from); at >= 0 && at < to; at = body.indexOf(HASH, at + 1)) {
      // So end the three words: all else, `Users#show`, is told at once.
      if (body[at - 1] !== E && body[at - 1] !== T) continue
      for (const word of METRIC_WORDS) {
        const start = at - word.length
        if (start >= from && isText(body, start, at, word)) return at
      }
    }
    return Number.POSITIVE_INFINITY
  }
}

const isBlank = (byte: number | undefined): boolean => byte !== undefined && byte <= SPACE
