/** Makes topics on a Kafka, with the settings that the design relies on. */

import {
  Admin,
  ConfigResourceTypes,
  findErrorBy,
  IncrementalAlterConfigOperationTypes,
} from '@platformatic/kafka'
import { LogError } from './error.ts'
import { CLIENT_ID, type KafkaClient, type Topic } from './kafka-client.ts'
import { logErrorOf } from './kafka-error.ts'
import { patiently } from './kafka-patience.ts'

/** As long as the embedded log keeps records: 7 days. */
const RETENTION_MS = 168 * 3_600_000
/** Kafka's default; records of Shelf stay below it. */
const MESSAGE_BYTES_MAX = 1_048_588
/** Until a topic that was made shows. */
const MADE_MS = 10_000
/** Copies from which on a write must be in two of them. */
const REPLICAS_SAFE = 3

/** Must be so: chunks are cut by append time, and nothing is taken out of the middle. */
const EXACTLY = { 'message.timestamp.type': 'LogAppendTime', 'cleanup.policy': 'delete' }

/** Must be that much at least: what somebody set higher stays. */
const atLeast = (replicas: number): Record<string, number> => ({
  'retention.ms': RETENTION_MS,
  'max.message.bytes': MESSAGE_BYTES_MAX,
  'min.insync.replicas': replicas >= REPLICAS_SAFE ? 2 : 1,
})

/**
 * Makes absent topics, with as many copies as the brokers' default says; adds partitions; mends
 * settings.
 * @throws LogError 'bad-request' or 'unauthorized' with what to do by hand, where Kafka refuses
 */
export async function createKafkaTopics(
  client: KafkaClient,
  wanted: Readonly<Record<string, number>>,
  answerMs: number,
): Promise<void> {
  const { brokers, sasl, tls } = client.target
  const admin = new Admin({
    clientId: CLIENT_ID,
    bootstrapBrokers: brokers,
    connectTimeout: answerMs,
    requestTimeout: answerMs,
    timeout: answerMs,
    retries: 2,
    ...(sasl && { sasl }),
    ...(tls && { tls }),
  })
  admin.connections.on('connecting', ({ connection }) => connection.on('error', () => {}))
  try {
    for (const [name, partitions] of Object.entries(wanted)) {
      const deadlineMs = performance.now() + MADE_MS
      await patiently(`make topic ${name}`, { deadlineMs }, () =>
        createOne(client, admin, name, partitions),
      )
    }
  } finally {
    await admin.close().catch(() => {})
  }
}

async function createOne(
  client: KafkaClient,
  admin: Admin,
  name: string,
  partitions: number,
): Promise<void> {
  const known = (await client.topics()).find((topic) => topic.name === name)
  const many = `${partitions} partitions`
  if (known === undefined) {
    await explained(`make topic ${name} with ${many}`, () => create(admin, name, partitions))
  } else if (known.leaders.length < partitions) {
    await explained(`give topic ${name} ${many}`, () =>
      admin.createPartitions({ topics: [{ name, count: partitions, assignments: null }] }),
    )
  }
  const made = await untilMade(client, name, partitions)
  await mend(admin, made).catch((error) => {
    if (!(error instanceof LogError) || error.code !== 'not-found') throw error
    // What showed was one that somebody had deleted a moment before.
    throw new LogError('unavailable', `topic ${name} is gone again`)
  })
}

/** Somebody else may make it at the same time. */
async function create(admin: Admin, topic: string, partitions: number): Promise<void> {
  const settings = { ...EXACTLY, ...atLeast(1), 'compression.type': 'producer' }
  const configs = Object.entries(settings).map(([name, value]) => ({ name, value: String(value) }))
  await admin.createTopics({ topics: [{ topic, partitions }], configs }).catch((error) => {
    if (findErrorBy(error, 'apiId', 'TOPIC_ALREADY_EXISTS') === null) throw error
  })
}

/** Brokers get to know a topic a little after it was made. */
async function untilMade(client: KafkaClient, name: string, partitions: number): Promise<Topic> {
  return patiently(`find topic ${name}`, { deadlineMs: performance.now() + MADE_MS }, async () => {
    const topic = (await client.topics()).find((each) => each.name === name)
    client.forget(name)
    if (topic !== undefined && topic.leaders.length >= partitions) return topic
    throw new LogError('unavailable', `topic ${name} is not there yet`)
  })
}

/** Sets what is not as it must be. */
async function mend(admin: Admin, { name, replicas }: Topic): Promise<void> {
  const wanted = { ...EXACTLY, ...atLeast(replicas) }
  const keys = Object.keys(wanted)
  const resource = { resourceType: ConfigResourceTypes.TOPIC, resourceName: name }
  const [described] = await explained(`see the settings of topic ${name}`, () =>
    admin.describeConfigs({ resources: [{ ...resource, configurationKeys: keys }] }),
  )
  const found = new Map(described?.configs.map((config) => [config.name, config.value ?? '']))
  const wrong = Object.entries(wanted).filter(([key, value]) => !suffices(found.get(key), value))
  if (wrong.length === 0) return
  const settings = wrong.map(([key, value]) => `${key}=${value}`).join(' ')
  const configs = wrong.map(([key, value]) => ({
    name: key,
    value: String(value),
    configOperation: IncrementalAlterConfigOperationTypes.SET,
  }))
  await explained(`set ${settings} for topic ${name}`, () =>
    admin.incrementalAlterConfigs({ resources: [{ ...resource, configs }] }),
  )
}

/** A number suffices from the wanted one on; -1 stands for no limit. */
function suffices(found: string | undefined, wanted: string | number): boolean {
  if (typeof wanted === 'string') return found === wanted
  return Number(found) >= wanted || found === '-1'
}

/** @throws LogError with the words of what Kafka refused, for somebody to do it by hand */
async function explained<T>(doing: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw logErrorOf(doing, error)
  }
}
