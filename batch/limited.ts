/** Names of cells that are over the limits of an app: what they hold goes to `other`. */
import type { Cells } from '../core/cell.ts'
import type { Limits } from '../db/limits.ts'
import { setting } from './program.ts'

/** Names that an app may have in a minute; what is over goes to `other`. */
export const LIMITS = {
  processes: setting('SHELF_PROCESSES_MAX', 64),
  names: setting('SHELF_NAMES_MAX', 500),
}

interface Named {
  app: string
  process: string
  /** Of a metric. */
  name?: string
  source?: string
}

/**
 * The cell, or its share of `other`, which the ledger in `cells` counts by its values.
 * @param bucketMs the minute that it is of, Unix ms
 */
export function limited<Cell extends Named>(
  cell: Cell,
  bucketMs: number,
  valuesIn: (cell: Cell) => number,
  { limits, cells }: { limits: Limits; cells: Cells },
): Cell {
  const { app, name, source = '' } = cell
  const process = limits.process(app, bucketMs, cell.process)
  const metric = name === undefined ? undefined : limits.name(app, bucketMs, name, source)
  const isSame = metric === undefined || (metric.name === name && metric.source === source)
  if (isSame && process === cell.process) return cell
  cells.addLedger(app, bucketMs, { overLimit: valuesIn(cell) })
  return { ...cell, process, ...metric }
}
