/**
 * `shelf notify` as a filter: lines of check-results in, a line for each message delivered or given
 * up out. It knows what its input says, and nothing of the topic deliveries.
 */
import { type CheckRecord, checkRecordSchema } from '../core/check-result.ts'
import type { Message } from '../notify/message.ts'
import type { Outcome } from '../notify/outcome.ts'
import { pause } from './loop.ts'
import { lineBatches, parseLine, writeOut } from './ndjson.ts'
import { ITEMS_MAX } from './notify-inbox.ts'
import { compose, Incidents } from './notify-incidents.ts'
import { tryRecord } from './notify-try.ts'
import { GROUP_WAIT_MS } from './notify-worker.ts'
import { TryAgainError } from './program.ts'

/** What is older, by log time, is history: who reads a topic from its start sends none of it. */
const NEWS_MS = 3_600_000
/** A filter has nowhere to keep what it can't deliver. */
const GIVE_UP_MS = 600_000

export async function notifyLines(
  send: (message: Message) => Promise<Outcome>,
  signal: AbortSignal,
): Promise<void> {
  const filter = new Filter(send, signal)
  let number = 0
  for await (const lines of lineBatches(Bun.stdin.stream(), signal)) {
    filter.take(
      lines.map((text) => {
        number += 1
        return parseLine(checkRecordSchema, text, number)
      }),
    )
  }
  await filter.end()
}

class Filter {
  private readonly incidents = new Incidents()
  private pending: CheckRecord[] = []
  private timer: ReturnType<typeof setTimeout> | undefined
  /** What is being sent, by target: one behind the other. */
  private readonly sending = new Map<string, Promise<void>>()
  private undelivered = 0

  constructor(
    private readonly send: (message: Message) => Promise<Outcome>,
    private readonly signal: AbortSignal,
  ) {}

  take(records: readonly CheckRecord[]): void {
    this.pending.push(...records)
    this.timer ??= setTimeout(() => this.flush(), GROUP_WAIT_MS)
  }

  /** @throws TryAgainError where something was not delivered */
  async end(): Promise<void> {
    this.flush()
    await Promise.all(this.sending.values())
    if (this.undelivered > 0) throw new TryAgainError(`${this.undelivered} messages not delivered`)
  }

  private flush(): void {
    clearTimeout(this.timer)
    this.timer = undefined
    const records = this.pending
    this.pending = []
    const news = Date.now() - NEWS_MS
    const isOld = (record: CheckRecord) => Date.parse(record.at) < news
    this.compose(records.filter(isOld))
    for (const message of this.compose(records.filter((record) => !isOld(record)))) {
      const before = this.sending.get(message.target) ?? Promise.resolve()
      this.sending.set(
        message.target,
        before.then(() => this.deliver(message)),
      )
    }
  }

  private compose(records: readonly CheckRecord[]): Message[] {
    const messages = compose(records, this.incidents, new Date().toISOString(), ITEMS_MAX)
    for (const message of messages) {
      for (const item of message.items) this.incidents.note(message, item, 0)
    }
    return messages
  }

  private async deliver(message: Message): Promise<void> {
    const sinceMs = Date.now()
    for (let tries = 1; ; tries++) {
      const outcome = await this.send(message)
      const record = tryRecord(message, outcome, { tries, sinceMs, giveUpMs: GIVE_UP_MS })
      if (record.retryAt !== null && !this.signal.aborted) {
        await pause(Date.parse(record.retryAt) - Date.now(), this.signal)
        continue
      }
      if (record.outcome !== 'delivered') this.undelivered += 1
      return await writeOut(`${JSON.stringify(record)}\n`)
    }
  }
}
