/**
 * The way of records into one partition: one batch at a time, so that order is kept and the broker
 * can tell a batch that comes again. What is appended while a batch is on its way is the next one.
 */

import {
  type ConnectionPool,
  type MessageRecord,
  NumericMap,
  produceV7,
  produceV8,
  produceV9,
  produceV10,
  produceV11,
} from '@platformatic/kafka'
import { LogError } from './error.ts'
import { answered, check, type KafkaClient, leaderOf, type Topic } from './kafka-client.ts'
import { logErrorOf } from './kafka-error.ts'
import { patiently, within } from './kafka-patience.ts'
import type { Appended } from './log.ts'

const PRODUCE = [produceV11, produceV10, produceV9, produceV8, produceV7]

/** A batch, uncompressed: below Kafka's default max.message.bytes, 1,048,588, as a whole. */
const BATCH_BYTES_MAX = 1_000_000
/** Bounds of what a varint, a length or an attribute takes, for each record. */
const RECORD_EXTRA_BYTES = 40
const ACKS_ALL = -1
/** A batch number is 31 bits, and begins again at 0. */
const SEQUENCE_MASK = 0x7fffffff

/** One append, which may have records in several lanes. */
export interface Call {
  /** Until when its records are tried, on the clock of performance.now(). */
  deadlineMs: number
  /** Whether it was told that it failed: the rest of its records is not sent. */
  failed: boolean
  /** Whether a record of it may have reached a broker. */
  sent: boolean
  done(index: number, appended: Appended): void
  fail(error: LogError): void
}

export interface LaneRecord {
  call: Call
  /** Its place among the records of the call. */
  index: number
  message: MessageRecord
  bytes: number
}

interface Place {
  topic: string
  partition: number
}

/** Of a batch: the offset of its first record, and the time that the log stamped on all of it. */
interface Written {
  offset: number
  /** Unix ms; below 0 where the topic keeps the times that the producer gave: those are ours. */
  logAppendMs: number
}

interface Batch {
  records: readonly LaneRecord[]
  /** Whether it may have reached the broker. */
  sent: boolean
}

interface Producer {
  producerId: bigint
  producerEpoch: number
  /** Number of the next record. */
  sequence: number
}

export class Lane {
  readonly #client: KafkaClient
  readonly #pool: ConnectionPool
  readonly #answerMs: number
  readonly #place: Place
  #queue: LaneRecord[] = []
  #running = false
  #producer: Producer | undefined
  #topicId: string | undefined
  #batchBytesMax = BATCH_BYTES_MAX
  readonly #doing: string

  constructor(client: KafkaClient, pool: ConnectionPool, answerMs: number, place: Place) {
    this.#doing = `append to ${place.topic}/${place.partition}`
    this.#client = client
    this.#pool = pool
    this.#answerMs = answerMs
    this.#place = place
  }

  push(records: readonly LaneRecord[]): void {
    for (const record of records) this.#queue.push(record)
    if (!this.#running) this.#run()
  }

  async #run(): Promise<void> {
    this.#running = true
    for (let records = this.#take(); records.length > 0; records = this.#take()) {
      const batch: Batch = { records, sent: false }
      try {
        this.#written(batch, await this.#deliver(batch))
      } catch (error) {
        this.#refused(batch, error)
      }
    }
    this.#running = false
  }

  #written({ records }: Batch, { offset, logAppendMs }: Written): void {
    // Only here, where no attempt of this batch can come back and turn it back.
    if (this.#producer !== undefined) {
      this.#producer.sequence = (this.#producer.sequence + records.length) & SEQUENCE_MASK
    }
    records.forEach(({ call, index, message }, at) => {
      const timestamp = logAppendMs >= 0 ? logAppendMs : Number(message.timestamp)
      call.done(index, { ...this.#place, offset: offset + at, timestamp })
    })
  }

  /** The next records that make a batch: of calls that still wait, and one record at least. */
  #take(): LaneRecord[] {
    const waiting = this.#queue.filter(({ call }) => !call.failed)
    let bytes = 0
    const count = waiting.findIndex((record, index) => {
      bytes += record.bytes + RECORD_EXTRA_BYTES
      return index > 0 && bytes > this.#batchBytesMax
    })
    this.#queue = count < 0 ? [] : waiting.slice(count)
    return count < 0 ? waiting : waiting.slice(0, count)
  }

