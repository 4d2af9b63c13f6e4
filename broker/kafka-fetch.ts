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
  type Reader,
  type Writer,
} from '@platformatic/kafka'
import { type KafkaClient, READ_UNCOMMITTED, type Topic } from './kafka-client.ts'

const FETCH: readonly FetchVersion[] = [
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

/** From this version on, arrays are compact and fields may be tagged (KIP-482). */
const FETCH_COMPACT = 12

/** What the versions of a fetch have in common. */
interface FetchVersion {
  api: { key: number; version: number }
  createRequest(
    maxWaitMs: number,
    minBytes: number,
    maxBytes: number,
    isolation: number,
    sessionId: number,
    sessionEpoch: number,
    topics: Parameters<typeof fetchV17.createRequest>[6],
    forgotten: [],
    rack: string,
  ): Writer
}

export interface FetchAnswer {
  errorCode: number
  responses: {
    /** The name where the version of the fetch is below 13. */
    topicId: string
    partitions: PartitionAnswer[]
  }[]
}

interface PartitionAnswer {
  partitionIndex: number
  errorCode: number
  /** Batches as they are stored, the last one perhaps cut short: see readStored. */
  records: Buffer
}

/** Waits up to `waitMs` for a first record, and gives 2 MiB at most, but always a whole batch. */
export async function fetchFrom(
  client: KafkaClient,
  connection: Connection,
  places: readonly { topic: Topic; partition: number; offset: number }[],
  waitMs: number,
): Promise<FetchAnswer> {
  const fetch = await client.chooseVersion(FETCH)
  const topics = places.map(({ topic, partition, offset }) => ({
    topicId: fetch.api.version >= FETCH_BY_ID ? topic.id : topic.name,
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
  const { api, createRequest } = fetch
  const bounds = [Math.ceil(waitMs), 1, FETCH_BYTES_MAX, READ_UNCOMMITTED] as const
  const request = () => createRequest(...bounds, ...NO_SESSION, topics, [], '')
  const isCompact = api.version >= FETCH_COMPACT
  const { promise, resolve, reject } = Promise.withResolvers<FetchAnswer>()
  const done = (error: Error | null, answer?: FetchAnswer) =>
    answer === undefined ? reject(error) : resolve(answer)
  connection.send(api.key, api.version, request, parseAnswer, isCompact, isCompact, done)
  return promise
}

/**
 * The library's own parser would decode all records at once, and 2 MiB of them may hold hundreds.
 * Fields as in kafka.apache.org/protocol#The_Messages_Fetch.
 */
function parseAnswer(_id: number, _key: number, version: number, reader: Reader): FetchAnswer {
  const isCompact = version >= FETCH_COMPACT
  const parsePartition = (): PartitionAnswer => {
    const partitionIndex = reader.readInt32()
    const errorCode = reader.readInt16()
    // The high watermark, the last stable offset, and where the log starts.
    reader.skip(3 * 8)
    // The aborted transactions: a producer and an offset each.
    reader.readNullableArray((aborted) => aborted.skip(2 * 8), isCompact, isCompact)
    // The replica to read from.
    reader.skip(4)
    return { partitionIndex, errorCode, records: reader.readBytes(isCompact) }
  }
  const parseTopic = () => ({
    topicId: version >= FETCH_BY_ID ? reader.readUUID() : reader.readString(isCompact),
    partitions: reader.readArray(parsePartition, isCompact, isCompact),
  })
  // How long we were throttled.
  reader.skip(4)
  const errorCode = reader.readInt16()
  // The session.
  reader.skip(4)
  return { errorCode, responses: reader.readArray(parseTopic, isCompact, isCompact) }
}
