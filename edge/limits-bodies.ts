/**
 * How many bytes of bodies are held at a time: what comes when that is reached is asked to come
 * again. Per isolate on Cloudflare, where 128 MB are all there is; per process elsewhere.
 */

/**
 * A request is over after 4 s. workerd drops one whose sender went away with no word to us: what
 * was not given back by then is taken back.
 */
const HELD_MS_MAX = 10_000

export interface Held {
  bytes: number
  /** Unix ms. */
  sinceMs: number
}

export class BodiesHeld {
  /** In the order of their coming. */
  private readonly bodies = new Set<Held>()
  private bytes = 0

  constructor(private readonly bytesMax: number) {}

  /** @returns what to `release`, or undefined where there is no room; an empty house has room */
  hold(bytes: number, nowMs: number): Held | undefined {
    this.forgetLost(nowMs)
    if (this.bodies.size > 0 && this.bytes + bytes > this.bytesMax) return undefined
    const held = { bytes, sinceMs: nowMs }
    this.bodies.add(held)
    this.bytes += bytes
    return held
  }

  release(held: Held): void {
    if (this.bodies.delete(held)) this.bytes -= held.bytes
  }

  private forgetLost(nowMs: number): void {
    for (const held of this.bodies) {
      if (Math.abs(nowMs - held.sinceMs) < HELD_MS_MAX) break
      this.release(held)
    }
  }
}
