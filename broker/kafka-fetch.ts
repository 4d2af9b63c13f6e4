/** A fetch of the Kafka protocol: records of several partitions that one broker leads. */

import {
  type Connection,
  fetchV11,
  fetchV12,
  fetchV13,
  fetchV14,
  fetchV15,
  fetchV16,
  fetchV17,
  type RecordsBatch,
} from '@platformatic/kafka'
import { answered, type KafkaClient, READ_UNCOMMITTED, type Topic } from './kafka-client.ts'

const FETCH: readonly { api: FetchApi }[] = [
  fetchV17,
  fetchV16,
  fetchV15,
  fetchV14,
  fetchV13,
  fetchV12,
  fetchV11,
]
/** From this version on, a fetch names topics by id. */
const FETCH_BY_ID = 13

/** Bytes of one answer, as they are stored: compressed, mostly. */
const FETCH_BYTES_MAX = 2 * 1024 * 1024
/** Session id and epoch of a fetch that is part of no session (KIP-227). */
const NO_SESSION = [0, -1] as const

/** What the versions of a fetch have in common. */
interface FetchApi {
  key: number
  version: number
  async(
    connection: Connection,
    maxWaitMs: number,
    minBytes: number,
    maxBytes: number,
    isolation: number,
    sessionId: number,
    sessionEpoch: number,
    topics: Parameters<typeof fetchV17.createRequest>[6],
    forgotten: [],
    rack: string,
  ): Promise<FetchAnswer>
}

export interface FetchAnswer {
  errorCode: number
  responses: {
    topicId: string
    partitions: {
      partitionIndex: number
      errorCode: number
      records?: readonly RecordsBatch[] | null
    }[]
  }[]
}

/** Waits up to `waitMs` for a first record, and gives 2 MiB at most, but always a whole batch. */
export async function fetchFrom(
  client: KafkaClient,
  connection: Connection,
  places: readonly { topic: Topic; partition: number; offset: number }[],
  waitMs: number,
): Promise<FetchAnswer> {
  const fetch = await client.choose(FETCH)
  const topics = places.map(({ topic, partition, offset }) => ({
    topicId: fetch.version >= FETCH_BY_ID ? topic.id : topic.name,
    partitions: [
      {
        partition,
        currentLeaderEpoch: -1,
        fetchOffset: BigInt(offset),
        lastFetchedEpoch: -1,
        partitionMaxBytes: Math.ceil(FETCH_BYTES_MAX / places.length),
      },
    ],
  }))
  const bounds = [Math.ceil(waitMs), 1, FETCH_BYTES_MAX, READ_UNCOMMITTED] as const
  return answered(fetch.async(connection, ...bounds, ...NO_SESSION, topics, [], ''))
}
