/**
 * Which bursts came before. A function of the log alone: a burst is a duplicate if its id occurred
 * in the same partition at most 15 minutes of log time and 131,072 offsets before.
 */
import type { Position } from './chunk.ts'

/** Logplex gives up on a frame after about 15 s; the rest is for spools and operators. */
export const DEDUPE_MS = 15 * 60_000

export const DEDUPE_OFFSETS = 131_072

interface Seen extends Position {
  /** The most messages that a try of this burst said Logplex had dropped. */
  lostL10: number
}

export class DedupeWindow {
  /** In the order of their last occurrence. */
  private readonly seen = new Map<string, Seen>()

  /**
   * Notes that `id` occurred at `at`, and tells of the earlier occurrence if it is a duplicate.
   * Offsets come in ascending order.
   */
  note(id: string, at: Position, lostL10: number): { lostL10: number } | undefined {
    this.forget(at)
    const earlier = this.seen.get(id)
    const duplicate = earlier !== undefined && inWindow(earlier, at) ? earlier : undefined
    this.seen.delete(id)
    this.seen.set(id, {
      offset: at.offset,
      timestamp: at.timestamp,
      lostL10: Math.max(lostL10, duplicate?.lostL10 ?? 0),
    })
    return duplicate && { lostL10: duplicate.lostL10 }
  }

  private forget(now: Position): void {
    for (const [id, seen] of this.seen) {
      if (inWindow(seen, now)) return
      this.seen.delete(id)
    }
  }
}

function inWindow(earlier: Position, now: Position): boolean {
  return (
    now.timestamp - earlier.timestamp <= DEDUPE_MS && now.offset - earlier.offset <= DEDUPE_OFFSETS
  )
}
