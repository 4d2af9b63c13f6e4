/** When a tick is due: the empty record that closes the last chunk of a quiet partition. */
import type { Waiting } from '../core/aggregate.ts'
import { CHUNK_MS, timeStep, untilSettledMs } from '../core/chunk.ts'

/**
 * When, by our clock, Unix ms, a tick is due: after the time step of a chunk that others wait for,
 * which it closes; else at the end of each minute, that watermarks go on. The log's clock may be
 * ahead of ours, or behind it: what counts is how long ago we saw the record.
 * @param seenAtMs when we read the last record
 */
export function tickDueAt({ isDue, last }: Waiting, seenAtMs: number): number {
  if (!isDue) return seenAtMs + untilSettledMs(last.timestamp)
  return Math.min((timeStep(last.timestamp) + 1) * CHUNK_MS, seenAtMs + CHUNK_MS)
}
