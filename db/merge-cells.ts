/** Adds cells to rows. Additive and commutative: the order never matters. */
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
  await inBatches(cells.counters, (rows) => mergeCounters(sql, '1m', rows))
  await inBatches(cells.dynos, (rows) => mergeDynos(sql, rows))
  await inBatches(cells.gauges, (rows) => mergeGauges(sql, '1m', rows))
  await inBatches(cells.measures, (rows) => mergeHistograms(sql, '1m', rows))
  await inBatches(cells.ledger, (rows) => mergeLedger(sql, '1m', rows))
  await inBatches(cells.markers, (rows) => mergeMarkers(sql, rows))
  await inBatches(cells.requests, (rows) => mergeRequests(sql, '1m', rows))
}

async function inBatches<Cell>(
  cells: ReadonlyMap<string, Cell>,
  merge: (rows: Cell[]) => Promise<void>,
): Promise<void> {
  const rows = [...cells].sort(byKey).map(([, cell]) => cell)
  for (let at = 0; at < rows.length; at += ROWS_MAX) {
    await merge(rows.slice(at, at + ROWS_MAX))
  }
}

const byKey = <Cell>([a]: [string, Cell], [b]: [string, Cell]): number =>
  a < b ? -1 : a > b ? 1 : 0
