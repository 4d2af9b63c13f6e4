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
  drain: string
  bytes: number
  /** Of a clock that is never set. */
  sinceMs: number
}

export class BodiesHeld {
  /** In the order of their coming. */
  private readonly bodies = new Set<Held>()

  /** @param bytesMax of all drains; one drain has at most half of that, or one body */
  constructor(private readonly bytesMax: number) {}

  /** A body that begins, and has no room yet: what to `release`. */
  hold(drain: string, nowMs: number): Held {
    this.forgetLost(nowMs)
    const held = { drain, bytes: 0, sinceMs: nowMs }
    this.bodies.add(held)
    return held
  }

  /** Gives the body so many bytes in all, if there is room. There is for one body, however large. */
  grow(held: Held, bytes: number): boolean {
    const others = this.bytesBeside(held)
    const own = this.bytesBeside(held, held.drain)
    if (others > 0 && others + bytes > this.bytesMax) return false
    if (own > 0 && own + bytes > this.bytesMax / 2) return false
    held.bytes = bytes
    return true
  }

  release(held: Held): void {
    this.bodies.delete(held)
  }

  /** What the others hold, or those of one drain. There are some hundreds at most. */
  private bytesBeside(held: Held, drain?: string): number {
    let sum = 0
    for (const other of this.bodies) {
      if (other === held || (drain !== undefined && other.drain !== drain)) continue
      sum += other.bytes
    }
    return sum
  }

  private forgetLost(nowMs: number): void {
    for (const held of this.bodies) {
      if (nowMs - held.sinceMs < HELD_MS_MAX) break
      this.release(held)
    }
  }
}
