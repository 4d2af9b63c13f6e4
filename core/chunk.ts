/**
 * Chunks: where the log is cut for aggregation. The rule looks at neighbours only, so anybody
 * finds the same boundaries from any place in the log. Numbers from the design.
 */

/** A chunk never crosses a multiple of this many offsets. */
export const CHUNK_OFFSETS = 4096

/** Nor a multiple of this much log time, ms: it bounds how long a request waits to be seen. */
export const CHUNK_MS = 2000

/** What the rule needs to know of a record. */
export interface Position {
  offset: number
  /** Log append time, Unix ms. */
  timestamp: number
}

/** The step of log time that a record lies in. */
export function timeStep(timestampMs: number): number {
  return Math.floor(timestampMs / CHUNK_MS)
}

/** Whether `record` starts a chunk, given the record before it in its partition, if any. */
export function startsChunk(record: Position, previous: Position | undefined): boolean {
  return (
    previous === undefined ||
    Math.floor(record.offset / CHUNK_OFFSETS) !== Math.floor(previous.offset / CHUNK_OFFSETS) ||
    timeStep(record.timestamp) !== timeStep(previous.timestamp)
  )
}

const MINUTE_MS = 60_000

/** What was sent in a minute is logged this soon after its end; all but late data. */
const SETTLE_MS = 6000

/** The last minute that is over in the log once it has a record of this time: its number. */
export function settledMinute(timestampMs: number): number {
  return Math.floor((timestampMs - SETTLE_MS) / MINUTE_MS) - 1
}

/** How much log time, ms, is left at a record until the next minute is over. */
export function untilSettledMs(timestampMs: number): number {
  return (settledMinute(timestampMs) + 2) * MINUTE_MS + SETTLE_MS - timestampMs
}
