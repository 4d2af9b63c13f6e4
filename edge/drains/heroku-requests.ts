/** The requests of a body, gathered as columns while it is read. */
import { ABSENT, type RequestColumns } from '../../core/burst.ts'
import { isText } from '../../core/message.ts'
import { emptyRouterLine, parseRouterLine } from '../../core/router-line.ts'

/** Where no dyno took a request (H10, H14), it was still meant for this one. */
const ROUTED_PROCESS = 'web'

/** An app has a few process types; a body that names more is not allowed to cost a row for each. */
const NAMES_MAX = 64

/** Where the names over the limit go. */
const OTHER = 'other'

/** A dictionary of short names that stand as bytes in a body; almost always the last one again. */
class Names {
  private readonly indexes = new Map<string, number>()
  private last = ''
  /** How often a name went to `other`. */
  overLimit = 0

  get list(): string[] {
    return [...this.indexes.keys()]
  }

  indexOf(body: Uint8Array, start: number, end: number): number {
    if (!isText(body, start, end, this.last)) {
      this.last = String.fromCharCode(...body.subarray(start, end))
    }
    return this.indexOfName(this.last)
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

export class RequestRows {
  private readonly line = emptyRouterLine()
  private readonly processes = new Names()
  private readonly codes = new Names()
  private readonly timeMs: number[] = []
  private readonly serviceMs: number[] = []
  private readonly connectMs: number[] = []
  private readonly status: number[] = []
  private readonly bytes: number[] = []
  private readonly process: number[] = []
  private readonly code: number[] = []

  /** Requests whose process type went to `other`. */
  get overLimit(): number {
    return this.processes.overLimit
  }

  /** Takes the router's line from `start` to `end`; false where it can't be read. */
  add(body: Uint8Array, start: number, end: number, timeMs: number): boolean {
    const { line } = this
    if (!parseRouterLine(body, start, end, line)) return false
    this.timeMs.push(timeMs)
    this.serviceMs.push(line.serviceMs)
    this.connectMs.push(line.connectMs)
    this.status.push(line.status)
    this.bytes.push(line.bytes)
    this.process.push(
      line.processEnd > line.processStart
        ? this.processes.indexOf(body, line.processStart, line.processEnd)
        : this.processes.indexOfName(ROUTED_PROCESS),
    )
    this.code.push(
      line.codeEnd > line.codeStart
        ? this.codes.indexOf(body, line.codeStart, line.codeEnd)
        : ABSENT,
    )
    return true
  }

  finish(): RequestColumns {
    return {
      timeMs: new Float64Array(this.timeMs),
      serviceMs: new Int32Array(this.serviceMs),
      connectMs: new Int32Array(this.connectMs),
      status: new Int32Array(this.status),
      bytes: new Float64Array(this.bytes),
      process: new Int32Array(this.process),
      code: new Int32Array(this.code),
      processes: this.processes.list,
      codes: this.codes.list,
    }
  }
}
