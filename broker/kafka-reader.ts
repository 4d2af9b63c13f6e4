/**
 * Reads a Kafka, long polls included. A broker answers the requests of one connection one after
 * the other, so each read on its way has connections of its own, which the next read takes over.
 */

import type { ConnectionPool } from '@platformatic/kafka'
import { type Place, WAIT_MS_MAX } from './dialect.ts'
import { LogError } from './error.ts'
import {
  check,
  closePool,
  type KafkaClient,
  leaderOf,
  mustHave,
  type Topic,
} from './kafka-client.ts'
import { type FetchAnswer, fetchFrom } from './kafka-fetch.ts'
import { orAborted, patiently, pause, within } from './kafka-patience.ts'
import { Places } from './kafka-places.ts'
import { type KafkaRecord, readStored } from './kafka-record.ts'
import type { ReadOptions } from './log.ts'

/** Reads at once: the workers of many partitions, and the clients of a gateway. */
const READS_MAX = 512
/** What one read gives, as it is decoded: a batch of 1 MiB may hold hundreds. One record at least. */
const READ_BYTES_MAX = 16 * 1024 * 1024
const OFFSET_OUT_OF_RANGE = 1
const EARLIEST = -2n

/** One of the places of a read, and how far it got. */
interface Reading extends Place {
  /** Where the caller stands; `offset` moves on over what is not there. */
  readonly start: number
  /** Whether `offset` lies behind the end of the log. */
  behind: boolean
}

interface Round {
  records: KafkaRecord[]
  /** Of the records. */
  bytes: number
  /** Whether a place moved: there may be records that the next round gives at once. */
  moved: boolean
}

const newRound = (): Round => ({ records: [], bytes: 0, moved: false })

/** The readings of one broker, each with its topic. */
type Group = Map<Reading, Topic>

interface Asked {
  group: Group
  answer: FetchAnswer
}

export class KafkaReader {
  readonly #client: KafkaClient
  readonly #answerMs: number
  readonly #places = new Map<string, Places>()
  readonly #idle: ConnectionPool[] = []
  readonly #busy = new Set<ConnectionPool>()
  readonly #reads = new Set<AbortController>()
  #turn = 0

  /** `answerMs`: deadline of one answer, beyond the wait that a read asks for. */
  constructor(client: KafkaClient, answerMs: number) {
    this.#client = client
    this.#answerMs = answerMs
  }

  /**
   * What one fetch gives of several partitions, each in order of its offsets; waits where all are
   * at their end. A place before the first record kept moves there; one behind the end waits.
   * Ends with no records when the reader is closed.
   * @throws LogError; the signal's reason when it is aborted
   */
  async read(places: readonly Place[], options: ReadOptions = {}): Promise<KafkaRecord[]> {
    const ending = new AbortController()
    const abort = () => ending.abort()
    options.signal?.addEventListener('abort', abort)
    this.#reads.add(ending)
    try {
      options.signal?.throwIfAborted()
      return await this.#read(places, options.waitMs ?? 0, ending.signal)
    } catch (error) {
      options.signal?.throwIfAborted()
      if (ending.signal.aborted) return []
      throw error
    } finally {
      this.#reads.delete(ending)
      options.signal?.removeEventListener('abort', abort)
    }
  }

