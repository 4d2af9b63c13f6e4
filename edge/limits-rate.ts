/**
 * How many requests a drain may make: a token bucket for each. It is in memory, so it counts per
 * isolate on Cloudflare, and per process elsewhere: a bound on what one drain takes from the others
 * next to it, not a quota.
 */

/** Buckets that are remembered; of more drains, those that were silent longest start anew. */
const BUCKETS_MAX = 10_000

/** A drain that was silent may send what it would have sent in this time, at once. */
const BURST_SECONDS = 10

interface Bucket {
  tokens: number
  /** When that was counted, Unix ms. */
  atMs: number
}

export class RateLimit {
  private readonly buckets = new Map<string, Bucket>()

  /** @param rate requests a second of one drain, above 0 */
  constructor(private readonly rate: number) {}

  /** Takes a token of `drain`. @returns 0, or the whole seconds until there is one */
  take(drain: string, nowMs: number): number {
    const most = this.rate * BURST_SECONDS
    const before = this.buckets.get(drain) ?? { tokens: most, atMs: nowMs }
    // A clock that was set back adds nothing, and takes nothing.
    const passedMs = Math.max(0, nowMs - before.atMs)
    const tokens = Math.min(most, before.tokens + (passedMs / 1000) * this.rate)
    const isTaken = tokens >= 1
    this.buckets.delete(drain)
    this.buckets.set(drain, { tokens: isTaken ? tokens - 1 : tokens, atMs: nowMs })
    this.forgetOldest()
    return isTaken ? 0 : Math.ceil((1 - tokens) / this.rate)
  }

  /** A map keeps the order of its insertions: the first was touched longest ago. */
  private forgetOldest(): void {
    if (this.buckets.size <= BUCKETS_MAX) return
    const [oldest] = this.buckets.keys()
    if (oldest !== undefined) this.buckets.delete(oldest)
  }
}
