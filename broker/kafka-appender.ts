/** Appends to a Kafka: finds each record's partition, and waits until all records are written. */

import type { ConnectionPool, MessageRecord } from '@platformatic/kafka'
import { partitionOf } from '../core/partition.ts'
import type { TopicRecord } from './dialect.ts'
import { LogError } from './error.ts'
import { closePool, type KafkaClient, mustHave, type Topic } from './kafka-client.ts'
import { isSilence } from './kafka-error.ts'
import { type Call, Lane } from './kafka-lane.ts'
import { patiently, within } from './kafka-patience.ts'
import type { Appended } from './log.ts'

/** Appends on their way, all together. */
const PENDING_BYTES_MAX = 64 * 1024 * 1024
/** A broker answers one batch after the other on each of these. */
const CONNECTIONS = 4

export interface AppenderOptions {
  /** Deadline of one answer of a broker, ms. */
  answerMs: number
  /** Deadline of an append, ms: no try begins after it. */
  appendMs: number
}

export class KafkaAppender {
  readonly #client: KafkaClient
  readonly #options: AppenderOptions
  readonly #pools: ConnectionPool[]
  readonly #lanes = new Map<string, Lane>()
  readonly #pending = new Set<Promise<unknown>>()
  #pendingBytes = 0
  #turn = 0

  constructor(client: KafkaClient, options: AppenderOptions) {
    this.#client = client
    this.#options = options
    this.#pools = Array.from({ length: CONNECTIONS }, () => client.newPool())
  }

  /**
   * Appends to one topic or several; one answer a record, same order.
   * @throws LogError; some of the records may be written then, unless it is 'unavailable' or says
   * that the records can't be taken as they are
   */
  append(records: readonly TopicRecord[]): Promise<Appended[]> {
    const append = this.#append(records)
    this.#pending.add(append)
    return append.finally(() => this.#pending.delete(append))
  }

  /** Waits for the appends under way: for their deadline at most. */
  async close(): Promise<void> {
    await Promise.allSettled(this.#pending)
    for (const pool of this.#pools) closePool(pool)
  }

  async #append(records: readonly TopicRecord[]): Promise<Appended[]> {
    if (records.length === 0) return []
    const deadlineMs = performance.now() + this.#options.appendMs
    const topics = await this.#find(records, deadlineMs)
    const turn = this.#turn++
    const placed = records.map((record) => place(record, topics.get(record.topic), turn))
    const bytes = placed.reduce((sum, record) => sum + bytesOf(record), 0)
    if (this.#pendingBytes > 0 && this.#pendingBytes + bytes > PENDING_BYTES_MAX) {
      throw new LogError('unavailable', 'too much is being appended at once')
    }
    this.#pendingBytes += bytes
    try {
      return await this.#push(placed, deadlineMs)
    } finally {
      this.#pendingBytes -= bytes
    }
  }

  /** The topics of records. Nothing was written where this fails. */
  async #find(
    records: readonly TopicRecord[],
    deadlineMs: number,
  ): Promise<ReadonlyMap<string, Topic>> {
    const partitions = new Map<string, number>()
    for (const { topic, partition } of records) {
      partitions.set(topic, Math.max(partitions.get(topic) ?? 0, partition ?? 0))
    }
    const topics = new Map<string, Topic>()
    for (const [name, partition] of partitions) {
      const doing = `append to ${name}`
      const find = () => this.#client.topic(name, partition)
      try {
        const found = patiently(doing, { deadlineMs }, find)
        topics.set(name, await within(deadlineMs - performance.now(), doing, found))
      } catch (error) {
        throw isSilence(error) ? unwritten(error) : error
      }
    }
    return topics
  }

  /** Puts records into their lanes, and waits until all are written or the first has failed. */
  #push(placed: readonly Placed[], deadlineMs: number): Promise<Appended[]> {
    const { promise, resolve, reject } = Promise.withResolvers<Appended[]>()
    const answers = new Array<Appended>(placed.length)
    let left = placed.length
    const call: Call = {
      deadlineMs,
      failed: false,
      sent: false,
      done(index, appended) {
        answers[index] = appended
        left--
        if (left === 0) resolve(answers)
      },
      fail(error) {
        call.failed = true
        if (!call.sent && isSilence(error)) reject(unwritten(error))
        // Refused now, but an earlier try, or another part of it, may have come through.
        else if (call.sent && error.code === 'unavailable') reject(unknown(error))
        else reject(error)
      },
    }
    const late = () => call.fail(new LogError('timeout', "can't append: no answer in time"))
    const timer = setTimeout(late, deadlineMs - performance.now())
    const byLane = Map.groupBy(
      placed.map((message, index) => ({ call, index, message, bytes: bytesOf(message) })),
      ({ message: { topic, partition } }) => this.#lane(topic, partition),
    )
    for (const [lane, records] of byLane) lane.push(records)
    return promise.finally(() => clearTimeout(timer))
  }

  #lane(topic: string, partition: number): Lane {
    const name = `${topic}/${partition}`
    const known = this.#lanes.get(name)
    if (known !== undefined) return known
    const pool = this.#pools[this.#lanes.size % CONNECTIONS] ?? this.#client.newPool()
    const lane = new Lane(this.#client, pool, this.#options.answerMs, { topic, partition })
    this.#lanes.set(name, lane)
    return lane
  }
}

const unwritten = (error: LogError) => new LogError('unavailable', error.message, { cause: error })
const unknown = (error: LogError) => new LogError('timeout', error.message, { cause: error })

type Placed = MessageRecord & { partition: number; key?: Buffer }

/**
 * A record as the library takes it. Those of one append without a key share a partition: the one
 * that is in `turn`.
 */
function place(
  { topic: name, partition, key, value, headers }: TopicRecord,
  topic: Topic | undefined,
  turn: number,
): Placed {
  if (topic === undefined) throw new LogError('not-found', `there is no topic ${name}`)
  if (!value.isWellFormed() || key?.isWellFormed() === false) {
    throw new LogError('bad-request', 'keys and values must be well-formed Unicode')
  }
  const count = topic.leaders.length
  const chosen = partition ?? (key == null ? turn % count : partitionOf(key, count))
  mustHave(topic, chosen)
  return {
    topic: name,
    partition: chosen,
    value: Buffer.from(value),
    timestamp: BigInt(Date.now()),
    ...(key != null && { key: Buffer.from(key) }),
    ...(headers?.length && {
      headers: new Map(headers.map((each) => [Buffer.from(each.key), Buffer.from(each.value)])),
    }),
  }
}

function bytesOf({ key, value, headers }: Placed): number {
  let bytes = value.length + (key?.length ?? 0)
  for (const [name, content] of headers ?? []) bytes += name.length + content.length
  return bytes
}
