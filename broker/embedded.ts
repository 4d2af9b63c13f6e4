/**
 * The embedded log: Kafka's topics on one machine, durable in one SQLite file.
 */

import { logClock, steadyClock } from './clock.ts'
import { Commits } from './commits.ts'
import type { BrokerLog, FetchedRecord, Place, TopicRecord } from './dialect.ts'
import { LogError } from './error.ts'
import type { Appended, NewRecord, ReadOptions } from './log.ts'
import { retain } from './retention.ts'
import { type Partition, recordBytes, Store, type StoreRecord } from './store.ts'
import { Topics } from './topics.ts'
import { Waiters } from './waiters.ts'

/** Kafka's default max.message.bytes, here for key, value and headers of one record together. */
const RECORD_BYTES_MAX = 1_048_588
/** One append: bounds how long one commit holds everybody else up. */
const RECORDS_MAX = 10_000
/** Records of one answer to a read: some 50 ms of work for either side. */
const READ_COUNT_MAX = 5_000
const READ_BYTES_MAX = 4 * 1024 * 1024
/** Kafka's default of log.retention.hours, 168. */
const RETENTION_MS_DEFAULT = 168 * 3_600_000
const RETAIN_EVERY_MS = 60_000

interface TopicOptions {
  partitions: number
  /** How long a record is kept at least, ms. Default 7 days. */
  retentionMs?: number
  /** Value of a record that is appended to each partition before the topic gets more of them. */
  onGrowth?: string
}

export interface EmbeddedLogOptions {
  /** Where `log.sqlite` lives; made if absent. */
  folder: string
  /** Made if absent; topics that the file has besides are kept and served. */
  topics: Readonly<Record<string, TopicOptions>>
  /** The wall clock, Unix ms. */
  wallMs?: () => number
  /** A clock that nobody sets, ms. */
  elapsedMs?: () => number
  /** Told in one line of what failed while nobody waited for it. */
  report?: (line: string) => void
}

export class EmbeddedLog implements BrokerLog {
  readonly #store: Store
  readonly #commits: Commits
  readonly #waiters = new Waiters<Partition>()
  readonly #options: EmbeddedLogOptions['topics']
  readonly #nowMs: () => number
  #topics: Topics
  readonly #retentionMs: (topic: string) => number
  readonly #wallMs: () => number
  readonly #retainTimer: ReturnType<typeof setInterval>
  readonly #report: (line: string) => void
  #turn = 0
  #closed = false
  #refusing = false

  /** @throws LogError 'failed' or 'disk' where the file can't be opened as asked for. */
  constructor(options: EmbeddedLogOptions) {
    const { folder, topics, report, wallMs = Date.now } = options
    const elapsedMs = options.elapsedMs ?? (() => performance.now())
    this.#store = new Store(folder)
    this.#topics = new Topics(this.#store.partitions)
    this.#options = topics
    const lastMs = Math.max(0, ...this.#store.partitions.map((partition) => partition.lastMs))
    this.#nowMs = logClock(lastMs, wallMs, elapsedMs)
    this.#commits = new Commits((records) => this.#write(records, this.#nowMs()))
    this.#wallMs = steadyClock(wallMs, elapsedMs)
    this.#report = report ?? (() => {})
    this.#openTopics()
    this.#retentionMs = (topic) => topics[topic]?.retentionMs ?? RETENTION_MS_DEFAULT
    this.#retainTimer = setInterval(() => {
      this.retain().catch((error) => this.#report(`retention failed: ${error}`))
    }, RETAIN_EVERY_MS)
    this.#retainTimer.unref()
  }

  async topics(): Promise<Record<string, number>> {
    return this.#topics.counts()
  }

  /**
   * Makes topics that are absent and adds partitions to those that have fewer than wanted; never
   * takes away.
   * @throws LogError 'disk', 'failed'
   */
  async createTopics(wanted: Readonly<Record<string, number>>): Promise<void> {
    this.#mustBeOpen()
    this.#grow(wanted)
  }

  append(topic: string, records: readonly NewRecord[]): Promise<Appended[]> {
    return this.produce(records.map((record) => ({ ...record, topic })))
  }

  /**
   * Appends to one topic or several, all or nothing.
   * @throws LogError 'bad-request', 'not-found', 'too-large', 'unavailable' when the queue is
   * full, 'disk' when the disk refuses; nothing was accepted then
   */
  async produce(records: readonly TopicRecord[]): Promise<Appended[]> {
    this.#mustBeOpen()
    if (records.length > RECORDS_MAX) {
      throw new LogError('too-large', `an append takes at most ${RECORDS_MAX} records`)
    }
    if (records.length === 0) return []
    this.#turn++
    return this.#commits.push(records.map((record) => this.#accept(record)))
  }

  read(
    topic: string,
    partition: number,
    offset: number,
    options?: ReadOptions,
  ): Promise<FetchedRecord[]> {
    return this.fetch([{ topic, partition, offset }], options)
  }

