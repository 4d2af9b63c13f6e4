/** The one transaction of staging: what persist does, into tables of its own. */
import type { Cells } from '../core/cell.ts'
import { inOrder } from '../core/cell-wire.ts'
import { countOf } from '../core/histogram.ts'
import { behind, type Place, placeBehind } from '../core/place.ts'
import { holdJob, lockStaged, moveStaged } from '../db/backfill-job.ts'
import type { Sql } from '../db/client.ts'
import { type Limits, loadLimits } from '../db/limits.ts'
import { mergeInto } from '../db/merge-cells.ts'
import { LIMITS, limited } from './limited.ts'
import { cellsOf, type Stretch } from './persist-records.ts'

/** As a record of aggregates, with its cells as they are before they are written. */
export interface Piece extends Stretch {
  cells: Cells
}

/**
 * Merges pieces of one partition that follow its place into the staged rows, names limited in the
 * order of the log as persist limits them, and moves the place.
 * @throws JobGoneError
 */
export async function stagePieces(
  sql: Sql,
  run: string,
  partition: number,
  pieces: readonly Piece[],
): Promise<void> {
  await sql.begin(async (transaction) => {
    await holdJob(transaction, run)
    const place = await lockStaged(transaction, partition)
    if (place === undefined) throw new Error(`partition ${partition} has no place`)
    const fresh = behind(pieces, place)
    const limits = await loadLimits(transaction, minutesOf(fresh), LIMITS, 'staged')
    const cells = cellsOf(fresh, { ...place, watermark: null }, (cells, piece) =>
      addPiece(cells, piece.cells, limits),
    )
    await mergeInto(transaction, 'staged', cells)
    const last = fresh.at(-1)
    if (last !== undefined) await moveStaged(transaction, partition, placeBehind(last))
  })
}

function* minutesOf(pieces: readonly Piece[]): Generator<{ app: string; bucketMs: number }> {
  for (const { cells } of pieces) {
    yield* cells.requests.values()
    yield* cells.gauges.values()
    yield* cells.counters.values()
    yield* cells.measures.values()
  }
}

/** Adds all cells of `more` in the order in which a record has them: names are limited in it. */
function addPiece(cells: Cells, more: Cells, limits: Limits): void {
  const to = { limits, cells }
  for (const cell of inOrder(more.requests)) {
    cells.mergeRequestCell(limited(cell, cell.bucketMs, ({ requests }) => requests, to))
  }
  for (const cell of inOrder(more.gauges)) {
    cells.addGauge(limited(cell, cell.bucketMs, ({ count }) => count, to))
  }
  for (const cell of inOrder(more.counters)) {
    cells.addCounter(limited(cell, cell.bucketMs, () => 1, to))
  }
  for (const cell of inOrder(more.measures)) {
    cells.addMeasure(limited(cell, cell.bucketMs, ({ histogram }) => countOf(histogram), to))
  }
  for (const marker of more.markers.values()) cells.addMarker(marker)
  for (const dyno of more.dynos.values()) cells.addDyno(dyno)
  for (const { app, bucketMs, counts } of more.ledger.values()) {
    cells.addLedger(app, bucketMs, counts)
  }
}

/** Where the staging of a partition begins. */
export async function beginStaging(
  sql: Sql,
  run: string,
  partition: number,
  place: Place,
): Promise<void> {
  await sql.begin(async (transaction) => {
    await holdJob(transaction, run)
    await moveStaged(transaction, partition, place)
  })
}

/** How many cells there are, of all kinds. */
export function sizeOf({ cells }: Piece): number {
  const { requests, ledger, gauges, counters, measures, markers, dynos } = cells
  const kinds = [requests, ledger, gauges, counters, measures, markers, dynos]
  return kinds.reduce((sum, kind) => sum + kind.size, 0)
}

const isEmpty = (piece: Piece): boolean => piece.parts === 1 && sizeOf(piece) === 0

/** Adds a piece to those that are to be staged. Empty ones, of which there are many, become one. */
export function collect(pieces: Piece[], piece: Piece): void {
  const last = pieces.at(-1)
  if (last !== undefined && isEmpty(last) && isEmpty(piece) && last.epoch === piece.epoch) {
    pieces[pieces.length - 1] = { ...piece, from: last.from }
  } else {
    pieces.push(piece)
  }
}
