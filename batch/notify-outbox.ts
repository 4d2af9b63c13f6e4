/**
 * Sends what is written down and not delivered: to one target one at a time, those of a group in the
 * order of the log, and each target by itself, so that a channel that is dead or slow delays no
 * other, and a message that is never taken delays none of another group.
 */
import type { Message } from '../notify/message.ts'
import type { Outcome } from '../notify/outcome.ts'
import type { Bell } from './bell.ts'
import { pause } from './loop.ts'
import type { NewDelivery } from './notify-record.ts'
import type { DeliveryState, Waiting } from './notify-state.ts'
import { tryRecord } from './notify-try.ts'
import { say } from './program.ts'

/** Between tries to note what became of a try, while the log is away. */
const NOTE_PAUSE_MS = 1000
/** So often it is tried yet by who is told to stop: a supervisor gives 8 s. */
const NOTE_TRIES_AT_END = 3
const IDLE_WAIT_MS = 10_000

interface OutboxOptions {
  send: (message: Message) => Promise<Outcome>
  /** Writes the record of a try. */
  note: (record: NewDelivery) => Promise<unknown>
  /** Writes the dead letter of a message. */
  bury: (message: Message, error: string) => Promise<void>
  giveUpMs?: number
}

export class NotifyOutbox {
  /** Targets that are being sent to. */
  private readonly busy = new Map<string, Promise<void>>()
  /** Until when a target asked to be left alone, Unix ms. */
  private readonly alone = new Map<string, number>()
  /** Messages that are done, where the log has not told us yet. */
  private readonly done = new Set<string>()

  constructor(
    private readonly state: DeliveryState,
    private readonly by: string,
    private readonly bell: Bell,
    private readonly options: OutboxOptions,
  ) {}

  /** Sends until `signal`; resolves when no try is under way. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      for (const key of this.done) if (!this.state.waiting.has(key)) this.done.delete(key)
      for (const target of this.targets()) {
        if (this.busy.has(target)) continue
        const sending = this.sendTo(target, signal).finally(() => this.busy.delete(target))
        this.busy.set(target, sending)
      }
      await this.bell.wait(IDLE_WAIT_MS, signal)
    }
    await Promise.all(this.busy.values())
  }

  private targets(): Set<string> {
    if (this.state.holder !== this.by) return new Set()
    const due = [...this.state.waiting.values()].filter(
      ({ message }) => !this.done.has(message.key),
    )
    return new Set(due.map(({ message }) => message.target))
  }

  private async sendTo(target: string, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const waiting = this.nextFor(target)
      if (waiting === undefined) return
      const dueMs = Math.max(waiting.retryAtMs, this.alone.get(target) ?? 0) - Date.now()
      if (dueMs > 0) await this.bell.wait(dueMs, signal)
      else await this.trySending(waiting, signal)
    }
  }

  /** Of the oldest message of each group the one that is due first. */
  private nextFor(target: string): Waiting | undefined {
    if (this.state.holder !== this.by) return undefined
    const groups = new Set<string>()
    let next: Waiting | undefined
    for (const waiting of this.state.waiting.values()) {
      const { message } = waiting
      if (message.target !== target || this.done.has(message.key)) continue
      if (groups.has(message.group)) continue
      groups.add(message.group)
      if (next === undefined || waiting.retryAtMs < next.retryAtMs) next = waiting
    }
    return next
  }

  private async trySending(waiting: Waiting, signal: AbortSignal): Promise<void> {
    const { message, cutMs: sinceMs } = waiting
    const { send, bury, note, giveUpMs } = this.options
    const outcome = await send(message)
    waiting.tries += 1
    if (!outcome.isDelivered && outcome.retryAfterMs !== undefined) {
      this.alone.set(message.target, Date.now() + outcome.retryAfterMs)
    }
    const record = tryRecord(message, outcome, {
      tries: waiting.tries,
      sinceMs,
      ...(giveUpMs !== undefined && { giveUpMs }),
    })
    const words = `notify: ${record.target}: ${record.error ?? ''}`
    if (record.retryAt !== null) {
      waiting.retryAtMs = Date.parse(record.retryAt)
      if (waiting.tries === 1) say(`${words}: tries again`)
    } else {
      this.done.add(message.key)
      if (record.outcome === 'dead') say(`${words}: gives up ${message.key}`)
    }
    await this.surely(signal, async () => {
      if (record.outcome === 'dead') await bury(message, record.error ?? '')
      await note(record)
    })
  }

  /** What is not noted is sent again: the log is asked until it takes it. */
  private async surely(signal: AbortSignal, work: () => Promise<void>): Promise<void> {
    for (let triesAtEnd = 0; triesAtEnd < NOTE_TRIES_AT_END; ) {
      try {
        return await work()
      } catch {
        // The readers of the log say that it is away.
        if (signal.aborted) triesAtEnd += 1
        await pause(NOTE_PAUSE_MS, new AbortController().signal)
      }
    }
  }
}
