/** Records of check-results that were read and stand in no cut yet, by this process. */
import type { LogRecord } from '../broker/log.ts'
import type { CheckRecord } from '../core/check-result.ts'
import type { Message } from '../notify/message.ts'
import { parseCheckRecord } from './check-results.ts'
import { compose, type Incidents } from './notify-incidents.ts'
import { say } from './program.ts'
import { CHECK_RESULTS } from './topics.ts'

/** Records that wait for a cut; who has more reads on later. */
const PENDING_MAX = 10_000
/** Records that are no news to anybody go by without a cut, but not more of them. */
const SILENT_MAX = 1000
/** Incidents in a message, and characters in a cut: a record of Kafka has 1 MB. */
export const ITEMS_MAX = 200
const CUT_CHARS_MAX = 700_000

type Places = Readonly<Record<string, number>>

export class NotifyInbox {
  private pending: { partition: number; offset: number; record: CheckRecord }[] = []
  /** Offsets to read next. */
  private readonly reading = new Map<number, number>()
  /** Records that went by since the last cut. */
  private silent = 0

  get isEmpty(): boolean {
    return this.pending.length === 0
  }

  get isFull(): boolean {
    return this.pending.length >= PENDING_MAX
  }

  /** Where to read on in a partition; the first time, at its place. */
  next(partition: number, places: Places): number {
    const next = this.reading.get(partition) ?? places[partition] ?? 0
    this.reading.set(partition, next)
    return next
  }

  take(raw: LogRecord): void {
    const { partition, offset } = raw
    // A cut of somebody else may have passed it meanwhile.
    if (offset < (this.reading.get(partition) ?? 0)) return
    const record = parseCheckRecord(raw)
    if (record) this.pending.push({ partition, offset, record })
    else say(`notify: offset ${offset} of ${CHECK_RESULTS} ${partition} is no check's record`)
    this.reading.set(partition, offset + 1)
  }

  /** What a cut holds, or passed over, is done. */
  passBy(places: Places): void {
    this.silent = 0
    this.pending = this.pending.filter(
      ({ partition, offset }) => offset >= (places[partition] ?? 0),
    )
    for (const [partition, next] of this.reading) {
      this.reading.set(partition, Math.max(next, places[partition] ?? 0))
    }
  }

  /**
   * What is to be cut: the messages of what is pending, or of as much of it as a cut can hold, and
   * the places behind it. Undefined where it is news to nobody: then it is dropped.
   */
  cut(
    incidents: Incidents,
    before: Places,
  ): { messages: Message[]; places: Record<string, number> } | undefined {
    const { messages, count } = this.compose(incidents)
    if (messages.length > 0 || this.silent + count >= SILENT_MAX) {
      return { messages, places: this.placesBehind(count, before) }
    }
    this.pending = this.pending.slice(count)
    this.silent += count
    return undefined
  }

  private compose(incidents: Incidents): { messages: Message[]; count: number } {
    const at = new Date().toISOString()
    for (let count = this.pending.length; ; count = Math.ceil(count / 2)) {
      const records = this.pending.slice(0, count).map(({ record }) => record)
      const messages = compose(records, incidents, at, ITEMS_MAX)
      if (count <= 1 || JSON.stringify(messages).length <= CUT_CHARS_MAX) return { messages, count }
    }
  }

  private placesBehind(count: number, before: Places): Record<string, number> {
    const places: Record<string, number> = { ...before }
    for (const [partition, next] of this.reading) places[partition] = next
    for (const { partition, offset } of this.pending.slice(count)) {
      places[partition] = Math.min(places[partition] ?? offset, offset)
    }
    return places
  }
}
