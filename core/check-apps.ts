/** What check keeps of a partition: the apps' windows, as far as rules need them, and the holes. */
import { type AggregateRecord, ledgerCellFromWire } from './aggregate-record.ts'
import { AppWindow, MAINTENANCE } from './app-window.ts'
import type { WireCell } from './cell-wire.ts'
import { emptyHistogram, toSparse } from './histogram.ts'
import { MINUTE_MS, minuteOf } from './ledger.ts'
import { parseMetric } from './metric.ts'
import { ALL_APPS, type Rule } from './rule.ts'
import { namesOf } from './window-value.ts'

const NOTHING = toSparse(emptyHistogram())

export class CheckApps {
  readonly windows = new Map<string, AppWindow>()
  private readonly named = new Set<string>()
  private readonly names = new Set([MAINTENANCE])
  private all = false
  /** Minutes of which our own log lost something: it may have been any app's. */
  private readonly holes = new Set<number>()

  constructor(private readonly owns: (app: string) => boolean) {}

  /** From now on what the rule needs is kept. */
  need({ apps, metric }: Rule): void {
    const parsed = parseMetric(metric)
    for (const name of parsed === undefined ? [] : namesOf(parsed)) this.names.add(name)
    for (const app of apps) {
      if (app === ALL_APPS) this.all = true
      else if (this.owns(app)) {
        this.named.add(app)
        this.watch(app)
      }
    }
  }

  /** Whether a rule names the app: then it is kept although nothing comes of it. */
  isNamed(app: string): boolean {
    return this.named.has(app)
  }

  /** The app's window, from now on kept if it is not yet; undefined where nobody wants it here. */
  watch(app: string): AppWindow | undefined {
    const known = this.windows.get(app)
    if (known !== undefined) return known
    if (!(this.all || this.named.has(app)) || app === '' || !this.owns(app)) return undefined
    const window = new AppWindow()
    this.windows.set(app, window)
    return window
  }

  take({ cells, ledger }: Pick<AggregateRecord, 'cells' | 'ledger'>): void {
    for (const cell of cells) if (this.wants(cell)) this.watch(cell.app)?.add(lean(cell))
    for (const row of ledger) {
      const { app, bucketMs, counts } = ledgerCellFromWire(row)
      if (app !== '') this.watch(app)?.addLedger(app, bucketMs, counts)
      else if (
        (counts.lostLog ?? 0) + (counts.logReplaced ?? 0) + (counts.repartitioned ?? 0) >
        0
      ) {
        this.holes.add(bucketMs)
      }
    }
  }

  private wants(cell: WireCell): boolean {
    return !('name' in cell) || this.names.has(cell.name)
  }

  /** Of the minutes that hold the times from `sinceMs` to `untilMs` something may be missing. */
  addHole(sinceMs: number, untilMs: number): void {
    for (let at = minuteOf(sinceMs); at <= untilMs; at += MINUTE_MS) this.holes.add(at)
  }

  hasHole(sinceMs: number, untilMs: number): boolean {
    if (this.holes.size === 0) return false
    for (let at = sinceMs; at < untilMs; at += MINUTE_MS) if (this.holes.has(at)) return true
    return false
  }

  /** Forgets all that lies before `minuteMs`. */
  forget(minuteMs: number): void {
    for (const window of this.windows.values()) window.forget(minuteMs)
    for (const at of this.holes) if (at < minuteMs) this.holes.delete(at)
  }
}

/** Without what no rule asks for. */
function lean(cell: WireCell): WireCell {
  return cell.kind === 'requests' ? { ...cell, connect: NOTHING } : cell
}
