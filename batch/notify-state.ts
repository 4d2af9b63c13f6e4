/**
 * What the topic deliveries says, read in its order: which cut is in force, which messages are not
 * delivered, and who sends them. A function of the log alone, so all who read it agree.
 */
import type { Message } from '../notify/message.ts'
import { Incidents } from './notify-incidents.ts'
import type { Cut, DeliveryRecord, Try } from './notify-record.ts'

/** Who sends and is silent for so long, log time, is taken for dead. */
export const LEASE_MS = 10_000

/** So long repeats of what ended are known, log time. */
const RECENT_MS = 3_600_000

/** A message that is to be delivered. */
export interface Waiting {
  message: Message
  /** Offset of its cut. */
  cut: number
  /** Log time of its cut. */
  cutMs: number
  tries: number
  retryAtMs: number
}

export class DeliveryState {
  readonly incidents = new Incidents()
  /** Messages that are not delivered, by key, oldest first. */
  readonly waiting = new Map<string, Waiting>()
  places: Record<string, number> = {}
  /** Offset of the cut in force; null before the first. */
  cut: number | null = null
  /** Who made it. */
  cutBy: string | undefined
  /** Who sends, and since when, by log time, nobody heard of it. */
  holder: string | undefined
  heardMs = Number.NEGATIVE_INFINITY
  /** Cuts of the last hour, so that repeats are known that long. */
  private recent: { offset: number; atMs: number }[] = []

  /** Whether somebody else may take over at this log time. */
  isFree(atMs: number): boolean {
    return this.waiting.size === 0 || atMs - this.heardMs >= LEASE_MS
  }

  /** The oldest cut that who starts at the one in force must read from. */
  get since(): number | null {
    const waiting = [...this.waiting.values()].map(({ cut }) => cut)
    const [recent] = this.recent
    const since = Math.min(
      this.incidents.since,
      waiting[0] ?? Number.POSITIVE_INFINITY,
      recent?.offset ?? Number.POSITIVE_INFINITY,
    )
    return Number.isFinite(since) ? since : null
  }

  /**
   * @param isKnown others have seen that this cut counts
   * @returns whether it counts; a cut that came second does not
   */
  apply(record: DeliveryRecord, offset: number, atMs: number, isKnown = false): boolean {
    if (record.kind === 'try') return this.applyTry(record, atMs)
    const mayAct = record.by === this.holder || this.isFree(atMs)
    const counts = mayAct && (record.kind === 'beat' || this.follows(record))
    if (!counts && !isKnown) return false
    this.holder = record.by
    this.heardMs = atMs
    if (record.kind === 'cut') this.applyCut(record, offset, atMs)
    return true
  }

  /** The first one read is taken as it is: who starts picks one that counts. */
  private follows(cut: Cut): boolean {
    return this.cut === null || cut.after === this.cut
  }

  private applyCut(cut: Cut, offset: number, atMs: number): void {
    this.cut = offset
    this.cutBy = cut.by
    this.places = cut.places
    this.recent = [
      ...this.recent.filter((known) => known.atMs > atMs - RECENT_MS),
      { offset, atMs },
    ]
    for (const message of cut.messages) {
      this.waiting.set(message.key, { message, cut: offset, cutMs: atMs, tries: 0, retryAtMs: 0 })
      for (const item of message.items) this.incidents.note(message, item, offset)
    }
  }

  /** Delivered is delivered, whoever did it. */
  private applyTry({ by, key, outcome, tries, retryAt }: Try, atMs: number): boolean {
    const waiting = this.waiting.get(key)
    if (by === this.holder) this.heardMs = atMs
    if (waiting === undefined) return false
    if (outcome !== 'failed') return this.waiting.delete(key)
    waiting.tries = Math.max(waiting.tries, tries)
    waiting.retryAtMs = retryAt === null ? 0 : Date.parse(retryAt)
    return true
  }
}
