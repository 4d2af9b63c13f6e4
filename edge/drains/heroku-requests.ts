/** The requests of a body, gathered as columns while it is read. */
import { KnownBytes } from '../../core/ascii.ts'
import { ABSENT, type RequestColumns } from '../../core/burst.ts'
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

/** The columns of RequestColumns, side by side while rows are gathered: one array takes a value faster than seven. */
const COLUMNS = 7

/** More room than this is not kept for the next body. */
const ROWS_KEPT_MAX = 1024

/** Room of a body before: to make it anew for each took a sixth of the time of 100 lines. */
let spare: Float64Array | undefined

export class RequestRows {
  /** How many requests there are. */
  length = 0
  private readonly lines: RouterLines
  private readonly processes: Names
  private readonly codes: Names
  private rows: Float64Array

  constructor(body: Uint8Array, view: DataView) {
    this.processes = new Names(body, view)
    this.codes = new Names(body, view)
    this.lines = new RouterLines(body, view)
    this.rows = spare ?? new Float64Array(ROWS_AT_FIRST * COLUMNS)
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
    const at = this.length++ * COLUMNS
    if (at === this.rows.length) this.grow()
    const { rows } = this
    rows[at] = timeMs
    rows[at + 1] = line.serviceMs
    rows[at + 2] = line.connectMs
    rows[at + 3] = line.status
    rows[at + 4] = line.bytes
    rows[at + 5] =
      line.processEnd > line.processStart
        ? this.processes.indexOf(line.processStart, line.processEnd)
        : this.processes.indexOfName(ROUTED_PROCESS)
    rows[at + 6] =
      line.codeEnd > line.codeStart ? this.codes.indexOf(line.codeStart, line.codeEnd) : ABSENT
    return true
  }

  /** The columns, in memory of their own. Nothing is to be added behind. */
  finish(): RequestColumns {
    const { rows, length } = this
    if (rows.length <= ROWS_KEPT_MAX * COLUMNS) spare = rows
    // One buffer for all: V8 takes a µs to make one, and as long to give it back.
    const buffer = new ArrayBuffer(COLUMNS * length * 8)
    const column = (place: number): Float64Array => {
      const values = new Float64Array(buffer, place * length * 8, length)
      for (let i = 0; i < length; i++) values[i] = rows[i * COLUMNS + place] as number
      return values
    }
    return {
      timeMs: column(0),
      serviceMs: column(1),
      connectMs: column(2),
      status: column(3),
      bytes: column(4),
      process: column(5),
      code: column(6),
      processes: this.processes.list,
      codes: this.codes.list,
    }
  }

  private grow(): void {
    const bigger = new Float64Array(this.rows.length * 2)
    bigger.set(this.rows)
    this.rows = bigger
  }
}
