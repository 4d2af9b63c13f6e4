/**
 * Which bursts came before. A function of the log alone: a burst is a duplicate if its id occurred
 * in the same partition at most 15 minutes of log time and 131,072 offsets before. For one that
 * comes late, see late.ts.
 */
import type { Position } from './chunk.ts'

/** Logplex gives up on a frame after about 15 s; the rest is for slow queues and operators. */
export const DEDUPE_MS = 15 * 60_000

export const DEDUPE_OFFSETS = 131_072

/**
 * Ids are forgotten once in so many notes. What is too old is never believed in any case; to look
 * each time would walk a Map whose head is full of deleted entries.
 */
const FORGET_EVERY = 1024

/** An occurrence of an id. */
export interface Seen extends Position {
  /** How many messages this try of the burst said Logplex had dropped. */
  lostL10: number
}

/**
 * Of the occurrences of an id the last one, and those before it that told of a greater loss than
 * any after them: the first one's is the greatest.
 */
export type Tries = Seen[]

export class DedupeWindow {
  /** In the order of their last occurrence. */
  private readonly seen = new Map<string, Tries>()
  private recalled: ReadonlyMap<string, Tries> = new Map()
  private notes = 0

  /**
   * Takes what was found before the window, of the ids of all late bursts that are noted next. What
   * was taken before is forgotten.
   */
  recall(found: ReadonlyMap<string, Tries>): void {
    this.recalled = found
  }

  /**
   * Notes that `id` occurred at `at`, and tells of the occurrences before it if it is a duplicate:
   * the greatest loss that one of them in the window told of, or one that was recalled, from log
   * time `sinceMs` on. Nothing else from before the window counts, so that whoever starts reading
   * there comes to the same. Offsets come in ascending order.
   */
  note(
    id: string,
    at: Position,
    lostL10: number,
    sinceMs = Number.POSITIVE_INFINITY,
  ): { lostL10: number } | undefined {
    if (++this.notes % FORGET_EVERY === 0) this.forget(at)
    const now = { offset: at.offset, timestamp: at.timestamp, lostL10 }
    const recalled = this.recalled.get(id)
    const tries = this.seen.get(id)
    if (tries === undefined && recalled === undefined) {
      this.seen.set(id, [now])
      return undefined
    }
    return this.noteAgain(id, now, tries ?? [], recalled ?? [], sinceMs)
  }

  private noteAgain(
    id: string,
    now: Seen,
    tries: Tries,
    recalled: Tries,
    sinceMs: number,
  ): { lostL10: number } | undefined {
    while (tries[0] !== undefined && !inWindow(tries[0], now)) tries.shift()
    const earlier = recalled.find(({ timestamp }) => timestamp >= sinceMs)
    const losses = [tries[0], earlier].flatMap((seen) => (seen ? [seen.lostL10] : []))
    addTry(tries, now)
    addTry(recalled, now)
    this.seen.delete(id)
    this.seen.set(id, tries)
    return losses.length === 0 ? undefined : { lostL10: Math.max(...losses) }
  }

  private forget(now: Position): void {
    for (const [id, tries] of this.seen) {
      const last = tries.at(-1)
      if (last !== undefined && inWindow(last, now)) return
      this.seen.delete(id)
    }
  }
}

/** Adds the occurrence that follows those in `tries`. */
export function addTry(tries: Tries, seen: Seen): void {
  for (let last = tries.at(-1); last && last.lostL10 <= seen.lostL10; last = tries.at(-1)) {
    tries.pop()
  }
  tries.push(seen)
}

function inWindow(earlier: Position, now: Position): boolean {
  return (
    now.timestamp - earlier.timestamp <= DEDUPE_MS && now.offset - earlier.offset <= DEDUPE_OFFSETS
  )
}
