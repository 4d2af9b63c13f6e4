/** Talks to the brokers of one Kafka: connections, versions, topics and who leads their partitions. */

import {
  apiVersionsV3,
  type Broker,
  type Connection,
  ConnectionPool,
  initProducerIdV1,
  initProducerIdV2,
  initProducerIdV3,
  initProducerIdV4,
  initProducerIdV5,
  listOffsetsV5,
  listOffsetsV6,
  listOffsetsV7,
  listOffsetsV8,
  listOffsetsV9,
  metadataV8,
  metadataV9,
  metadataV10,
  metadataV11,
  metadataV12,
  ProtocolError,
  ResponseError,
} from '@platformatic/kafka'
import { LogError } from './error.ts'
import type { KafkaTarget } from './kafka-url.ts'

/** For every Kafka since 2.4, the newest first. */
const METADATA = [metadataV12, metadataV11, metadataV10, metadataV9, metadataV8]
const LIST_OFFSETS = [listOffsetsV9, listOffsetsV8, listOffsetsV7, listOffsetsV6, listOffsetsV5]
const INIT_PRODUCER = [
  initProducerIdV5,
  initProducerIdV4,
  initProducerIdV3,
  initProducerIdV2,
  initProducerIdV1,
]

export const CLIENT_ID = 'shelf'
/** Isolation level: Shelf's producers use no transactions. */
export const READ_UNCOMMITTED = 0
/** How old what is known of a topic may be: a topic made anew shows after this at the latest. */
const TOPIC_MS_MAX = 30_000
/** Requests on their way on one connection; the broker answers one after the other. */
const IN_FLIGHT_MAX = 256

export interface Topic {
  name: string
  /** '' where the broker is older than topic ids (Kafka 2.8). */
  id: string
  /** Node id of the leader of each partition; below 0 where there is none. */
  leaders: readonly number[]
  replicas: number
  loadedAtMs: number
}

interface ApiVersion {
  key: number
  version: number
}

interface Versions {
  apiKey: number
  minVersion: number
  maxVersion: number
}

export class KafkaClient {
  readonly target: KafkaTarget
  readonly #answerMs: number
  readonly #control: ConnectionPool
  #brokers = new Map<number, Broker>()
  #topics = new Map<string, Topic>()
  readonly #loading = new Map<string, Promise<Topic>>()
  #versions: Promise<readonly Versions[]> | undefined
  #turn = 0

  /** `answerMs`: deadline of connecting, and of one answer. */
  constructor(target: KafkaTarget, answerMs: number) {
    this.target = target
    this.#answerMs = answerMs
    this.#control = this.newPool()
  }

  /** Connections of one kind of work, one to each broker; who asks for a pool closes it. */
  newPool(answerMs = this.#answerMs): ConnectionPool {
    const { sasl, tls } = this.target
    const pool = new ConnectionPool(CLIENT_ID, {
      connectTimeout: this.#answerMs,
      requestTimeout: answerMs,
      maxInflights: IN_FLIGHT_MAX,
      ...(sasl && { sasl }),
      ...(tls && { tls }),
    })
    // Each error comes as the answer of a request too; as an event alone it would end the process.
    pool.on('connecting', ({ connection }) => connection.on('error', () => {}))
    return pool
  }

  /** A connection of `pool` to a node that metadata named. */
  async connectionTo(pool: ConnectionPool, node: number): Promise<Connection> {
    const broker = this.#brokers.get(node)
    if (broker === undefined) throw new LogError('unavailable', `Kafka has no broker ${node} now`)
    return pool.get(broker)
  }

  /** The newest of `apis`, newest first, that the brokers speak. */
  async choose<Api>(apis: readonly { api: Api & ApiVersion }[]): Promise<Api> {
    return (await this.chooseVersion(apis)).api
  }