  /**
   * Reads several partitions at once: at most 4 MiB and 5,000 records, but always one if there is
   * one. Empty after the wait, or when the log closes.
   * @throws LogError 'not-found', 'unavailable'; the signal's reason when it is aborted
   */
  async fetch(places: readonly Place[], options: ReadOptions = {}): Promise<FetchedRecord[]> {
    this.#mustBeOpen()
    const sources = places.map(({ topic, partition, offset }) => ({
      partition: this.#topics.find(topic, partition),
      offset,
    }))
    const partitions = new Set(sources.map(({ partition }) => partition))
    const deadlineMs = performance.now() + (options.waitMs ?? 0)
    for (;;) {
      options.signal?.throwIfAborted()
      if (this.#closed) return []
      const found = this.#readFairly(sources, options.recordsMax)
      const leftMs = deadlineMs - performance.now()
      if (found.length > 0 || leftMs <= 0) return found
      await this.#waiters.wait(partitions, leftMs, options.signal)
    }
  }

  async offsetAt(
    topic: string,
    partition: number,
    at: 'earliest' | 'latest' | number,
  ): Promise<number> {
    this.#mustBeOpen()
    const found = this.#topics.find(topic, partition)
    if (at === 'earliest') return found.earliest
    if (at === 'latest') return found.next
    return this.#store.offsetAt(found, at)
  }

  /** Deletes what is older than its topic keeps, as the timer does; returns how many records. */
  retain(): Promise<number> {
    const nowMs = this.#wallMs()
    return retain(
      this.#store,
      ({ topic }) => nowMs - this.#retentionMs(topic),
      () => this.#closed,
    )
  }

  /** Commits what was accepted, ends the reads that wait, and closes the file. */
  close(): void {
    if (this.#closed) return
    this.#commits.flush()
    this.#closed = true
    clearInterval(this.#retainTimer)
    this.#waiters.wakeAll()
    this.#store.close()
  }

  /** The topics that were asked for at the start. A count that shrank is a mistake. */
  #openTopics(): void {
    const wanted = Object.entries(this.#options).map(([topic, { partitions }]) => {
      const count = this.#topics.counts()[topic] ?? 0
      if (count <= partitions) return [topic, partitions]
      this.#store.close()
      throw new LogError(
        'failed',
        `topic ${topic} has ${count} partitions, ${partitions} were asked for: ` +
          'a partition count can grow, but never shrink',
      )
    })
    try {
      this.#grow(Object.fromEntries(wanted))
    } catch (error) {
      this.#store.close()
      throw error
    }
  }

  /**
   * What says so is written first: who dies between writes it again. New partitions begin with it:
   * what moves into them may lie in another one already.
   */
  #grow(wanted: Readonly<Record<string, number>>): void {
    const counts = this.#topics.counts()
    const isGrowing = (topic: string) => (wanted[topic] ?? 0) > (counts[topic] ?? 0)
    this.#tellGrowth(this.#store.partitions.filter(({ topic }) => isGrowing(topic)))
    this.#store.addPartitions(wanted)
    this.#topics = new Topics(this.#store.partitions)
    this.#tellGrowth(
      this.#store.partitions.filter(
        ({ topic, partition }) => topic in counts && partition >= (counts[topic] ?? 0),
      ),
    )
  }

  #tellGrowth(partitions: readonly Partition[]): void {
    const records = partitions.flatMap((partition): StoreRecord[] => {
      const value = this.#options[partition.topic]?.onGrowth
      return value === undefined ? [] : [{ partition, key: null, value, headers: null }]
    })
    if (records.length > 0) this.#write(records, this.#nowMs())
  }

  #write(records: readonly StoreRecord[], timestamp: number): Appended[] {
    const offsets = this.#append(records, timestamp)
    for (const partition of new Set(records.map((record) => record.partition))) {
      this.#waiters.wake(partition)
    }
    return records.map(({ partition: { topic, partition } }, index) => ({
      topic,
      partition,
      offset: offsets[index] ?? 0,
      timestamp,
    }))
  }

  /** One line when the disk begins to refuse writes, and one when it takes them again. */
  #append(records: readonly StoreRecord[], timestamp: number): number[] {
    try {
      const offsets = this.#store.append(records, timestamp)
      if (this.#refusing) this.#report('the log is written again')
      this.#refusing = false
      return offsets
    } catch (error) {
      const words = error instanceof Error ? error.message : String(error)
      if (!this.#refusing) this.#report(`nothing is taken until this is mended: ${words}`)
      this.#refusing = true
      throw error
    }
  }

  /** Each source gets its share of one answer, and a different one is first every time. */
  #readFairly(
    sources: readonly { partition: Partition; offset: number }[],
    recordsMax = READ_COUNT_MAX,
  ): FetchedRecord[] {
    const countMax = Math.min(recordsMax, READ_COUNT_MAX)
    const shareCount = Math.ceil(countMax / sources.length)
    const shareBytes = READ_BYTES_MAX / sources.length
    const first = this.#turn++ % sources.length
    const found: FetchedRecord[] = []
    let bytes = 0
    for (const { partition, offset } of [...sources.slice(first), ...sources.slice(0, first)]) {
      const count = Math.min(shareCount, countMax - found.length)
      const records = this.#store.read(partition, offset, count, shareBytes)
      bytes += records.reduce((sum, { value }) => sum + value.length, 0)
      found.push(...records)
      if (bytes >= READ_BYTES_MAX || found.length >= countMax) break
    }
    return found
  }

  /** Checks a record and finds its place; those of one append without a key share a partition. */
  #accept({ topic, partition, key = null, value, headers }: TopicRecord): StoreRecord {
    const record = {
      partition:
        partition == null
          ? this.#topics.choose(topic, key, this.#turn)
          : this.#topics.find(topic, partition),
      key,
      value,
      headers: headers?.length ? JSON.stringify(headers) : null,
    }
    const bytes = recordBytes(record)
    if (bytes > RECORD_BYTES_MAX) {
      throw new LogError(
        'too-large',
        `a record has at most ${RECORD_BYTES_MAX} bytes, not ${bytes}`,
      )
    }
    if (!value.isWellFormed() || key?.isWellFormed() === false) {
      throw new LogError('bad-request', 'keys and values must be well-formed Unicode')
    }
    return record
  }

  #mustBeOpen(): void {
    if (this.#closed) throw new LogError('unavailable', 'the log is closed')
  }
}
