/**
 * How many times an address may try to sign in in vain. In memory, so per process, and per isolate on
 * Cloudflare: tokens can't be guessed, it only keeps the database from being asked for nothing.
 */

const TRIES_MAX = 10
const WINDOW_MS = 60_000
/** Addresses that are remembered: those that came first are forgotten first. */
const ADDRESSES_MAX = 10_000

export class Tries {
  private readonly windows = new Map<string, { untilMs: number; tries: number }>()

  /** Counts a try. @returns 0, or the whole seconds until the next one is allowed */
  take(address: string, nowMs: number): number {
    const before = this.windows.get(address)
    const isOver = before === undefined || before.untilMs <= nowMs
    const window = isOver ? { untilMs: nowMs + WINDOW_MS, tries: 0 } : before
    window.tries += 1
    if (isOver) {
      this.windows.delete(address)
      this.windows.set(address, window)
    }
    const [oldest] = this.windows.keys()
    if (this.windows.size > ADDRESSES_MAX && oldest !== undefined) this.windows.delete(oldest)
    return window.tries <= TRIES_MAX ? 0 : Math.ceil((window.untilMs - nowMs) / 1000)
  }

  /** A try that was none: the token was valid. */
  giveBack(address: string): void {
    const window = this.windows.get(address)
    if (window !== undefined) window.tries -= 1
  }
}
