/**
 * Remembers that the log is down, so that not every request of an outage waits to find it out. Per
 * isolate on Cloudflare, per process elsewhere.
 */

/** A broker that restarts, or a connection that breaks, fails a request or two. */
const FAILURES_MAX = 3

/** While it is open, one request tries the log all the same, so long after the last that failed. */
const PROBE_MS = 1000

export class Breaker {
  private failures = 0
  private probedMs = Number.NEGATIVE_INFINITY

  /** Whether to try the log now. */
  admits(nowMs: number): boolean {
    if (this.failures < FAILURES_MAX) return true
    // A probe is asked for by time alone: one that never comes back holds nothing up.
    if (Math.abs(nowMs - this.probedMs) < PROBE_MS) return false
    this.probedMs = nowMs
    return true
  }

  /** @returns whether this closed it */
  succeeded(): boolean {
    const wasOpen = this.failures >= FAILURES_MAX
    this.failures = 0
    return wasOpen
  }

  failed(nowMs: number): void {
    this.failures += 1
    this.probedMs = nowMs
  }
}
