/**
 * The clock of check: a quiet log says nothing, so a record that says nothing is appended to it when
 * a window is over. It has to come back through aggregate: only the log closes windows. Aggregate
 * does so too, but later, and not in a partition that never had a burst: whose app may be missed.
 */
import type { Log } from '../broker/log.ts'
import { GRACE_MS, type PartitionChecker } from '../core/check.ts'
import { CHUNK_MS, timeStep } from '../core/chunk.ts'
import { MINUTE_MS, minuteOf } from '../core/ledger.ts'
import { RAW } from './topics.ts'

/** Ticks for one window, one a step of log time: the second closes the first one's chunk. */
const TICKS_MAX = 4

/** Then aggregate is away, or far behind: ticks that nobody reads help nobody. */
const PAUSE_MS = 60_000

export class CheckTick {
  private ticks = 0
  private nextMs = 0
  private forMs = 0

  constructor(
    private readonly log: Log,
    private readonly partition: number,
  ) {}

  /** When the next tick is due, by our clock, Unix ms. */
  dueMs({ nextMs, watermarkMs }: PartitionChecker): number {
    // Before there is a window there is nothing that closes one.
    const untilMs = Math.max(nextMs ?? 0, minuteOf(Date.now() - GRACE_MS))
    if (untilMs !== this.forMs) {
      this.forMs = untilMs
      this.ticks = 0
      this.nextMs = 0
    }
    const closesMs = untilMs + GRACE_MS
    if (watermarkMs >= closesMs) return closesMs + MINUTE_MS
    return Math.max(closesMs, this.nextMs)
  }

  async tick(): Promise<void> {
    const [appended] = await this.log.append(RAW, [{ partition: this.partition, value: '' }])
    const nowMs = Date.now()
    this.ticks += 1
    this.nextMs =
      appended === undefined || this.ticks >= TICKS_MAX
        ? nowMs + PAUSE_MS
        : Math.min((timeStep(appended.timestamp) + 1) * CHUNK_MS, nowMs + CHUNK_MS)
  }
}
