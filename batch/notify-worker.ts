/**
 * Notifies, with what the log says alone. Any number of these may run: the one whose cut comes first
 * sends, and the others take over where it falls silent. It may die any time: what was written down
 * and not noted as delivered is sent again, with the same key.
 */
import { randomUUID } from 'node:crypto'
import { LogError } from '../broker/error.ts'
import type { Log, LogRecord } from '../broker/log.ts'
import type { Message } from '../notify/message.ts'
import type { Outcome } from '../notify/outcome.ts'
import { Bell } from './bell.ts'
import { eachPartitionToCome, partitionsOf, patiently, pause, together } from './loop.ts'
import { buryMessage } from './notify-dead.ts'
import { NotifyInbox } from './notify-inbox.ts'
import { NotifyOutbox } from './notify-outbox.ts'
import {
  DELIVERIES,
  DELIVERIES_PARTITION,
  deliveryValue,
  type NewDelivery,
  parseDelivery,
} from './notify-record.ts'
import { startState } from './notify-start.ts'
import type { DeliveryState } from './notify-state.ts'
import { say } from './program.ts'
import { CHECK_RESULTS } from './topics.ts'

/** How long a read waits for records. */
const IDLE_WAIT_MS = 10_000
/** Alertmanager's group_wait is 30 s by default; windows of one minute end at once for all apps. */
export const GROUP_WAIT_MS = 2000
/** The one who cut last goes first, so that the others need not write cuts that come second. */
const TURN_MS = 1000
/** How often who sends says so: three of these make its lease. */
const BEAT_MS = 3000

export interface NotifyOptions {
  send: (message: Message) => Promise<Outcome>
  /** Default 2 s. */
  groupWaitMs?: number
  /** Default 6 hours. */
  giveUpMs?: number
}

/** Notifies until `signal`; starts anew from the log where that was replaced. */
export async function notifyLog(
  log: Log,
  options: NotifyOptions,
  signal: AbortSignal,
): Promise<void> {
  await patiently('notify', signal, async (succeeded) => {
    const worker = await NotifyWorker.start(log, options)
    succeeded()
    await worker.run(signal)
  })
}

class NotifyWorker {
  private readonly bell = new Bell()
  private readonly replaced = new AbortController()
  private readonly inbox = new NotifyInbox()

  private constructor(
    private readonly log: Log,
    private readonly options: NotifyOptions,
    private readonly by: string,
    private readonly state: DeliveryState,
    /** Offset of deliveries to read next. */
    private next: number,
  ) {}

  static async start(log: Log, options: NotifyOptions): Promise<NotifyWorker> {
    const by = randomUUID()
    const { state, next } = await startState(log, by)
    for (const [partition, place] of Object.entries(state.places)) {
      if (place <= (await log.offsetAt(CHECK_RESULTS, Number(partition), 'latest'))) continue
      say(
        `notify: partition ${partition} of ${CHECK_RESULTS} was made anew: reads it from its start`,
      )
      state.places = { ...state.places, [partition]: 0 }
    }
    return new NotifyWorker(log, options, by, state, next)
  }

  /** Resolves when told to stop. @throws LogError 'replaced': start anew */
  async run(signal: AbortSignal): Promise<void> {
    const stop = AbortSignal.any([signal, this.replaced.signal])
    const outbox = new NotifyOutbox(this.state, this.by, this.bell, {
      ...this.options,
      note: (record) => this.append(record),
      bury: (message, error) => buryMessage(this.log, message, error),
    })
    await together(stop, [
      (quit) => this.forever('reads deliveries', quit, () => this.follow(quit)),
      (quit) => this.forever('cuts', quit, () => this.gather(quit)),
      (quit) => this.forever('beats', quit, () => this.beat(quit)),
      (quit) => outbox.run(quit),
      (quit) =>
        eachPartitionToCome(
          'notify',
          quit,
          async () => partitionsOf(await this.log.topics(), CHECK_RESULTS),
          (partition, end) =>
            this.forever(`reads ${CHECK_RESULTS} ${partition}`, end, () =>
              this.read(partition, end),
            ),
        ),
    ])
    if (this.replaced.signal.aborted && !signal.aborted) throw this.replaced.signal.reason
  }

