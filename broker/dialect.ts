/**
 * The shapes of the Upstash Kafka REST dialect, and what a log must do beyond `Log` to serve it:
 * append to several topics at once, and read several partitions at once.
 */

import { z } from 'zod'
import type { Appended, Log, LogRecord, ReadOptions } from './log.ts'

/** One request body: far above one burst (Logplex sends at most 100 KiB), far below memory. */
export const BODY_BYTES_MAX = 16 * 1024 * 1024
/** Upstash's default wait of a fetch. */
const WAIT_MS_DEFAULT = 1000
/** Longer waits are cut to this, so that no idle timeout on the way strikes first. */
export const WAIT_MS_MAX = 30_000
/** Partitions in one request; a topic of ours has a handful. */
const PLACES_MAX = 1000

const count = z.int().min(0)

export const headersShape = z.array(z.object({ key: z.string(), value: z.string() }))
const recordShape = z.object({
  value: z.string(),
  key: z.string().nullish(),
  partition: count.nullish(),
  /** Accepted and ignored: the log stamps append time. */
  timestamp: z.number().nullish(),
  headers: headersShape.nullish(),
})
const topicPartitionShape = z.object({ topic: z.string(), partition: count })
const placeShape = topicPartitionShape.extend({ offset: count })

const oneOrMany = <T extends z.ZodType>(shape: T) =>
  z.preprocess((body) => (Array.isArray(body) ? body : [body]), z.array(shape))

export const produceBody = oneOrMany(recordShape.extend({ topic: z.string() }))
export const produceToTopicBody = oneOrMany(recordShape)
export const offsetsBody = oneOrMany(topicPartitionShape).refine(
  (places) => places.length <= PLACES_MAX,
)

/** Both forms of a fetch, as the places it reads from and its wait in ms. */
export const fetchBody = z
  .looseObject({
    topic: z.unknown().optional(),
    topicPartitionOffsets: z.array(z.unknown()).nullish(),
    timeout: z.number().min(0).nullish(),
    /** Of ours, not of Upstash's: at most so many records. */
    limit: z.int().min(1).nullish(),
  })
  .transform((body) => ({
    places: [...(body.topic === undefined ? [] : [body]), ...(body.topicPartitionOffsets ?? [])],
    waitMs: Math.min(body.timeout ?? WAIT_MS_DEFAULT, WAIT_MS_MAX),
    recordsMax: body.limit ?? Number.MAX_SAFE_INTEGER,
  }))
  .pipe(
    z.object({
      places: z.array(placeShape).min(1).max(PLACES_MAX),
      waitMs: z.number(),
      recordsMax: z.number(),
    }),
  )

export const errorAnswer = z.object({ error: z.string() })
export const topicsAnswer = z.record(z.string(), count)
export const appendedAnswer = z.array(placeShape.extend({ timestamp: count }))
export const offsetsAnswer = z.array(placeShape)
export const fetchedAnswer = z.array(
  placeShape.extend({ timestamp: count, key: z.string(), value: z.string() }),
)

export type Place = z.infer<typeof placeShape>
/** A record to append to any topic. No partition: the key decides. */
export type TopicRecord = z.infer<typeof recordShape> & { topic: string }

export interface FetchedRecord extends LogRecord {
  value: string
  headers: z.infer<typeof headersShape>
}

export interface BrokerLog extends Log {
  /** Appends to one topic or several, all or nothing; one answer a record, same order. */
  produce(records: readonly TopicRecord[]): Promise<Appended[]>
  /** Reads like `read`, from several partitions at once; waits only where all are at their end. */
  fetch(places: readonly Place[], options?: ReadOptions): Promise<FetchedRecord[]>
}
