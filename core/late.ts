/**
 * Bursts that come late, through the edge's spool: hours after their first try, which may have been
 * written all the same, or twice, where a drain of the spool died. The window of ids does not reach
 * back to it, so who aggregates looks back in the log. Still a function of the log alone: a late
 * burst is a duplicate as well if its id occurred before in its partition, from a minute of log time
 * before its receipt on.
 */
import { BurstError, readBurst } from './burst.ts'
import { type BurstHead, readBurstHead } from './burst-head.ts'
import type { Position } from './chunk.ts'
import { isRepartitioned } from './control.ts'
import { addTry, type Tries } from './dedupe.ts'
import { sumOf } from './ledger.ts'

/**
 * A burst that lies in the log so long after its receipt is late. An edge that produces at once has
 * 4 s; a window that is full of a spool's bursts may reach back little further than this.
 */
export const LATE_MS = 60_000

/** How far the log's clock may be behind the edge's. */
export const SKEW_MS = 60_000

/** From which log time on a burst at `timestamp` may have occurred before; infinite if not late. */
export function lookBackMs(receivedAtMs: number, timestamp: number): number {
  return timestamp - receivedAtMs > LATE_MS ? receivedAtMs - SKEW_MS : Number.POSITIVE_INFINITY
}

/** A search in the log for the ids of those late bursts that are to be aggregated next. */
export class LookBack {
  /** What was found so far: for PartitionAggregator.recall. */
  readonly found = new Map<string, Tries>()
  /** The log time to search from; infinite where there is nothing to search for. */
  sinceMs = Number.POSITIVE_INFINITY
  /** The last late burst that was asked for. */
  last: Position | undefined
  /** Log time of the last record found that says that raw got more partitions. */
  repartitionedMs = Number.NEGATIVE_INFINITY

  /** Takes a burst that is to be aggregated, if it is late. */
  ask(at: Position, { id, receivedAtMs }: BurstHead): void {
    const sinceMs = lookBackMs(receivedAtMs, at.timestamp)
    if (sinceMs === Number.POSITIVE_INFINITY) return
    this.sinceMs = Math.min(this.sinceMs, sinceMs)
    this.found.set(id, [])
    this.last = at
  }

  /** Takes a record that lies before them, in the order of the log. */
  tell({ offset, timestamp, value }: Position & { value: string | Uint8Array }): void {
    if (isRepartitioned(value)) this.repartitionedMs = timestamp
    const tries = this.found.get(readBurstHead(value)?.id ?? '')
    if (tries === undefined) return
    try {
      const lostL10 = sumOf(readBurst(value).ledger, 'lostL10')
      addTry(tries, { offset, timestamp, lostL10 })
    } catch (error) {
      // What goes to the dead letters was not counted.
      if (!(error instanceof BurstError)) throw error
    }
  }
}
