/** The log interface on a real Kafka. */
import { afterAll, beforeAll, expect, test } from 'bun:test'
import { randomBytes } from 'node:crypto'
import { Admin, ConfigResourceTypes, Producer } from '@platformatic/kafka'
import { LogError } from '../broker/error.ts'
import { type KafkaLog, openKafka } from '../broker/kafka.ts'
import type { LogRecord } from '../broker/log.ts'
import { partitionOf } from '../core/partition.ts'
import { kafka, onKafka } from './kafka-server.ts'

let log: KafkaLog
let admin: Admin
let url: string
let topics = 0

/** A topic of its own. */
async function newTopic(partitions = 1): Promise<string> {
  const topic = `t${++topics}`
  await log.createTopics({ [topic]: partitions })
  return topic
}

const text = ({ value }: LogRecord): string =>
  typeof value === 'string' ? value : new TextDecoder().decode(value)

const values = (count: number): { value: string; partition: number }[] =>
  Array.from({ length: count }, (_, index) => ({ value: `v${index}`, partition: 0 }))

async function refusal(promise: Promise<unknown>): Promise<LogError> {
  const error = await promise.then(
    () => undefined,
    (reason) => reason,
  )
  if (error instanceof LogError) return error
  throw new Error(`no LogError: ${error}`)
}

async function readAll(topic: string): Promise<LogRecord[]> {
  const all: LogRecord[] = []
  for (;;) {
    const records = await log.read(topic, 0, (all.at(-1)?.offset ?? -1) + 1)
    if (records.length === 0) return all
    all.push(...records)
  }
}

async function settings(topic: string): Promise<Record<string, unknown>> {
  const resources = [{ resourceType: ConfigResourceTypes.TOPIC, resourceName: topic }]
  const [described] = await admin.describeConfigs({ resources })
  return Object.fromEntries((described?.configs ?? []).map(({ name, value }) => [name, value]))
}

/** Text that does not get smaller. */
const noise = (length: number): string => randomBytes(length).toString('base64').slice(0, length)

const nothing: LogRecord = {
  topic: '',
  partition: 0,
  offset: 0,
  timestamp: 0,
  key: null,
  value: '',
}
const nobody = Promise.resolve()

