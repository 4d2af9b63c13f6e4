/**
 * The router's own figures, where they end its line in the order it writes them, as they mostly do:
 * ` dyno=… connect=… service=… status=… bytes=…`.
 */
import { eightOf, fourOf, KnownBytes } from './ascii.ts'
import { ABSENT } from './burst.ts'
import { BYTES_DIGITS_MAX, MS_DIGITS_MAX, processEnd, STATUS_DIGITS_MAX } from './router-figures.ts'
import type { RouterLine } from './router-line.ts'

const ZERO = 0x30
const SPACE = 0x20
const QUOTE = 0x22
const EQUALS = 0x3d
const DOT = 0x2e
const MS = 0x6d73

/** A dyno's number: longer ones are read another way. */
const INSTANCE_DIGITS_MAX = 6

/** Keys, told by two overlapping halves or a byte and eight. */
const [DYNO_START, DYNO_END] = [fourOf(' dyn'), fourOf('yno=')]
const [BYTES_START, BYTES_END] = [fourOf(' byt'), fourOf('tes=')]
const CONNECT = eightOf('connect=')
const SERVICE = eightOf('service=')
const STATUS = eightOf(' status=')

/** The ends of keys, before their `=`. */
const FIGURE_ENDS = ['dyno', 'nect', 'vice', 'atus', 'ytes'].map(fourOf)

/** For the lines of one body. */
export class RouterTail {
  /**
   * What stood behind the figures of a line before, ` protocol=https`: a space first, no quote, and
   * no figure.
   */
  private readonly ending = new KnownBytes()
  /** The dyno of a line before, up to its dot: ` dyno=web`. */
  private readonly process = new KnownBytes()
  /** What `digits` read. */
  private value = ABSENT

  constructor(
    private readonly body: Uint8Array,
    private readonly view: DataView,
  ) {}

  /**
   * Reads them from the end of the line backwards, so that what lies before them, three quarters of
   * the line, need not be looked at: no quoted value reaches into words that hold no quote.
   * @returns false where they do not stand so, or one of them is not as the router writes it
   */
  read(start: number, end: number, line: RouterLine): boolean {
    const { ending, view } = this
    const known = end - ending.length
    if (known > start && ending.areAt(view, known) && this.readFigures(start, known, line)) {
      return true
    }
    const figuresEnd = this.figuresEnd(start, end)
    if (figuresEnd < 0) return false
    ending.remember(view, figuresEnd, end - figuresEnd)
    return this.readFigures(start, figuresEnd, line)
  }

  /** Each key is looked for where it has to stand: nothing before `start` is looked at. */
  private readFigures(start: number, end: number, line: RouterLine): boolean {
    const { body, process, view } = this
    let at = this.digits(start, end, BYTES_DIGITS_MAX) - ' bytes='.length
    if (at < start || view.getInt32(at, true) !== BYTES_START) return false
    if (view.getInt32(at + 3, true) !== BYTES_END) return false
    line.bytes = this.value

    at = this.digits(start, at, STATUS_DIGITS_MAX) - ' status='.length
    if (at < start || view.getFloat64(at, true) !== STATUS) return false
    line.status = this.value

    at = this.duration(start, at) - ' service='.length
    if (at < start || view.getFloat64(at + 1, true) !== SERVICE) return false
    if (view.getUint8(at) !== SPACE) return false
    line.serviceMs = this.value

    at = this.duration(start, at) - ' connect='.length
    if (at < start || view.getFloat64(at + 1, true) !== CONNECT) return false
    if (view.getUint8(at) !== SPACE) return false
    line.connectMs = this.value

    const dot = this.digits(start, at, INSTANCE_DIGITS_MAX) - 1
    const dynoAt = dot - process.length
    const isKnown = process.length > 0 && dynoAt >= start && view.getUint8(dot) === DOT
    if (isKnown && process.areAt(view, dynoAt)) {
      line.processStart = dynoAt + ' dyno='.length
      line.processEnd = dot
      return true
    }
    const dyno = valueStart(view, start, at)
    if (dyno - ' dyno='.length < start) return false
    if (view.getInt32(dyno - 6, true) !== DYNO_START || view.getInt32(dyno - 4, true) !== DYNO_END)
      return false
    line.processStart = dyno
    line.processEnd = processEnd(body, dyno, at)
    if (view.getUint8(line.processEnd) === DOT)
      process.remember(view, dyno - 6, line.processEnd - dyno + 6)
    return true
  }

  /** Reads `18ms` or `18`, as `digits` does; `ms` alone is left where it is. */
  private duration(start: number, end: number): number {
    const { view } = this
    const hasUnit = end - 2 > start && view.getInt16(end - 2) === MS
    const digitsEnd = hasUnit ? end - 2 : end
    const at = this.digits(start, digitsEnd, MS_DIGITS_MAX)
    return hasUnit && at === digitsEnd ? end : at
  }

  /**
   * Reads the digits that end at `end`, `most` of them, which is 3 at least: ABSENT where there are
   * none. @returns their start
   */
  private digits(start: number, end: number, most: number): number {
    this.value = ABSENT
    if (end - 4 < start) return end
    // Each byte less a 0; those that are above 9 get their highest bit in `others`.
    const four = this.view.getInt32(end - 4) ^ 0x30_30_30_30
    const others = ((four + 0x76_76_76_76) | four) & 0x80_80_80_80
    if (others === 0) return this.manyDigits(start, end, most)
    const count = (31 - Math.clz32(others & -others)) >> 3
    const digits = four & ~(-1 << (count * 8))
    const value = (digits & 0xff) + ((digits >> 8) & 0xff) * 10 + (digits >> 16) * 100
    if (count > 0) this.value = value
    return end - count
  }

  /** The same for four digits and more. */
  private manyDigits(start: number, end: number, most: number): number {
    const { view } = this
    const least = Math.max(start, end - most)
    let value = 0
    let scale = 1
    let at = end
    for (; at > least; at--) {
      const digit = view.getUint8(at - 1) - ZERO
      if (digit < 0 || digit > 9) break
      value += digit * scale
      scale *= 10
    }
    this.value = value
    return at
  }

  /** Where the value of ` bytes=` ends, if no other figure and no quote follows on it; or -1. */
  private figuresEnd(start: number, end: number): number {
    const { view } = this
    let wordEnd = end
    for (let at = end - 1; at - 6 >= start; at--) {
      const byte = view.getUint8(at)
      if (byte > EQUALS) continue
      if (byte === SPACE) wordEnd = at
      else if (byte === QUOTE) return -1
      else if (byte === EQUALS) {
        const isBytes =
          view.getInt32(at - 6, true) === BYTES_START && view.getInt32(at - 3, true) === BYTES_END
        if (isBytes) return wordEnd
        if (FIGURE_ENDS.includes(view.getInt32(at - 4, true))) return -1
      }
    }
    return -1
  }
}

/** Behind the last `=` before `end`, or -1 where a blank or a quote lies between, or there is none. */
function valueStart(view: DataView, start: number, end: number): number {
  let at = end
  for (; at > start; at--) {
    const byte = view.getUint8(at - 1)
    if (byte === EQUALS) return at
    if (byte <= QUOTE) return -1
  }
  return -1
}
