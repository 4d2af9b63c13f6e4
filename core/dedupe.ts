/**
 * Which bursts came before. A function of the log alone: a burst is a duplicate if its id occurred
 * in the same partition at most 15 minutes of log time and 131,072 offsets before.
 */
import type { Position } from './chunk.ts'

/** Logplex gives up on a frame after about 15 s; the rest is for spools and operators. */
export const DEDUPE_MS = 15 * 60_000

export const DEDUPE_OFFSETS = 131_072

/**
 * Ids are forgotten once in so many notes. What is too old is never believed in any case; to look
 * each time would walk a Map whose head is full of deleted entries.
 */
const FORGET_EVERY = 1024

/** An occurrence of an id. */
interface Seen extends Position {
  /** How many messages this try of the burst said Logplex had dropped. */
  lostL10: number
}

export class DedupeWindow {
  /**
   * In the order of their last occurrence. Of the occurrences of an id the last one, and those
   * before it that told of a greater loss than any after them: the first one's is the greatest.
   */
  private readonly seen = new Map<string, Seen[]>()
  private notes = 0

  /**
   * Notes that `id` occurred at `at`, and tells of the occurrences before it if it is a duplicate:
   * the greatest loss that one of them in the window told of. Nothing from before the window counts,
   * so that whoever starts reading there comes to the same. Offsets come in ascending order.
   */
  note(id: string, at: Position, lostL10: number): { lostL10: number } | undefined {
    if (++this.notes % FORGET_EVERY === 0) this.forget(at)
    const tries = this.seen.get(id) ?? []
    while (tries[0] !== undefined && !inWindow(tries[0], at)) tries.shift()
    const duplicate = tries[0] && { lostL10: tries[0].lostL10 }
    for (let last = tries.at(-1); last && last.lostL10 <= lostL10; last = tries.at(-1)) tries.pop()
    tries.push({ offset: at.offset, timestamp: at.timestamp, lostL10 })
    this.seen.delete(id)
    this.seen.set(id, tries)
    return duplicate
  }

  private forget(now: Position): void {
    for (const [id, tries] of this.seen) {
      const last = tries.at(-1)
      if (last !== undefined && inWindow(last, now)) return
      this.seen.delete(id)
    }
  }
}

function inWindow(earlier: Position, now: Position): boolean {
  return (
    now.timestamp - earlier.timestamp <= DEDUPE_MS && now.offset - earlier.offset <= DEDUPE_OFFSETS
  )
}