onKafka('a native Kafka as a log', () => {
  beforeAll(async () => {
    url = (await kafka()).url
    log = openKafka(url)
    admin = new Admin({ clientId: 'test', bootstrapBrokers: [url.slice('kafka://'.length)] })
  }, 120_000)
  afterAll(async () => {
    log?.close()
    await admin?.close()
  })

  test('what is appended is read, in order, with its key, offset and append time', async () => {
    const topic = await newTopic()
    const before = Date.now()
    const appended = await log.append(topic, [
      { value: 'one', key: 'a' },
      { value: '', partition: 0 },
      { value: 'zwölf ✓' },
    ])
    expect(appended.map(({ offset }) => offset)).toEqual([0, 1, 2])
    const records = await log.read(topic, 0, 0)
    expect(records.map(text)).toEqual(['one', '', 'zwölf ✓'])
    expect(records.map(({ key }) => key)).toEqual(['a', null, null])
    expect(records.map(({ value }) => value.constructor)).toEqual(Array(3).fill(Uint8Array))
    for (const [at, { partition, offset, timestamp }] of records.entries()) {
      expect(appended[at]).toEqual({ topic, partition, offset, timestamp })
      expect(timestamp).toBeGreaterThanOrEqual(before)
      expect(timestamp).toBeLessThanOrEqual(Date.now())
    }
    expect((await log.read(topic, 0, 2)).map(text)).toEqual(['zwölf ✓'])
  })

  test('a key decides the partition, as for every Kafka client', async () => {
    const topic = await newTopic(5)
    const keys = Array.from({ length: 20 }, (_, index) => `app-${index}`)
    const appended = await log.append(
      topic,
      keys.map((key) => ({ key, value: key })),
    )
    expect(appended.map(({ partition }) => partition)).toEqual(
      keys.map((key) => partitionOf(key, 5)),
    )
  })

  test('one append of many batches keeps its order, and so do appends at once', async () => {
    const topic = await newTopic()
    const many = Array.from({ length: 3_000 }, (_, index) => ({ value: `${index} ${noise(700)}` }))
    const few = Array.from({ length: 50 }, (_, index) =>
      log.append(topic, [{ value: `few${index}` }]),
    )
    const appended = [...(await log.append(topic, many)), ...(await Promise.all(few)).flat()]
    const records = await readAll(topic)
    expect(records.map(({ offset }) => offset)).toEqual(records.map((_, offset) => offset))
    const sent = [...many, ...few.map((_, index) => ({ value: `few${index}` }))]
    sent.forEach(({ value }, at) => {
      expect(text(records[appended[at]?.offset ?? -1] ?? nothing)).toBe(value)
    })
    const offsets = appended.slice(0, many.length).map(({ offset }) => offset)
    expect(offsets).toEqual(offsets.toSorted((a, b) => a - b))
  })

  for (const compression of ['none', 'gzip', 'snappy', 'lz4', 'zstd']) {
    test(`compression=${compression}: what is written is read`, async () => {
      const topic = await newTopic()
      const other = openKafka(`${url}?compression=${compression}`)
      // Compressed it is far below what a message may have, else it is far above.
      const large = other.append(topic, [{ value: 'x'.repeat(2_000_000) }])
      if (compression === 'none') expect((await refusal(large)).code).toBe('too-large')
      else await large
      await other.append(topic, [{ value: 'small' }, { value: noise(900_000) }])
      const lengths = (await readAll(topic)).map(({ value }) => value.length)
      expect(lengths).toEqual([...(compression === 'none' ? [] : [2_000_000]), 5, 900_000])
      await other.close()
    })
  }

  test('what a batch holds beyond 16 MiB comes with the next read', async () => {
    const topic = await newTopic()
    const options = { clientId: 'test', bootstrapBrokers: [url.slice('kafka://'.length)] }
    const producer = new Producer({ ...options, compression: 'lz4' })
    const send = (from: number) =>
      producer.send({
        messages: Array.from({ length: 40 }, (_, index) => {
          const value = Buffer.alloc(1_000_000, 'x')
          value.write(`${from + index};`)
          return { topic, partition: 0, value }
        }),
        acks: -1,
      })
    await send(0)
    await send(40)
    await producer.close()
    const numbers: string[] = []
    while (numbers.length < 80) {
      const records = await log.read(topic, 0, numbers.length)
      expect(records.length).toBeGreaterThan(0)
      expect(records.length).toBeLessThanOrEqual(16)
      numbers.push(...records.map((record) => text(record).split(';')[0] ?? ''))
    }
    expect(numbers).toEqual(Array.from({ length: 80 }, (_, number) => String(number)))
  })

  test('a record that is too large is refused, and costs its neighbours nothing', async () => {
    const topic = await newTopic()
    const appends = [{ value: 'a' }, { value: noise(1_100_000) }, { value: 'b' }].map((record) =>
      log.append(topic, [record]),
    )
    const results = await Promise.allSettled(appends)
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
    expect((await refusal(appends[1] ?? nobody)).code).toBe('too-large')
    expect((await readAll(topic)).map(text)).toEqual(['a', 'b'])
  })

  test('where a topic takes small batches only, an append goes in small ones', async () => {
    const topic = `t${++topics}`
    const configs = [{ name: 'max.message.bytes', value: '3000' }]
    await admin.createTopics({ topics: [topic], partitions: 1, replicas: 1, configs })
    const records = Array.from({ length: 40 }, (_, index) => ({ value: `${index} ${noise(500)}` }))
    await log.append(topic, records)
    expect((await readAll(topic)).map(text)).toEqual(records.map(({ value }) => value))
  })

  test('what does not exist is not found, and what is no text is refused', async () => {
    const topic = await newTopic()
    const codes = [
      log.append('nowhere', [{ value: 'a' }]),
      log.append(topic, [{ value: 'a', partition: 7 }]),
      log.read('nowhere', 0, 0),
      log.read(topic, 7, 0),
      log.offsetAt(topic, 7, 'latest'),
      log.append(topic, [{ value: '\ud800' }]),
    ].map(async (call) => (await refusal(call)).code)
    expect(await Promise.all(codes)).toEqual([...Array(5).fill('not-found'), 'bad-request'])
    expect(await log.offsetAt(topic, 0, 'latest')).toBe(0)
  })

  test('an offset is found of the first record, of the next, and of a time', async () => {
    const topic = await newTopic()
    expect(await log.offsetAt(topic, 0, 'earliest')).toBe(0)
    const [first] = await log.append(topic, [{ value: 'a' }])
    while (Date.now() === first?.timestamp) await Bun.sleep(1)
    const [second] = await log.append(topic, [{ value: 'b' }, { value: 'c' }])
    const at = (when: number | 'latest') => log.offsetAt(topic, 0, when)
    expect(await at('latest')).toBe(3)
    expect(await at(first?.timestamp ?? 0)).toBe(0)
    expect(await at((first?.timestamp ?? 0) + 0.5)).toBe(1)
    expect(await at(second?.timestamp ?? 0)).toBe(1)
    expect(await at((second?.timestamp ?? 0) + 1)).toBe(3)
  })

  test('what is deleted is passed over: reads go on at the earliest record', async () => {
    const topic = await newTopic()
    await log.append(topic, values(10))
    const partitions = [{ partition: 0, offset: 6n }]
    await admin.deleteRecords({ topics: [{ name: topic, partitions }] })
    expect(await log.offsetAt(topic, 0, 'earliest')).toBe(6)
    expect((await log.read(topic, 0, 2)).map(text)).toEqual(['v6', 'v7', 'v8', 'v9'])
  })

  test('a read at the end waits for a record; behind the end it ends with none', async () => {
    const topic = await newTopic()
    expect(await log.read(topic, 0, 0)).toEqual([])
    const waiting = log.read(topic, 0, 0, { waitMs: 30_000 })
    const behind = log.read(topic, 0, 100, { waitMs: 300 })
    await log.append(topic, [{ value: 'a' }])
    expect((await waiting).map(text)).toEqual(['a'])
    expect(await behind).toEqual([])
  })

  test('reads that wait hold nobody up, and end when they are told to', async () => {
    const topic = await newTopic()
    const stop = new AbortController()
    let ended = 0
    const polls = Array.from({ length: 40 }, () =>
      log.read(topic, 0, 0, { waitMs: 30_000, signal: stop.signal }).catch((reason) => {
        ended++
        return reason
      }),
    )
    const other = await newTopic()
    await log.append(other, [{ value: 'a' }])
    expect((await log.read(other, 0, 0)).map(text)).toEqual(['a'])
    expect(ended).toBe(0)
    stop.abort('enough')
    expect(await Promise.all(polls)).toEqual(Array(40).fill('enough'))
  })

  test('several partitions are read at once, as text or in base64', async () => {
    const topic = await newTopic(3)
    const places = [0, 1, 2].map((partition) => ({ topic, partition, offset: 0 }))
    const waiting = log.fetch(places, { waitMs: 30_000 })
    await log.produce([
      { topic, partition: 1, value: 'one', key: 'k', headers: [{ key: 'h', value: 'ü' }] },
      { topic, partition: 2, value: '\u0001\u0002' },
    ])
    await waiting
    const found = await log.fetch(places)
    expect(found.toSorted((a, b) => a.partition - b.partition)).toMatchObject([
      { partition: 1, value: 'one', key: 'k', headers: [{ key: 'h', value: 'ü' }] },
      { partition: 2, value: 'AQI=', key: null, headers: [] },
    ])
    expect(await log.fetch(places.map((place) => ({ ...place, offset: 1 })))).toEqual([])
  })

  test('marks of transactions are passed over', async () => {
    const topic = await newTopic()
    const options = { clientId: 'test', bootstrapBrokers: [url.slice('kafka://'.length)] }
    const producer = new Producer({ ...options, idempotent: true, transactionalId: 'tx' })
    for (const value of ['a', 'b']) {
      const transaction = await producer.beginTransaction()
      const messages = [{ topic, partition: 0, value: Buffer.from(value) }]
      await transaction.send({ messages })
      await transaction.commit()
    }
    await producer.close()
    await log.append(topic, [{ value: 'c' }])
    expect((await readAll(topic)).map(text)).toEqual(['a', 'b', 'c'])
    // Each mark took an offset: here is the second one.
    expect((await log.read(topic, 0, 3)).map(text)).toEqual(['c'])
  })

  test('topics are told with their partitions, without those of Kafka itself', async () => {
    const topic = await newTopic(3)
    await admin.findCoordinator({ keyType: 0, keys: ['a group'] })
    const all = await log.topics()
    expect(all[topic]).toBe(3)
    expect(Object.keys(all).filter((name) => name.startsWith('__'))).toEqual([])
  })

  test('a topic is made with what Shelf relies on, and mended where it lacks it', async () => {
    const made = await newTopic(2)
    const old = `t${++topics}`
    const configs = [
      { name: 'message.timestamp.type', value: 'CreateTime' },
      { name: 'retention.ms', value: '60000' },
    ]
    await admin.createTopics({ topics: [old], partitions: 1, replicas: 1, configs })
    await log.createTopics({ [old]: 3, [made]: 1 })
    const wanted = {
      'message.timestamp.type': 'LogAppendTime',
      'cleanup.policy': 'delete',
      'retention.ms': '604800000',
      'max.message.bytes': '1048588',
      'min.insync.replicas': '1',
      'compression.type': 'producer',
    }
    expect(await settings(made)).toMatchObject(wanted)
    expect(await settings(old)).toMatchObject(wanted)
    expect(await log.topics()).toMatchObject({ [made]: 2, [old]: 3 })
  })

  test('what somebody set higher stays', async () => {
    const topic = `t${++topics}`
    const configs = [{ name: 'retention.ms', value: '-1' }]
    await admin.createTopics({ topics: [topic], partitions: 1, replicas: 1, configs })
    await log.createTopics({ [topic]: 1 })
    expect(await settings(topic)).toMatchObject({ 'retention.ms': '-1' })
  })

  test('where a topic keeps the time of the producer, that is the time that is told', async () => {
    const topic = `t${++topics}`
    await admin.createTopics({ topics: [topic], partitions: 1, replicas: 1 })
    expect(await settings(topic)).toMatchObject({ 'message.timestamp.type': 'CreateTime' })
    const [appended] = await log.append(topic, [{ value: 'a' }])
    expect(await log.read(topic, 0, 0)).toMatchObject([{ timestamp: appended?.timestamp }])
  })

  test('a topic made anew is told once to who read it, and to who appended to it', async () => {
    const topic = await newTopic()
    await log.append(topic, values(5))
    const [last] = (await log.read(topic, 0, 0)).slice(-1)
    const next = (last?.offset ?? 0) + 1
    const waiting = refusal(log.read(topic, 0, next, { waitMs: 30_000 }))
    await admin.deleteTopics({ topics: [topic] })
    // Whoever asks while it is gone learns that; the poll may be among them.
    await log.createTopics({ [topic]: 1 })
    const { code } = await waiting
    expect(['replaced', 'not-found']).toContain(code)
    if (code === 'not-found') {
      expect((await refusal(log.read(topic, 0, next))).code).toBe('replaced')
    }
    expect(await log.read(topic, 0, next)).toEqual([])
    expect((await refusal(log.append(topic, [{ value: 'new' }]))).code).toBe('replaced')
    await log.append(topic, [{ value: 'newer' }])
    expect((await log.read(topic, 0, 0)).map(text)).toEqual(['newer'])
  })

  test('close ends the reads that wait, and lets appends finish', async () => {
    const topic = await newTopic()
    const other = openKafka(url)
    const waiting = other.read(topic, 0, 0, { waitMs: 30_000 })
    await other.topics()
    const append = other.append(topic, [{ value: 'last' }])
    await other.close()
    expect(await append).toMatchObject([{ offset: 0 }])
    expect((await waiting).length).toBeLessThanOrEqual(1)
    expect((await refusal(other.topics())).code).toBe('unavailable')
    expect((await refusal(other.append(topic, [{ value: 'late' }]))).code).toBe('unavailable')
  })
})
