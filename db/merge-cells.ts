/** Adds cells to the rows of the 1m tier. Additive and commutative: the order never matters. */
import type { Cells } from '../core/cell.ts'
import type { Transaction } from './client.ts'
import { mergeLedger } from './merge-ledger.ts'
import { mergeDynos, mergeMarkers } from './merge-markers.ts'
import { mergeCounters, mergeGauges, mergeHistograms } from './merge-metrics.ts'
import { mergeRequests } from './merge-requests.ts'
import { markDirty } from './tiers.ts'

/** Rows a statement: PostgreSQL plans and runs it without growing large. */
const ROWS_MAX = 500

/**
 * Merges all cells into their rows, in the caller's transaction, and marks the buckets of coarser
 * tiers that are made again for it. Tables go by name, as
 * shelf.make_partitions locks them, and rows by key: so that no two transactions wait in a ring.
 */
export async function mergeCells(sql: Transaction, cells: Cells): Promise<void> {
  await markDirty(sql, cells)
  await inBatches(sql, cells.counters, mergeCounters)
  await inBatches(sql, cells.dynos, mergeDynos)
  await inBatches(sql, cells.gauges, mergeGauges)
  await inBatches(sql, cells.measures, mergeHistograms)
  await inBatches(sql, cells.ledger, mergeLedger)
  await inBatches(sql, cells.markers, mergeMarkers)
  await inBatches(sql, cells.requests, mergeRequests)
}

async function inBatches<Cell>(
  sql: Transaction,
  cells: ReadonlyMap<string, Cell>,
  merge: (sql: Transaction, rows: Cell[]) => Promise<void>,
): Promise<void> {
  const rows = [...cells].sort(byKey).map(([, cell]) => cell)
  for (let at = 0; at < rows.length; at += ROWS_MAX) {
    await merge(sql, rows.slice(at, at + ROWS_MAX))
  }
}

const byKey = <Cell>([a]: [string, Cell], [b]: [string, Cell]): number =>
  a < b ? -1 : a > b ? 1 : 0