  /** The same with what belongs to it. */
  async chooseVersion<Version extends { api: ApiVersion }>(
    apis: readonly Version[],
  ): Promise<Version> {
    this.#versions ??= this.#ask((connection) =>
      answered(apiVersionsV3.api.async(connection, CLIENT_ID, '1')),
    ).then(({ apiKeys }) => apiKeys)
    const versions = await this.#versions.catch((error) => {
      this.#versions = undefined
      throw error
    })
    const found = apis.find(({ api }) =>
      versions.some(
        ({ apiKey, minVersion, maxVersion }) =>
          apiKey === api.key && minVersion <= api.version && api.version <= maxVersion,
      ),
    )
    if (found !== undefined) return found
    throw new LogError('not-offered', 'this Kafka is of a version that Shelf does not speak')
  }

  /**
   * A topic, as it was within the last 30 s; as it is now where it did not have the partition.
   * @throws LogError 'not-found' where there is none
   */
  async topic(name: string, partition: number): Promise<Topic> {
    const known = this.#topics.get(name)
    if (
      known !== undefined &&
      partition < known.leaders.length &&
      Date.now() - known.loadedAtMs < TOPIC_MS_MAX
    ) {
      return known
    }
    const loading =
      this.#loading.get(name) ?? this.#loadTopic(name).finally(() => this.#loading.delete(name))
    this.#loading.set(name, loading)
    return loading
  }

  /** After a failure that says so: what is known of a topic, and of versions, is asked for anew. */
  forget(name: string): void {
    this.#topics.delete(name)
    this.#versions = undefined
  }

  /** All topics but Kafka's own. */
  async topics(): Promise<Topic[]> {
    return this.#loadMetadata(null)
  }

  /** First offset at or after a Unix ms; -1 stands for the end and -2 for the first that is kept. */
  async listOffset(name: string, partition: number, timestamp: bigint): Promise<number> {
    try {
      return await this.#listOffset(await this.topic(name, partition), partition, timestamp)
    } catch (error) {
      this.forget(name)
      throw error
    }
  }

  /** A producer id of one's own: a broker knows batches by it and their numbers. */
  async newProducer(): Promise<{ producerId: bigint; producerEpoch: number }> {
    const initProducer = await this.choose(INIT_PRODUCER)
    const answer = await this.#ask((connection) =>
      answered(initProducer.async(connection, null, 0, -1n, -1)),
    )
    check(answer.errorCode)
    return answer
  }

  close(): void {
    closePool(this.#control)
  }

  async #listOffset(topic: Topic, partition: number, timestamp: bigint): Promise<number> {
    const connection = await this.connectionTo(this.#control, leaderOf(topic, partition))
    const listOffsets = await this.choose(LIST_OFFSETS)
    const partitions = [{ partitionIndex: partition, currentLeaderEpoch: -1, timestamp }]
    const answer = await answered(
      listOffsets.async(connection, -1, READ_UNCOMMITTED, [{ name: topic.name, partitions }]),
    )
    const found = answer.topics[0]?.partitions[0]
    check(found?.errorCode)
    return Number(found?.offset ?? -1)
  }

  async #loadTopic(name: string): Promise<Topic> {
    const [topic] = await this.#loadMetadata([name])
    if (topic === undefined) throw new LogError('not-found', `there is no topic ${name}`)
    this.#topics.set(name, topic)
    return topic
  }

  async #loadMetadata(names: string[] | null): Promise<Topic[]> {
    const metadata = await this.choose(METADATA)
    const answer = await this.#ask((connection) =>
      answered(metadata.async(connection, names, false, false)),
    )
    this.#brokers = new Map(answer.brokers.map((broker) => [broker.nodeId, broker]))
    if (names !== null) for (const { errorCode } of answer.topics) check(errorCode)
    const loadedAtMs = Date.now()
    return answer.topics
      .filter(({ isInternal, errorCode }) => !isInternal && errorCode === 0)
      .map(({ name, topicId, partitions }) => ({
        name: name ?? '',
        id: topicId ?? '',
        leaders: partitions
          .toSorted((a, b) => a.partitionIndex - b.partitionIndex)
          .map(({ leaderId }) => leaderId),
        replicas: partitions[0]?.replicaNodes.length ?? 1,
        loadedAtMs,
      }))
  }

  /** Asks the broker that answered last; after a failure the next one in turn. */
  async #ask<Answer>(question: (connection: Connection) => Promise<Answer>): Promise<Answer> {
    const brokers = [...this.target.brokers, ...this.#brokers.values()]
    const first = this.#turn % brokers.length
    try {
      const inTurn = [...brokers.slice(first), ...brokers.slice(0, first)]
      return await question(await this.#control.getFirstAvailable(inTurn))
    } catch (error) {
      this.#turn++
      throw error
    }
  }
}

/** The answer also where the library makes an error of it, for an error code somewhere in it. */
export async function answered<Answer>(answer: Promise<Answer>): Promise<Answer> {
  try {
    return await answer
  } catch (error) {
    if (error instanceof ResponseError && error.response !== undefined) return error.response
    throw error
  }
}

/** @throws ProtocolError for the error code of an answer; undefined is an answer that lacks it */
export function check(errorCode: number | undefined, words?: string | null): void {
  if (errorCode !== 0) throw new ProtocolError(errorCode ?? -1, words ?? null)
}

/** @throws LogError 'not-found' where the topic has no such partition */
export function mustHave({ name, leaders }: Topic, partition: number): void {
  if (partition < leaders.length) return
  const last = leaders.length - 1
  throw new LogError('not-found', `topic ${name} has partitions 0 to ${last}, not ${partition}`)
}

/** @throws LogError 'not-found', or 'unavailable' while a leader is being chosen */
export function leaderOf(topic: Topic, partition: number): number {
  mustHave(topic, partition)
  const leader = topic.leaders[partition] ?? -1
  if (leader >= 0) return leader
  throw new LogError('unavailable', `partition ${partition} of ${topic.name} has no leader now`)
}

/** Ends connections at once, also those to a broker that hangs. */
export function closePool(pool: ConnectionPool): void {
  const sockets = Array.from(pool, ([, { socket }]) => socket)
  pool.close().catch(() => {})
  for (const socket of sockets) socket?.destroy()
}