  private forever(name: string, signal: AbortSignal, step: () => Promise<void>): Promise<void> {
    return patiently(`notify ${name}`, signal, async (succeeded) => {
      while (!signal.aborted) {
        await step().catch((error) => this.startAnewIfReplaced(error))
        succeeded()
      }
    })
  }

  /** @throws what it is given, unless the log is another one: then all that is known of it is void */
  private startAnewIfReplaced(error: unknown): void {
    if (!(error instanceof LogError && error.code === 'replaced')) throw error
    this.replaced.abort(error)
  }

  private async follow(signal: AbortSignal): Promise<void> {
    const found = await this.readFrom(DELIVERIES, DELIVERIES_PARTITION, this.next, signal)
    for (const record of found) {
      const delivery = parseDelivery(record)
      if (delivery && this.state.apply(delivery, record.offset, record.timestamp)) {
        if (delivery.kind === 'cut') this.inbox.passBy(this.state.places)
      }
      this.next = record.offset + 1
    }
    if (found.length > 0) this.bell.ring()
  }

  private async read(partition: number, signal: AbortSignal): Promise<void> {
    if (this.inbox.isFull) return await this.bell.wait(IDLE_WAIT_MS, signal)
    const next = this.inbox.next(partition, this.state.places)
    const found = await this.readFrom(CHECK_RESULTS, partition, next, signal)
    for (const record of found) this.inbox.take(record)
    if (found.length > 0) this.bell.ring()
  }

  private async readFrom(
    topic: string,
    partition: number,
    offset: number,
    signal: AbortSignal,
  ): Promise<LogRecord[]> {
    const found = await this.log.read(topic, partition, offset, { waitMs: IDLE_WAIT_MS, signal })
    if (found.length === 0 && (await this.log.offsetAt(topic, partition, 'latest')) < offset) {
      const words = `partition ${partition} of ${topic} ends before what was read of it`
      throw new LogError('replaced', words)
    }
    return found
  }

  /** Waits for the first record, then a little for those that come with it, and cuts. */
  private async gather(signal: AbortSignal): Promise<void> {
    if (this.inbox.isEmpty) return await this.bell.wait(IDLE_WAIT_MS, signal)
    const { cutBy } = this.state
    const turnMs = cutBy === undefined || cutBy === this.by ? 0 : TURN_MS
    await pause((this.options.groupWaitMs ?? GROUP_WAIT_MS) + turnMs, signal)
    while (!this.inbox.isEmpty && !signal.aborted) await this.cut(signal)
  }

  private async cut(signal: AbortSignal): Promise<void> {
    const { state } = this
    // Somebody else is at what was cut before: it will cut, or its lease will end.
    if (state.holder !== this.by && state.waiting.size > 0) {
      return await this.bell.wait(BEAT_MS, signal)
    }
    const cut = this.inbox.cut(state.incidents, state.places)
    if (cut === undefined) return
    const offset = await this.append({ kind: 'cut', since: state.since, ...cut })
    while (this.next <= offset && !signal.aborted) await this.bell.wait(IDLE_WAIT_MS, signal)
  }

  /** Who sends says so; where that falls silent, another claims it. */
  private async beat(signal: AbortSignal): Promise<void> {
    const { holder, waiting } = this.state
    const isDue = holder === this.by || this.state.isFree(Date.now())
    if (waiting.size > 0 && isDue) await this.append({ kind: 'beat' })
    await pause(BEAT_MS, signal)
  }

  private async append(record: NewDelivery): Promise<number> {
    const value = deliveryValue(this.by, this.state.cut, record)
    const [appended] = await this.log.append(DELIVERIES, [
      { partition: DELIVERIES_PARTITION, value },
    ])
    if (appended === undefined) throw new LogError('failed', 'the log answered without an offset')
    return appended.offset
  }
}
