/**
 * One body is unpacked at a time: it is the CPU's work, of which a runtime has one thread. So those
 * that came first are done in their time, where all at once would all be late.
 */

/** How often one that waits looks. In workerd a request is not woken by another one. */
const LOOK_MS = 10

/** It takes 0.2 s at most; workerd drops a request whose sender went away with no word to us. */
const HELD_MS_MAX = 1000

let holder: { sinceMs: number } | undefined

/** Does `work` when nobody else is at it. @returns undefined where its turn did not come by then */
export async function inTurn<T>(work: () => Promise<T>, untilMs: number): Promise<T | undefined> {
  while (holder !== undefined && performance.now() - holder.sinceMs < HELD_MS_MAX) {
    if (performance.now() > untilMs) return undefined
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS))
  }
  const mine = { sinceMs: performance.now() }
  holder = mine
  try {
    return await work()
  } finally {
    if (holder === mine) holder = undefined
  }
}
