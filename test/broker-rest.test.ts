import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Kafka } from '@upstash/kafka'
import { EmbeddedLog } from '../broker/embedded.ts'
import { brokerApp } from '../broker/server.ts'

const folder = mkdtempSync(join(tmpdir(), 'shelf-rest-'))
const log = new EmbeddedLog({
  folder,
  topics: { raw: { partitions: 4 }, aggregates: { partitions: 2 }, sdk: { partitions: 3 } },
})
const credentials = { username: 'shelf', password: 'pässword:1' }
const app = brokerApp(log, credentials)
const authorization = basic(credentials.username, credentials.password)

afterAll(() => {
  log.close()
  rmSync(folder, { recursive: true })
})

function basic(username: string, password: string): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`
}

async function call(method: string, path: string, body?: unknown, headers = { authorization }) {
  const init = typeof body === 'string' || body instanceof Blob ? body : JSON.stringify(body)
  const response = await app.request(path, { method, headers, body: init ?? null })
  return { status: response.status, json: JSON.parse(await response.text()) }
}

const post = (path: string, body?: unknown) => call('POST', path, body)
const get = (path: string) => call('GET', path)

describe('produce', () => {
  test('one record answers a list of one', async () => {
    const { status, json } = await post('/produce', { topic: 'raw', value: 'a', partition: 0 })
    expect(status).toBe(200)
    expect(json).toEqual([{ topic: 'raw', partition: 0, offset: 0, timestamp: expect.any(Number) }])
  })

  test('several records of several topics answer in their order', async () => {
    const { json } = await post('/produce', [
      { topic: 'aggregates', value: 'b', partition: 1, timestamp: 12, headers: [] },
      { topic: 'raw', value: 'c', partition: 0, key: 'k' },
      { topic: 'aggregates', value: 'd', partition: 1 },
    ])
    expect(json).toMatchObject([
      { topic: 'aggregates', partition: 1, offset: 0 },
      { topic: 'raw', partition: 0, offset: 1 },
      { topic: 'aggregates', partition: 1, offset: 1 },
    ])
  })

  test('the topic may stand in the path', async () => {
    const { json } = await post('/produce/raw', [{ value: 'e', partition: 1 }])
    expect(json).toMatchObject([{ topic: 'raw', partition: 1, offset: 0 }])
  })

  test('topic and message may stand in the path', async () => {
    const { json } = await get('/produce/raw/hello%20w%C3%B6rld%2F?key=a%26b')
    expect(json).toMatchObject({ topic: 'raw' })
    const [record] = await log.read('raw', json.partition, json.offset)
    expect(record).toMatchObject({ value: 'hello wörld/', key: 'a&b' })
  })

  test('the timestamp is append time, whatever was sent', async () => {
    const { json } = await post('/produce/raw', { value: 'x', timestamp: 1 })
    expect(Math.abs(json[0].timestamp - Date.now())).toBeLessThan(10_000)
  })

  test('a list with one wrong record writes none of them', async () => {
    const before = await log.offsetAt('raw', 3, 'latest')
    const { status } = await post('/produce', [
      { topic: 'raw', partition: 3, value: 'a' },
      { topic: 'raw', partition: 4, value: 'b' },
    ])
    expect(status).toBe(404)
    expect(await log.offsetAt('raw', 3, 'latest')).toBe(before)
  })
})

describe('fetch', () => {
  test('one place, with an empty key where there is none', async () => {
    const { json } = await post('/fetch', { topic: 'raw', partition: 0, offset: 0 })
    expect(json).toMatchObject([
      { topic: 'raw', partition: 0, offset: 0, key: '', value: 'a', headers: [] },
      { topic: 'raw', partition: 0, offset: 1, key: 'k', value: 'c', headers: [] },
    ])
  })

  test('several places, and both forms at once', async () => {
    const { json } = await post('/fetch', {
      topic: 'raw',
      partition: 0,
      offset: 1,
      topicPartitionOffsets: [{ topic: 'aggregates', partition: 1, offset: 1 }],
    })
    expect(json.map((record: { value: string }) => record.value).sort()).toEqual(['c', 'd'])
  })

  test('waits up to its timeout, and is answered when a record comes', async () => {
    expect(
      (await post('/fetch', { topic: 'sdk', partition: 0, offset: 9, timeout: 1 })).json,
    ).toEqual([])
    const waiting = post('/fetch', {
      topic: 'aggregates',
      partition: 0,
      offset: 0,
      timeout: 20_000,
    })
    await post('/produce/aggregates', { value: 'now', partition: 0 })
    expect((await waiting).json).toMatchObject([{ value: 'now' }])
  })
})

describe('offsets and topics', () => {
  test('the earliest, the latest, and the first at or after a time', async () => {
    const place = { topic: 'raw', partition: 0 }
    expect((await post('/offsets/earliest', place)).json).toEqual([{ ...place, offset: 0 }])
    expect((await post('/offsets/latest', [place])).json).toEqual([{ ...place, offset: 2 }])
    expect((await post('/offsets/0', [place])).json).toEqual([{ ...place, offset: 0 }])
    expect((await post('/offsets/9999999999999', [place])).json).toEqual([{ ...place, offset: 2 }])
  })

  test('topics are partition counts', async () => {
    expect((await get('/topics')).json).toEqual({ raw: 4, aggregates: 2, sdk: 3 })
  })

  test('health needs no credentials', async () => {
    expect((await app.request('/healthz')).status).toBe(200)
  })
})

const large = 'x'.repeat(1_048_589)
const refused: [
  name: string,
  status: number,
  answer: () => Promise<{ status: number; json: unknown }>,
][] = [
  ['no JSON', 400, () => post('/produce', '{"topic":')],
  ['no body', 400, () => post('/produce')],
  ['a GET, whose body a server does not see', 400, () => get('/fetch')],
  [
    'bytes that are not UTF-8',
    400,
    () => post('/produce', new Blob([new Uint8Array([0x22, 0xff, 0x22])])),
  ],
  ['a value that is no text', 400, () => post('/produce', { topic: 'raw', value: 1 })],
  ['no topic', 400, () => post('/produce', { value: 'a' })],
  ['a null', 400, () => post('/produce', 'null')],
  ['half a surrogate', 400, () => post('/produce/raw', '{"value":"\\ud800"}')],
  ['a negative offset', 400, () => post('/fetch', { topic: 'raw', partition: 0, offset: -1 })],
  ['a fetch from nowhere', 400, () => post('/fetch', {})],
  ['a fetch with no offset', 400, () => post('/fetch', { topic: 'raw', partition: 0 })],
  ['offsets at no time', 400, () => post('/offsets/tomorrow', { topic: 'raw', partition: 0 })],
  ['no credentials', 401, () => call('GET', '/topics', undefined, { authorization: '' })],
  [
    'a wrong password',
    401,
    () => call('GET', '/topics', undefined, { authorization: basic('shelf', 'x') }),
  ],
  [
    'a wrong user',
    401,
    () => call('GET', '/topics', undefined, { authorization: basic('x', credentials.password) }),
  ],
  ['an unknown topic', 404, () => post('/produce/nope', { value: 'a' })],
  ['an unknown partition', 404, () => post('/fetch', { topic: 'raw', partition: 4, offset: 0 })],
  ['an unknown path', 404, () => get('/nope')],
  ['a record over 1 MiB', 413, () => post('/produce/raw', { value: large })],
  ['a body over 16 MiB', 413, () => post('/produce/raw', `{"value":"${'x'.repeat(17_000_000)}"}`)],
  ['too many records', 413, () => post('/produce/raw', Array(10_001).fill({ value: '' }))],
  ['a consumer group', 501, () => get('/consume/group/instance/raw')],
  ['a commit', 501, () => post('/commit/group/instance', [])],
  ['committed offsets', 501, () => post('/committed/group/instance', [])],
  ['a list of groups', 501, () => get('/consumers')],
]

test.each(refused)('%s is refused as {error, status}: %p', async (_, status, answer) => {
  const response = await answer()
  expect(response).toEqual({ status, json: { error: expect.any(String), status } })
})

describe('the unmodified Upstash client', () => {
  let server: ReturnType<typeof Bun.serve>
  let kafka: Kafka

  beforeAll(() => {
    server = Bun.serve({ hostname: '127.0.0.1', port: 0, fetch: app.fetch })
    // Its own base64 knows Latin-1 only, so its password is ASCII.
    const ascii = brokerApp(log, { username: 'shelf', password: 'ascii' })
    server.reload({ fetch: ascii.fetch })
    kafka = new Kafka({ url: server.url.href, username: 'shelf', password: 'ascii' })
  })
  afterAll(() => server.stop(true))

  test('produces one and many', async () => {
    const producer = kafka.producer()
    expect(await producer.produce('sdk', { a: 1 }, { partition: 0 })).toMatchObject({ offset: 0 })
    const many = await producer.produceMany([
      { topic: 'sdk', value: 'x', partition: 0, headers: [{ key: 'h', value: 'v' }] },
      { topic: 'sdk', value: 'y', partition: 1, key: 'k', timestamp: 1 },
    ])
    expect(many.map(({ partition, offset }) => [partition, offset])).toEqual([
      [0, 1],
      [1, 0],
    ])
  })

  test('fetches one place, several in parallel, and several at once', async () => {
    const consumer = kafka.consumer()
    const place = { topic: 'sdk', partition: 0, offset: 0, timeout: 100 }
    const one = await consumer.fetch(place)
    expect(one.map(({ value, headers }) => [value, headers])).toEqual([
      ['{"a":1}', []],
      ['x', [{ key: 'h', value: 'v' }]],
    ])
    const topicPartitionOffsets = [0, 1, 2].map((partition) => ({
      topic: 'sdk',
      partition,
      offset: 0,
    }))
    for (const parallel of [true, false]) {
      const all = await consumer.fetch({ topicPartitionOffsets, timeout: 100 }, { parallel })
      expect(all.map(({ value }) => value).sort()).toEqual(['x', 'y', '{"a":1}'])
    }
  })

  test('asks for topics and offsets', async () => {
    const admin = kafka.admin()
    expect(await admin.topics()).toMatchObject({ sdk: 3 })
    const topicPartition = { topic: 'sdk', partition: 0 }
    for (const [timestamp, offset] of [
      ['earliest', 0],
      ['latest', 2],
      [Date.now() + 60_000, 2],
    ] as const) {
      expect(await admin.topicPartitionOffsets({ timestamp, topicPartition })).toEqual([
        { ...topicPartition, offset },
      ])
    }
  })
})