  /** A batch that is too large is tried again as two; any other failure is told. */
  #refused({ records }: Batch, error: unknown): void {
    const failure = logErrorOf(this.#doing, error)
    // A batch whose fate is unknown keeps its numbers: the next one needs a producer of its own.
    this.#producer = undefined
    if (failure.code === 'too-large' && records.length > 1) {
      const bytes = records.reduce((sum, record) => sum + record.bytes + RECORD_EXTRA_BYTES, 0)
      this.#batchBytesMax = Math.ceil(bytes / 2)
      this.#queue = [...records, ...this.#queue]
      return
    }
    for (const { call } of records) call.fail(failure)
  }

  /** Tries a batch, always under the same numbers, until it is written or nobody waits for it. */
  #deliver(batch: Batch): Promise<Written> {
    const deadlineMs = batch.records.reduce((last, { call }) => Math.max(last, call.deadlineMs), 0)
    const triesMax = Number.POSITIVE_INFINITY
    return patiently(this.#doing, { deadlineMs, triesMax }, async () => {
      const attempt = { over: false }
      try {
        // Connecting and two answers; each has its own deadline, this one is for what has none.
        return await within(3 * this.#answerMs, this.#doing, this.#produce(batch, attempt))
      } catch (error) {
        attempt.over = true
        this.#client.forget(this.#place.topic)
        throw error
      }
    })
  }

  async #produce(batch: Batch, attempt: { over: boolean }): Promise<Written> {
    const { topic: name, partition } = this.#place
    const topic = await this.#client.topic(name, partition)
    this.#mustBeTheSame(topic)
    const connection = await this.#client.connectionTo(this.#pool, leaderOf(topic, partition))
    const produce = await this.#client.choose(PRODUCE)
    const producer = this.#producer ?? { ...(await this.#client.newProducer()), sequence: 0 }
    // Nobody waits for this attempt any more: another one has taken its place.
    if (attempt.over) throw new LogError('timeout', `can't ${this.#doing}: too late`)
    this.#producer = producer
    const messages = this.#seal(batch)
    const { producerId, producerEpoch, sequence } = producer
    const answer = await answered(
      produce.async(connection, ACKS_ALL, this.#answerMs, messages, {
        compression: this.#client.target.compression,
        sequences: new NumericMap([[`${name}:${partition}`, sequence]]),
        producerId,
        producerEpoch,
      }),
    )
    const responses = typeof answer === 'object' ? answer.responses : []
    const written = responses[0]?.partitionResponses[0]
    check(written?.errorCode, written?.errorMessage)
    return {
      offset: Number(written?.baseOffset ?? -1),
      logAppendMs: Number(written?.logAppendTimeMs ?? -1),
    }
  }

  /** What goes out. Once it did, it is the same at every try; before, who was told of a failure leaves. */
  #seal(batch: Batch): MessageRecord[] {
    if (!batch.sent) batch.records = batch.records.filter(({ call }) => !call.failed)
    if (batch.records.length === 0) throw new LogError('bad-request', 'nobody waits for this')
    batch.sent = true
    for (const { call } of batch.records) call.sent = true
    return batch.records.map(({ message }) => message)
  }

  /** @throws LogError 'replaced', once, where the topic is not the one that was appended to */
  #mustBeTheSame({ name, id }: Topic): void {
    const before = this.#topicId
    this.#topicId = id
    if (before === undefined || before === id) return
    throw new LogError('replaced', `topic ${name} was deleted and made anew: start anew`)
  }
}
