/** Sends what the lifelike app says, as Logplex would: in real time, or a past day at once. */
import { batches, deliver } from './deliver.ts'
import type { DemoMarker } from './demo-app.ts'
import type { DemoDay } from './demo-day.ts'
import { type DemoMessage, lossLine, messageOf } from './demo-line.ts'
import type { DrainMessage } from './log-text.ts'
import { pause } from './loop.ts'
import { TryAgainError } from './program.ts'

/** Logplex holds so many messages for a drain, then drops the oldest. */
const BUFFER_MESSAGES_MAX = 1024

/** Logplex waits for nothing; so that a request carries several messages here too, we do. */
const GATHER_MS = 250

/** How many messages of a past day are taken at once: a few requests of 100 KiB. */
const CHUNK_MESSAGES = 2000

/** What was sent until now. */
export interface Sent {
  messages: number
  requests: number
  /** Messages that the drain did not take. The next request tells of them in an L10 line. */
  dropped: number
  /** What happened to the app, not told yet. */
  news: DemoMarker[]
}

export interface SendOptions {
  /** Whether to go on when nobody answers. */
  patient?: boolean
  /** `timeMs`: the app's time, Unix ms. */
  onProgress(sent: Sent, timeMs: number): void
}

/**
 * Sends in real time until `signal` says to stop, or the messages end. A drain that is away costs
 * the messages of that time, as with Logplex.
 * @throws Error where the drain refuses us
 */
export async function sendLive(
  drainUrl: string,
  day: DemoDay,
  signal: AbortSignal,
  options: SendOptions,
): Promise<Sent> {
  const sender = new Sender(drainUrl, day, signal, { ...options, patient: true })
  let next = day.messages.next()
  while (!signal.aborted && next.done !== true) {
    const waiting: DemoMessage[] = []
    const nowMs = Date.now()
    while (next.done !== true && next.value.timeMs <= nowMs) {
      waiting.push(next.value)
      next = day.messages.next()
    }
    sender.drop(Math.max(0, waiting.length - BUFFER_MESSAGES_MAX))
    await sender.send(waiting.slice(-BUFFER_MESSAGES_MAX), nowMs)
    await pause(GATHER_MS, signal)
  }
  return sender.sent
}

/**
 * Sends all messages as fast as they are taken.
 * @throws TryAgainError where nobody answers; Error where the drain refuses us
 */
export async function sendAll(
  drainUrl: string,
  day: DemoDay,
  signal: AbortSignal,
  options: SendOptions,
): Promise<Sent> {
  const sender = new Sender(drainUrl, day, signal, options)
  let chunk: DemoMessage[] = []
  let timeMs = 0
  for (const message of day.messages) {
    if (signal.aborted) break
    chunk.push(message)
    timeMs = message.timeMs
    if (chunk.length < CHUNK_MESSAGES) continue
    await sender.send(chunk, timeMs)
    chunk = []
  }
  await sender.send(chunk, timeMs)
  return sender.sent
}

/** One drain, and what it was sent. */
class Sender {
  readonly sent: Sent = { messages: 0, requests: 0, dropped: 0, news: [] }
  /** Dropped since, Unix ms, and not told yet. */
  private untold = 0
  private untoldSinceMs = 0
  private markersSeen = 0

  constructor(
    private readonly drainUrl: string,
    private readonly day: DemoDay,
    private readonly signal: AbortSignal,
    private readonly options: SendOptions,
  ) {}

  drop(messages: number): void {
    if (messages === 0) return
    if (this.untold === 0) this.untoldSinceMs = Date.now()
    this.untold += messages
    this.sent.dropped += messages
  }

  async send(messages: readonly DemoMessage[], timeMs: number): Promise<void> {
    for (const batch of batches(messages.map(({ text }) => Buffer.from(text)))) {
      if (this.signal.aborted) return
      const told = this.untold
      const taken = await this.deliver(told > 0 ? [this.overflow(), ...batch] : batch)
      if (taken) this.untold -= told
      else this.drop(batch.length)
      this.sent.messages += taken ? batch.length : 0
      this.sent.requests += 1
    }
    const { markers } = this.day
    this.sent.news.push(...markers.slice(this.markersSeen))
    this.markersSeen = markers.length
    this.options.onProgress(this.sent, timeMs)
  }

  private async deliver(batch: readonly DrainMessage[]): Promise<boolean> {
    try {
      const { dropped } = await deliver(this.drainUrl, batch, this.signal)
      return dropped === 0
    } catch (error) {
      if (this.options.patient === true && error instanceof TryAgainError) return false
      throw error
    }
  }

  private overflow(): DrainMessage {
    const line = lossLine({ code: 'L10', messages: this.untold }, this.untoldSinceMs)
    return Buffer.from(messageOf(line, Date.now()).text)
  }
}
