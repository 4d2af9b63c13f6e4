/** The requests of a body, gathered as columns while it is read. */
import { ABSENT, type RequestColumns, requestColumns } from '../../core/burst.ts'
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
  private columns = requestColumns(0)
  private readonly processes = new Names()
  private readonly codes = new Names()
  private length = 0

  /** Takes at most `most` requests. Many bodies hold none, and then no room is made. */
  constructor(private readonly most: number) {}

  /** Requests whose process type went to `other`. */
  get overLimit(): number {
    return this.processes.overLimit
  }

  /** Takes the router's line from `start` to `end`; false where it can't be read. */
  add(body: Uint8Array, start: number, end: number, timeMs: number): boolean {
    const { line, length } = this
    if (!parseRouterLine(body, start, end, line)) return false
    if (length === 0) this.columns = requestColumns(this.most)
    const { columns } = this
    columns.timeMs[length] = timeMs
    columns.serviceMs[length] = line.serviceMs
    columns.connectMs[length] = line.connectMs
    columns.status[length] = line.status
    columns.bytes[length] = line.bytes
    columns.process[length] =
      line.processEnd > line.processStart
        ? this.processes.indexOf(body, line.processStart, line.processEnd)
        : this.processes.indexOfName(ROUTED_PROCESS)
    columns.code[length] =
      line.codeEnd > line.codeStart
        ? this.codes.indexOf(body, line.codeStart, line.codeEnd)
        : ABSENT
    this.length += 1
    return true
  }

  finish(): RequestColumns {
    const { columns, length } = this
    const names = { processes: this.processes.list, codes: this.codes.list }
    if (length === columns.timeMs.length) return { ...columns, ...names }
    return {
      timeMs: columns.timeMs.subarray(0, length),
      serviceMs: columns.serviceMs.subarray(0, length),
      connectMs: columns.connectMs.subarray(0, length),
      status: columns.status.subarray(0, length),
      bytes: columns.bytes.subarray(0, length),
      process: columns.process.subarray(0, length),
      code: columns.code.subarray(0, length),
      ...names,
    }
  }
}
