/**
 * What a batch program asks of a log, whichever log it is: topics of partitions, read by offset,
 * appended at the end. The embedded broker (over REST) and a native Kafka both serve it.
 */

/** One record as the log keeps it. `timestamp` is log append time, Unix ms. */
export interface LogRecord {
  topic: string
  partition: number
  offset: number
  timestamp: number
  key: string | null
  /** Text where the way here carries only text (the REST dialect), bytes from a native Kafka. */
  value: string | Uint8Array
}

/** A record to append. No partition: the key decides, as Kafka's own clients decide it. */
export interface NewRecord {
  value: string
  key?: string
  partition?: number
}

export interface Appended {
  topic: string
  partition: number
  offset: number
  timestamp: number
}

export interface ReadOptions {
  /** How long to wait for a first record where there is none yet, ms. Default 0. */
  waitMs?: number
  /** At most so many records are wanted; a native Kafka may give more. Default: what it likes. */
  recordsMax?: number
  signal?: AbortSignal
}

export interface Log {
  /** Partition count of each topic. */
  topics(): Promise<Record<string, number>>
  /**
   * Records from `offset` on, oldest first, as many as the log likes to give at once; empty at the
   * end. An offset before the earliest kept one reads from the earliest: compare offsets to see it.
   */
  read(
    topic: string,
    partition: number,
    offset: number,
    options?: ReadOptions,
  ): Promise<LogRecord[]>
  /**
   * An offset of one partition: of the first record kept ('earliest'), of the next record to come
   * ('latest'), or of the first record at or after a Unix ms timestamp (the latest where there is
   * none).
   */
  offsetAt(topic: string, partition: number, at: 'earliest' | 'latest' | number): Promise<number>
  /** Appends in order; resolves when all are durable, with one answer a record, same order. */
  append(topic: string, records: readonly NewRecord[]): Promise<Appended[]>
  /**
   * Makes topics that are absent and adds partitions to those that have fewer than wanted; never
   * takes away. LogError 'not-offered' where the log can't (over REST).
   */
  createTopics(wanted: Readonly<Record<string, number>>): Promise<void>
}
