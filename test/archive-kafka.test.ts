/** The archive of a real Kafka: the same bytes as of the embedded log. */
import { afterEach, expect, test } from 'bun:test'
import { Admin, Producer } from '@platformatic/kafka'
import { archiveLog } from '../batch/archive-log.ts'
import { locateArchive } from '../batch/archive-store.ts'
import { openKafka } from '../broker/kafka.ts'
import type { Log, LogRecord } from '../broker/log.ts'
import {
  allOf,
  archived,
  contentOf,
  HOURS,
  hourStart,
  logOfHours,
  temporaryFolder,
} from './archive-places.ts'
import { kafka, onKafka } from './kafka-server.ts'

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

/** A log whose topics have other names in the Kafka, which tests share. */
function renamed(log: Log): Log {
  const name = (topic: string) => `archive-${topic}`
  const own = (records: LogRecord[]) => records.map((record) => ({ ...record, topic: 'raw' }))
  return {
    ...log,
    topics: async () => ({ raw: (await log.topics())['archive-raw'] ?? 0 }),
    read: async (topic, ...rest) => own(await log.read(name(topic), ...rest)),
    offsetAt: (topic, ...rest) => log.offsetAt(name(topic), ...rest),
    append: (topic, records) => log.append(name(topic), records),
    createTopics: (wanted) => log.createTopics(wanted),
  }
}

function newStore() {
  const { folder, remove } = temporaryFolder()
  cleanups.push(remove)
  return locateArchive({ SHELF_ARCHIVE: folder })
}

onKafka('the archive of a native Kafka', () => {
  test('text and bytes of one input are the same files as on the embedded log, and read back', async () => {
    const { url } = await kafka()
    const embedded = await logOfHours(40)
    cleanups.push(() => embedded.close())
    const bootstrapBrokers = [url.slice('kafka://'.length)]
    const admin = new Admin({ clientId: 'test', bootstrapBrokers })
    cleanups.push(() => admin.close())
    // The producer's times, so that they are those of the embedded log.
    await admin.createTopics({
      topics: ['archive-raw', 'archive-aggregates'],
      partitions: 1,
      replicas: 1,
      configs: [{ name: 'message.timestamp.type', value: 'CreateTime' }],
    })
    const producer = new Producer({ clientId: 'test', bootstrapBrokers })
    cleanups.push(() => producer.close())
    for (const [at, { key, value, timestamp }] of (await embedded.all('raw')).entries()) {
      if (typeof value !== 'string') throw new Error('the embedded log carries text')
      // As a dialect of text produces it, and as one of bytes does.
      const bytes = at % 2 === 0 ? Buffer.from(value) : Buffer.from(value, 'base64')
      const message = { topic: 'archive-raw', partition: 0, value: bytes }
      const sent = { ...message, key: Buffer.from(key ?? ''), timestamp: BigInt(timestamp) }
      await producer.send({ messages: [sent], acks: -1 })
    }
    const native = openKafka(url)
    cleanups.push(() => native.close())
    const log = renamed(native)
    const [one, two] = [newStore(), newStore()]
    expect((await archived(embedded, one)).length).toBe(HOURS)
    expect((await archived(log, two)).length).toBe(HOURS)
    expect(await contentOf(two)).toEqual(await contentOf(one))

    const joined = archiveLog(two, 0, log)
    expect(await allOf(joined)).toEqual(await allOf(log))
    expect(await joined.offsetAt('raw', 0, hourStart(1))).toBe(
      await log.offsetAt('raw', 0, hourStart(1)),
    )
    expect(await joined.holes(0)).toEqual([])
  })
})
