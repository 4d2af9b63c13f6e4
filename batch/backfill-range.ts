/** The range of a backfill: what of a burst and of a chunk lies in it. */
import { NO_REQUESTS, type PackedBurst } from '../core/burst.ts'
import { Cells } from '../core/cell.ts'
import { valueAt } from '../core/column.ts'
import { emptySignals } from '../core/signals.ts'

/** Whole minutes, Unix ms: from `sinceMs` to before `untilMs`. */
export interface Range {
  /** Moves on: what is done is not staged any more. */
  sinceMs: number
  untilMs: number
  /** Undefined: all, and what belongs to no app. */
  apps: ReadonlySet<string> | undefined
}

const isWanted = ({ apps }: Range, app: string): boolean => apps === undefined || apps.has(app)

const isIn = ({ sinceMs, untilMs }: Range, timeMs: number): boolean =>
  sinceMs <= timeMs && timeMs < untilMs

/** Whether anything of the burst lies in the range, by the times of all that it holds. */
export function touches({ app, ledger, requests, signals }: PackedBurst, range: Range): boolean {
  if (!isWanted(range, app)) return false
  for (const minuteMs of ledger.keys()) if (isIn(range, minuteMs)) return true
  for (let row = 0; row < requests.rows; row++) {
    if (isIn(range, valueAt(requests.timeMs, row))) return true
  }
  return [signals.points, signals.markers, signals.dynos].some((events) =>
    events.some(({ timeMs }) => isIn(range, timeMs)),
  )
}

const NO_SIGNALS = emptySignals()

/** What of a burst says that it came, and what it lost: without what it costs to fold. */
export function withoutEvents(burst: PackedBurst): PackedBurst {
  return { ...burst, requests: NO_REQUESTS, signals: NO_SIGNALS }
}

/** The cells in the range. That the log was replaced is left out: it is kept as it is. */
export function cellsIn(cells: Cells, range: Range): Cells {
  const kept = new Cells()
  const keep = <Cell extends { app: string }>(
    from: ReadonlyMap<string, Cell>,
    to: Map<string, Cell>,
    isKept: (cell: Cell) => boolean,
  ): void => {
    for (const [key, cell] of from) if (isWanted(range, cell.app) && isKept(cell)) to.set(key, cell)
  }
  const byBucket = ({ bucketMs }: { bucketMs: number }) => isIn(range, bucketMs)
  keep(cells.requests, kept.requests, byBucket)
  keep(cells.gauges, kept.gauges, byBucket)
  keep(cells.counters, kept.counters, byBucket)
  keep(cells.measures, kept.measures, byBucket)
  keep(cells.markers, kept.markers, ({ timeMs }) => isIn(range, timeMs))
  keep(cells.dynos, kept.dynos, ({ firstMs, lastMs }) => overlaps(range, firstMs, lastMs))
  for (const [key, { app, bucketMs, counts }] of cells.ledger) {
    if (!isWanted(range, app) || !isIn(range, bucketMs)) continue
    const { logReplaced, ...others } = counts
    const isEmpty = logReplaced !== undefined && Object.keys(others).length === 0
    if (!isEmpty) kept.ledger.set(key, { app, bucketMs, counts: others })
  }
  return kept
}

const overlaps = ({ sinceMs, untilMs }: Range, firstMs: number, lastMs: number): boolean =>
  firstMs < untilMs && lastMs >= sinceMs
