/** When a tick is due: the empty record that closes the last chunk of a quiet partition. */
import { CHUNK_MS, type Position, timeStep } from '../core/chunk.ts'

/**
 * When, by our clock, the time step of a record has passed, and a tick may close its chunk. The
 * log's clock may be ahead of ours: who waited for a whole step saw it pass in any case.
 */
export function stepEnd(last: Position, seenAtMs: number): number {
  return Math.min((timeStep(last.timestamp) + 1) * CHUNK_MS, seenAtMs + CHUNK_MS)
}
