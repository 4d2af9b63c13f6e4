/** Adds cells to rows. Additive and commutative: the order never matters. */
import type { Cells } from '../core/cell.ts'
import type { Transaction } from './client.ts'
import { mergeLedger } from './merge-ledger.ts'
import { mergeDynos, mergeMarkers } from './merge-markers.ts'
import { mergeCounters, mergeGauges, mergeHistograms } from './merge-metrics.ts'
import { placeCells } from './merge-place.ts'
import { mergeRequests } from './merge-requests.ts'
import type { Rows } from './schema.ts'
import { holdTiers, markDirty } from './tiers.ts'

/** In this order by all who write, so that no two wait in a ring. */
const TIERS = ['1d', '1h', '10m', '1m'] as const

/** Rows a statement: PostgreSQL plans and runs it without growing large. */
const ROWS_MAX = 500

/**
 * Merges all cells into their rows, in the caller's transaction: each into the finest tier that
 * keeps its time. Marks the buckets of coarser tiers that are made again for it.
 * @returns how many cells were passed over, as no tier keeps their time
 */
export async function mergeCells(sql: Transaction, cells: Cells): Promise<number> {
  const placeOf = await holdTiers(sql)
  await markDirty(sql, cells)
  const { placed, passedOver } = placeCells(cells, placeOf)
  for (const tier of TIERS) await mergeInto(sql, tier, placed[tier])
  await inBatches(cells.markers, (rows) => mergeMarkers(sql, 'marker_lines', rows))
  await inBatches(cells.dynos, (rows) => mergeDynos(sql, 'dynos', rows))
  return passedOver
}

/**
 * Merges all cells into the tables of these names, with no mark; dynos and lines of markers only
 * where they are staged. Tables go by name, as shelf.make_partitions locks them, and rows by key: so
 * that no two transactions wait in a ring.
 */
export async function mergeInto(sql: Transaction, into: Rows, cells: Cells): Promise<void> {
  await inBatches(cells.counters, (rows) => mergeCounters(sql, into, rows))
  await inBatches(cells.gauges, (rows) => mergeGauges(sql, into, rows))
  await inBatches(cells.measures, (rows) => mergeHistograms(sql, into, rows))
  await inBatches(cells.ledger, (rows) => mergeLedger(sql, into, rows))
  await inBatches(cells.requests, (rows) => mergeRequests(sql, into, rows))
  if (into !== 'staged') return
  await inBatches(cells.markers, (rows) => mergeMarkers(sql, 'marker_lines_staged', rows))
  await inBatches(cells.dynos, (rows) => mergeDynos(sql, 'dynos_staged', rows))
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
