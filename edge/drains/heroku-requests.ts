/** The requests of a body, gathered as columns while it is read. */
import { KnownBytes } from '../../core/ascii.ts'
import { ABSENT, type RequestColumns, requestColumns } from '../../core/burst.ts'
import { RouterLines } from '../../core/router-line.ts'

/** Where no dyno took a request (H10, H14), it was still meant for this one. */
const ROUTED_PROCESS = 'web'

/** An app has a few process types; a body that names more is not allowed to cost a row for each. */
const NAMES_MAX = 64

/** Where the names over the limit go. */
const OTHER = 'other'

/** A dictionary of short names that stand as bytes in a body; almost always the last one again. */
class Names {
  private readonly indexes = new Map<string, number>()
  private readonly last = new KnownBytes()
  private lastIndex = -1
  /** How often a name went to `other`. */
  overLimit = 0

  constructor(
    private readonly body: Uint8Array,
    private readonly view: DataView,
  ) {}

  get list(): string[] {
    return [...this.indexes.keys()]
  }

  indexOf(start: number, end: number): number {
    const { body, view, last, lastIndex } = this
    if (lastIndex >= 0 && last.length === end - start && last.areAt(view, start)) return lastIndex
    const name = String.fromCharCode(...body.subarray(start, end))
    const index = this.indexOfName(name)
    last.remember(view, start, end - start)
    // One over the limit is counted each time.
    this.lastIndex = this.indexes.get(name) ?? -1
    return index
  }

  indexOfName(name: string): number {
    const known = this.indexes.get(name)
    if (known !== undefined) return known
    if (this.indexes.size >= NAMES_MAX && name !== OTHER) {
      this.overLimit += 1
      return this.indexOfName(OTHER)
    }
    this.indexes.set(name, this.indexes.size)
    return this.indexes.size - 1
  }
}

/** Rows that there is room for at first: Logplex sends about 100 messages a request. */
const ROWS_AT_FIRST = 128

/** Of RequestColumns. */
const COLUMNS = 7

/** More room than this is not kept for the next body. */
const ROWS_KEPT_MAX = 1024

/** Room of a body before: to make it anew for each took a sixth of the time of 100 lines. */
let spare: RequestColumns | undefined

export class RequestRows {
  /** How many requests there are. */
  length = 0
  private readonly lines: RouterLines
  private readonly processes: Names
  private readonly codes: Names
  private columns: RequestColumns

  constructor(body: Uint8Array, view: DataView) {
    this.processes = new Names(body, view)
    this.codes = new Names(body, view)
    this.lines = new RouterLines(body, view)
    this.columns = spare ?? requestColumns(ROWS_AT_FIRST)
    // Nobody else writes there until it is given back.
    spare = undefined
  }

  /** Requests whose process type went to `other`. */
  get overLimit(): number {
    return this.processes.overLimit
  }

  /** Takes the router's line from `start` to `end`; false where it can't be read. */
  add(start: number, end: number, timeMs: number): boolean {
    const { lines } = this
    const { line } = lines
    if (!lines.read(start, end)) return false
    if (this.length === this.columns.timeMs.length) this.grow()
    const { columns } = this
    const row = this.length++
    columns.timeMs[row] = timeMs
    columns.serviceMs[row] = line.serviceMs
    columns.connectMs[row] = line.connectMs
    columns.status[row] = line.status
    columns.bytes[row] = line.bytes
    columns.process[row] =
      line.processEnd > line.processStart
        ? this.processes.indexOf(line.processStart, line.processEnd)
        : this.processes.indexOfName(ROUTED_PROCESS)
    columns.code[row] =
      line.codeEnd > line.codeStart ? this.codes.indexOf(line.codeStart, line.codeEnd) : ABSENT
    return true
  }

  /** The columns, as arrays of their own. Nothing is to be added behind. */
  finish(): RequestColumns {
    const { columns, length } = this
    if (columns.timeMs.length <= ROWS_KEPT_MAX) spare = columns
    // One buffer for all: V8 takes a µs to make one, and as long to give it back.
    const buffer = new ArrayBuffer(COLUMNS * length * 8)
    let column = 0
    const copyOf = (values: Float64Array): Float64Array => {
      const copy = new Float64Array(buffer, column++ * length * 8, length)
      for (let i = 0; i < length; i++) copy[i] = values[i] as number
      return copy
    }
    return {
      timeMs: copyOf(columns.timeMs),
      serviceMs: copyOf(columns.serviceMs),
      connectMs: copyOf(columns.connectMs),
      status: copyOf(columns.status),
      bytes: copyOf(columns.bytes),
      process: copyOf(columns.process),
      code: copyOf(columns.code),
      processes: this.processes.list,
      codes: this.codes.list,
    }
  }

  private grow(): void {
    const bigger = requestColumns(this.columns.timeMs.length * 2)
    bigger.timeMs.set(this.columns.timeMs)
    bigger.serviceMs.set(this.columns.serviceMs)
    bigger.connectMs.set(this.columns.connectMs)
    bigger.status.set(this.columns.status)
    bigger.bytes.set(this.columns.bytes)
    bigger.process.set(this.columns.process)
    bigger.code.set(this.columns.code)
    this.columns = bigger
  }
}