  /** Ends all reads, with no records. */
  close(): void {
    for (const ending of this.#reads) ending.abort()
    for (const pool of [...this.#idle, ...this.#busy]) closePool(pool)
  }

  #read(places: readonly Place[], waitMs: number, signal: AbortSignal): Promise<KafkaRecord[]> {
    const endMs = performance.now() + Math.min(waitMs, WAIT_MS_MAX)
    const readings = places.map((place) => ({ ...place, start: place.offset, behind: false }))
    const [{ topic, partition } = { topic: '', partition: 0 }] = places
    const deadlineMs = endMs + 2 * this.#answerMs
    return patiently(`read ${topic}/${partition}`, { deadlineMs, signal }, async () => {
      try {
        for (;;) {
          const leftMs = Math.max(0, endMs - performance.now())
          const { records, moved } = await this.#round(readings, leftMs, signal)
          if (records.length > 0 || (!moved && performance.now() >= endMs)) return records
        }
      } catch (error) {
        if (!signal.aborted) for (const place of places) this.#client.forget(place.topic)
        throw error
      }
    })
  }

  /** Asks each leader for its places; waits where none has records, and moves what can't be read. */
  async #round(readings: readonly Reading[], waitMs: number, signal: AbortSignal): Promise<Round> {
    const byLeader = new Map<number, Group>()
    for (const reading of this.#inTurn(readings)) {
      const topic = await this.#enter(reading)
      if (reading.behind) continue
      const leader = leaderOf(topic, reading.partition)
      byLeader.set(leader, (byLeader.get(leader) ?? new Map()).set(reading, topic))
    }
    if (byLeader.size === 0) {
      await pause(waitMs, signal)
      return newRound()
    }
    const ask = (ms: number) => Array.from(byLeader, (asked) => this.#ask(asked, ms, signal))
    if (byLeader.size > 1) {
      const now = await this.#settleAll(await Promise.allSettled(ask(0)))
      if (now.records.length > 0 || now.moved) return now
    }
    // The first of several to answer; what the others give is not taken, and comes again.
    return this.#settle(await Promise.race(ask(waitMs)))
  }

  async #ask([node, group]: [number, Group], waitMs: number, signal: AbortSignal): Promise<Asked> {
    return { group, answer: await this.#fetch(node, group, waitMs, signal) }
  }

  /** A different reading is first every time: the first ones get what fits into one answer. */
  #inTurn(readings: readonly Reading[]): Reading[] {
    const first = this.#turn++ % readings.length
    return [...readings.slice(first), ...readings.slice(0, first)]
  }

  /** @throws LogError 'replaced' where the caller came from a topic that is gone */
  async #enter({ topic: name, partition, start }: Reading): Promise<Topic> {
    const topic = await within(this.#answerMs, 'look', this.#client.topic(name, partition))
    mustHave(topic, partition)
    const places = this.#places.get(name) ?? new Places()
    this.#places.set(name, places)
    places.know(topic.id)
    places.enter(name, partition, start)
    return topic
  }

  /** One request to one broker. Who gives it up closes its connections: else both would wait on. */
  async #fetch(
    node: number,
    group: Group,
    waitMs: number,
    signal: AbortSignal,
  ): Promise<FetchAnswer> {
    signal.throwIfAborted()
    if (this.#busy.size >= READS_MAX) {
      throw new LogError('unavailable', `${READS_MAX} reads are under way already`)
    }
    const pool = this.#idle.pop() ?? this.#client.newPool(WAIT_MS_MAX + this.#answerMs)
    this.#busy.add(pool)
    try {
      const request = this.#request(pool, node, group, waitMs)
      const answered = within(waitMs + this.#answerMs, 'read', request)
      const answer = await orAborted(answered, signal)
      this.#idle.push(pool)
      return answer
    } catch (error) {
      closePool(pool)
      throw error
    } finally {
      this.#busy.delete(pool)
    }
  }

  async #request(
    pool: ConnectionPool,
    node: number,
    group: Group,
    waitMs: number,
  ): Promise<FetchAnswer> {
    const connection = await this.#client.connectionTo(pool, node)
    const places = Array.from(group, ([{ partition, offset }, topic]) => ({
      topic,
      partition,
      offset,
    }))
    return fetchFrom(this.#client, connection, places, waitMs)
  }

  /** What came of several brokers; the failure of one only where none gave records. */
  async #settleAll(asked: readonly PromiseSettledResult<Asked>[]): Promise<Round> {
    const round = newRound()
    const settled = await Promise.allSettled(
      asked.map(async (one) => {
        if (one.status === 'rejected') throw one.reason
        await this.#settle(one.value, round)
      }),
    )
    const failed = settled.find((one) => one.status === 'rejected')
    if (round.records.length === 0 && failed !== undefined) throw failed.reason
    return round
  }

  /** Adds the records of an answer; its errors only where there are no records. */
  async #settle({ answer, group }: Asked, round = newRound()): Promise<Round> {
    check(answer.errorCode)
    const failed: number[] = []
    for (const { topicId, partitions } of answer.responses) {
      for (const { partitionIndex, errorCode, records } of partitions) {
        const [reading] =
          [...group].find(
            ([{ partition }, { id, name }]) =>
              partition === partitionIndex && (topicId === id || topicId === name),
          ) ?? []
        if (reading === undefined) continue
        if (errorCode === OFFSET_OUT_OF_RANGE) {
          await this.#findBack(reading)
          round.moved = true
        } else if (errorCode !== 0) failed.push(errorCode)
        else if (this.#accept(reading, records, round)) round.moved = true
      }
    }
    if (round.records.length === 0 && failed.length > 0) check(failed[0])
    return round
  }

  /** Where the offset is not kept: the first that is, unless it lies behind the end. */
  async #findBack(reading: Reading): Promise<void> {
    const { topic, partition, offset } = reading
    const earliest = await within(
      this.#answerMs,
      'look where the log starts',
      this.#client.listOffset(topic, partition, EARLIEST),
    )
    if (offset < earliest) reading.offset = earliest
    else reading.behind = true
  }

  /** What does not fit into the round is left to the next. @returns whether the reading moved on */
  #accept(reading: Reading, stored: Buffer, round: Round): boolean {
    const { topic, partition, start, offset } = reading
    const room = READ_BYTES_MAX - round.bytes
    if (room <= 0) return false
    const { records, bytes, next } = readStored({ topic, partition }, stored, offset, room)
    for (const record of records) round.records.push(record)
    round.bytes += bytes
    if (records.length > 0) this.#places.get(topic)?.move(partition, start, next)
    reading.offset = next
    return next > offset
  }
}
