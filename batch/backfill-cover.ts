/** Where in raw the replay of a range begins, and whether the source reaches back so far. */
import { CHUNK_MS, timeStep } from '../core/chunk.ts'
import type { Place } from '../core/place.ts'
import type { Sql, Transaction } from '../db/client.ts'
import type { RawEpoch, RawLog } from './raw-source.ts'
import { RAW } from './topics.ts'

/**
 * A line's time is at most 5 minutes ahead of its receipt, or is taken for that of the receipt; the
 * rest is for clocks of edge and log that differ.
 */
export const AHEAD_MS = 3_600_000

/** What the rows hold of a partition. */
export interface Progress extends Place {
  watermark: Date | null
}

/** The source begins later. */
export class NotCoveredError extends Error {
  override name = 'NotCoveredError'
  constructor(
    /** What is logged from then on is there, Unix ms. */
    readonly reachMs: number,
  ) {
    super(`raw begins at ${new Date(reachMs).toISOString()}`)
  }
}

/**
 * The place behind which all records lie that may hold what happened from `sinceMs` on, Unix ms: the
 * start of a chunk.
 * @throws NotCoveredError where some of them may be gone
 */
export async function startPlace(
  epochs: readonly RawEpoch[],
  partition: number,
  sinceMs: number,
  progress: Progress | undefined,
): Promise<Place> {
  const loggedMs = sinceMs - AHEAD_MS
  for (const at of epochs.toReversed()) {
    const { epoch, log } = at
    const earliest = await log.offsetAt(RAW, partition, 'earliest')
    const begin = Math.max(earliest, epoch.begin)
    const firstMs = await timeOf(log, partition, begin)
    // All before is gone, and nobody knows its time: unless the rows end before.
    const isPast = (firstMs ?? progress?.watermark?.getTime() ?? Number.NaN) < loggedMs
    if (isPast) {
      const offset = await log.offsetAt(RAW, partition, timeStep(loggedMs) * CHUNK_MS)
      return earlier({ epoch: epoch.epoch, from: Math.max(begin, offset), part: 0 }, progress)
    }
    const isWhole = earliest <= epoch.begin
    if (isWhole && epoch.epoch === 0) return { epoch: 0, from: epoch.begin, part: 0 }
    const hasBefore = epochs.some((before) => before.epoch.epoch === epoch.epoch - 1)
    if (!isWhole || !hasBefore) {
      throw new NotCoveredError(firstMs ?? progress?.watermark?.getTime() ?? Date.now())
    }
  }
  throw new NotCoveredError(Date.now())
}

async function timeOf(log: RawLog, partition: number, offset: number): Promise<number | undefined> {
  const [record] = await log.read(RAW, partition, offset, { recordsMax: 1 })
  return record?.timestamp
}

/** What the rows do not hold yet lies behind their place: from there on nothing is passed over. */
function earlier(place: Place, progress: Progress | undefined): Place {
  const isBehind = progress?.epoch === place.epoch && progress.from < place.from
  return isBehind ? { ...place, from: progress.from } : place
}

/** Where persist is in each partition. */
export async function persistedPlaces(sql: Sql | Transaction): Promise<Map<number, Progress>> {
  const rows = await sql<(Progress & { partition: number })[]>`
    select partition, epoch, next_from as "from", next_part as part, watermark
    from shelf.progress order by partition`
  return new Map(rows.map(({ partition, ...progress }) => [partition, progress]))
}
