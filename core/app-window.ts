/** What check keeps of an app: its cells of the last minutes, by the minute of the event. */
import { Cells } from './cell.ts'
import { addWireCell, type WireCell } from './cell-wire.ts'
import { addUp, type LedgerCounts, MINUTE_MS } from './ledger.ts'

/** Counted by the router while an app is in maintenance mode: Heroku says so in no other line. */
export const MAINTENANCE = 'H80'

/** Without a request nobody knows whether it is over: shelf.maintenance waits as long. */
export const MAINTENANCE_GAP_MINUTES = 5

/** After these an app's dynos start anew. */
const DEPLOYS: readonly string[] = ['deploy', 'rollback', 'release']

/** Messages of a window. */
export interface Messages {
  /** Without those that came twice. */
  received: number
  read: number
  lost: number
  /** Some may count twice: raw got more partitions. */
  isUnsure: boolean
}

export class AppWindow {
  private readonly minutes = new Map<number, Cells>()
  private deploysMs: number[] = []

  get isEmpty(): boolean {
    return this.minutes.size === 0
  }

  /** Adds a cell of the app. Dynos, and markers that are no deploy, are passed over. */
  add(cell: WireCell): void {
    if ('bucket' in cell) addWireCell(this.minute(Date.parse(cell.bucket)), cell)
    else if (cell.kind === 'marker' && DEPLOYS.includes(cell.marker)) {
      const timeMs = Date.parse(cell.time)
      if (!this.deploysMs.includes(timeMs)) this.deploysMs.push(timeMs)
    }
  }

  addLedger(app: string, minuteMs: number, counts: LedgerCounts): void {
    this.minute(minuteMs).addLedger(app, minuteMs, counts)
  }

  /** Forgets what lies before `minuteMs`. */
  forget(minuteMs: number): void {
    for (const at of this.minutes.keys()) if (at < minuteMs) this.minutes.delete(at)
    if (this.deploysMs.length === 0) return
    this.deploysMs = this.deploysMs.filter((timeMs) => timeMs >= minuteMs)
  }

  /** The cells of the minutes from `sinceMs` up to, without, `untilMs`. */
  *between(sinceMs: number, untilMs: number): Generator<Cells> {
    for (let at = sinceMs; at < untilMs; at += MINUTE_MS) {
      const cells = this.minutes.get(at)
      if (cells !== undefined) yield cells
    }
  }

  messages(sinceMs: number, untilMs: number): Messages {
    const sum: Messages = { received: 0, read: 0, lost: 0, isUnsure: false }
    for (const cells of this.between(sinceMs, untilMs)) {
      for (const { counts } of cells.ledger.values()) addMessages(sum, counts)
    }
    return sum
  }

  /** Whether a request of the window was refused for it; or where it has none, one soon before. */
  isInMaintenance(sinceMs: number, untilMs: number): boolean {
    if (this.wasRefused(sinceMs, untilMs)) return true
    for (const { requests } of this.between(sinceMs, untilMs)) if (requests.size > 0) return false
    return this.wasRefused(sinceMs - MAINTENANCE_GAP_MINUTES * MINUTE_MS, sinceMs)
  }

  private wasRefused(sinceMs: number, untilMs: number): boolean {
    for (const { counters } of this.between(sinceMs, untilMs)) {
      for (const { name } of counters.values()) if (name === MAINTENANCE) return true
    }
    return false
  }

  /** Whether there was a deploy after `afterMs` and before `untilMs`. */
  wasDeployed(afterMs: number, untilMs: number): boolean {
    return this.deploysMs.some((timeMs) => timeMs > afterMs && timeMs < untilMs)
  }

  private minute(minuteMs: number): Cells {
    let cells = this.minutes.get(minuteMs)
    if (cells === undefined) {
      cells = new Cells()
      this.minutes.set(minuteMs, cells)
    }
    return cells
  }
}

/** The same sums as those of the view shelf.completeness. */
function addMessages(sum: Messages, counts: LedgerCounts): void {
  const received = Math.max(0, (counts.received ?? 0) - (counts.duplicates ?? 0))
  sum.received = addUp(sum.received, received)
  sum.read = addUp(sum.read, Math.max(0, received - (counts.malformed ?? 0)))
  const { lostL10 = 0, lostL12 = 0, lostL13 = 0, lostLog = 0, deadLetters = 0 } = counts
  sum.lost = addUp(sum.lost, lostL10 + lostL12 + lostL13 + lostLog + deadLetters)
  if ((counts.repartitioned ?? 0) > 0) sum.isUnsure = true
}
