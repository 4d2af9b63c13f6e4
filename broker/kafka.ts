/** A native Kafka as a log: what the batch programs read and append to, and what the gateway serves. */

import type { BrokerLog, FetchedRecord, Place, TopicRecord } from './dialect.ts'
import { LogError } from './error.ts'
import { type AppenderOptions, KafkaAppender } from './kafka-appender.ts'
import { KafkaClient } from './kafka-client.ts'
import { patiently, within } from './kafka-patience.ts'
import { KafkaReader } from './kafka-reader.ts'
import { type KafkaRecord, textRecord } from './kafka-record.ts'
import { createKafkaTopics } from './kafka-topics.ts'
import { type KafkaTarget, parseKafkaUrl } from './kafka-url.ts'
import type { Appended, NewRecord, ReadOptions } from './log.ts'

/** Deadlines of one answer of a broker, and of an append with all that is tried for it. */
const ANSWER_MS_DEFAULT = 5_000
const APPEND_MS_DEFAULT = 10_000

const LATEST = -1n
const EARLIEST = -2n

/**
 * The Kafka at a URL, see parseKafkaUrl. It connects when it is first asked for something.
 * @throws LogError 'bad-request' for a URL that is none
 */
export function openKafka(url: string, options: Partial<AppenderOptions> = {}): KafkaLog {
  return new KafkaLog(parseKafkaUrl(url), options)
}

/**
 * Fails with LogErrors. After 'timeout' or 'unreachable' nobody knows whether an append was
 * written; within its deadline a batch is tried again under the same numbers, by which the broker
 * knows it. 'replaced' tells each reader and each appender once that its topic was made anew.
 */
export class KafkaLog implements BrokerLog {
  readonly #client: KafkaClient
  readonly #reader: KafkaReader
  readonly #appender: KafkaAppender
  readonly #answerMs: number
  #closed = false

  constructor(target: KafkaTarget, options: Partial<AppenderOptions>) {
    const { answerMs = ANSWER_MS_DEFAULT, appendMs = APPEND_MS_DEFAULT } = options
    this.#answerMs = answerMs
    this.#client = new KafkaClient(target, answerMs)
    this.#reader = new KafkaReader(this.#client, answerMs)
    this.#appender = new KafkaAppender(this.#client, { answerMs, appendMs })
  }

  async topics(): Promise<Record<string, number>> {
    const topics = await this.#patiently('list topics', () => this.#client.topics())
    return Object.fromEntries(topics.map(({ name, leaders }) => [name, leaders.length]))
  }

  /** Values are bytes. One fetch gives 2 MiB at most, as they are stored. */
  async read(
    topic: string,
    partition: number,
    offset: number,
    options?: ReadOptions,
  ): Promise<KafkaRecord[]> {
    this.#mustBeOpen()
    return this.#reader.read([{ topic, partition, offset }], options)
  }

  /** Values are text: as they are where they are text, else in base64. */
  async fetch(places: readonly Place[], options?: ReadOptions): Promise<FetchedRecord[]> {
    this.#mustBeOpen()
    return (await this.#reader.read(places, options)).map(textRecord)
  }

  async offsetAt(
    topic: string,
    partition: number,
    at: 'earliest' | 'latest' | number,
  ): Promise<number> {
    const ask = (timestamp: bigint) =>
      this.#patiently(`find an offset of ${topic}/${partition}`, () =>
        this.#client.listOffset(topic, partition, timestamp),
      )
    if (at === 'earliest') return ask(EARLIEST)
    if (at === 'latest') return ask(LATEST)
    const found = await ask(BigInt(Math.max(0, Math.ceil(at))))
    return found >= 0 ? found : ask(LATEST)
  }

  append(topic: string, records: readonly NewRecord[]): Promise<Appended[]> {
    return this.produce(records.map((record) => ({ ...record, topic })))
  }

  /**
   * Appends to one topic or several. Kafka has no "all or nothing" without transactions: after an
   * error some of the records may be written. Those of one partition are never out of order.
   * @throws LogError; 'unavailable' tells that nothing was written
   */
  async produce(records: readonly TopicRecord[]): Promise<Appended[]> {
    this.#mustBeOpen()
    return this.#appender.append(records)
  }

  createTopics(wanted: Readonly<Record<string, number>>): Promise<void> {
    return createKafkaTopics(this.#client, wanted, this.#answerMs)
  }

  /** Ends the reads that wait, and waits for the appends under way: for their deadline at most. */
  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    this.#reader.close()
    await this.#appender.close()
    this.#client.close()
  }

  #patiently<T>(doing: string, ask: () => Promise<T>): Promise<T> {
    this.#mustBeOpen()
    const deadlineMs = performance.now() + 2 * this.#answerMs
    return patiently(doing, { deadlineMs }, () => within(2 * this.#answerMs, doing, ask()))
  }

  #mustBeOpen(): void {
    if (this.#closed) throw new LogError('unavailable', 'the log is closed')
  }
}
