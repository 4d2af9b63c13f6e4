/** What each server says of records, what the sinks make of it, and what is sent again. */
import { describe, expect, test } from 'bun:test'
import { Kafka } from '@upstash/kafka'
import { openSink } from '../edge/sinks/open-sink.ts'
import type { Outcome } from '../edge/sinks/sink.ts'
import { AMPLE_MS, produce, recordsOf } from './sink-calls.ts'
import { SERVER_KINDS, type ServerKind, startServer } from './sink-servers.ts'
import type { Fault, Verdict } from './sink-wire.ts'

describe.each(SERVER_KINDS)('%s', (kind) => {
  test('takes what the sink sends, key and bytes', async () => {
    using server = await startServer(kind)
    expect(await produce(server, 'abc', AMPLE_MS)).toMatchObject({
      outcomes: ['ok', 'ok', 'ok'],
      lines: [],
    })
    expect(await server.held()).toEqual(
      recordsOf('abc').map(({ key, value }) => ({ key, value: Buffer.from(value).toString() })),
    )
    expect(server.sent).toEqual(['abc'])
  })

  test('is asked over one connection again and again', async () => {
    using server = await startServer(kind)
    for (const letter of 'abcde') await produce(server, letter, AMPLE_MS)
    expect(server.wire.connections).toBe(1)
  })

  test('is not asked where there is nothing to write', async () => {
    using server = await startServer(kind)
    expect((await produce(server, '', AMPLE_MS)).outcomes).toEqual([])
    expect(server.wire.connections).toBe(0)
  })
})

const GUARDED = SERVER_KINDS.filter((kind) => kind !== 'Strimzi')

test.each(GUARDED)(
  '%s takes nothing with other credentials, and the reason is told',
  async (kind) => {
    using server = await startServer(kind)
    const url = server.url.replace('key:', 'other:')
    const { outcomes, lines } = await produce({ dialect: server.dialect, url }, 'ab', 250)
    expect(outcomes).toEqual(['retry', 'retry'])
    expect(lines).toEqual([expect.stringMatching(/^2 of 2 records not taken: .* 401/)])
    expect(lines.join()).not.toContain('cret')
    expect(await server.held()).toEqual([])
  },
)

interface Scenario {
  kind: ServerKind
  says: string
  /** Default: abc. */
  letters?: string
  /** Of each request's records; where one is missing they are written. */
  verdicts: Verdict[][]
  /** How many records the first answer tells of. */
  reports?: number
  sent: string[]
  outcomes?: Outcome[]
}

const OK: Outcome[] = ['ok', 'ok', 'ok']

const SCENARIOS: Scenario[] = [
  {
    kind: 'Confluent v2',
    says: '50002, a Kafka error, and 50003, a retriable one',
    verdicts: [
      [50002, 'write', 50003],
      ['write', 50003],
    ],
    sent: ['abc', 'ac', 'c'],
  },
  {
    kind: 'Confluent v2',
    says: '40101 and 40301, our settings',
    verdicts: [[40101, 'write', 40301]],
    sent: ['abc', 'ac'],
  },
  {
    kind: 'Redpanda',
    says: '3, 6 and 19 of Kafka: no topic, no leader, no replicas',
    verdicts: [[3, 6, 19]],
    sent: ['abc', 'abc'],
  },
  {
    kind: 'Redpanda',
    says: '10, a message too large, of a large record in company, and then of it alone',
    letters: 'aBc',
    verdicts: [['write', 10, 'write'], [10]],
    sent: ['aBc', 'B'],
    outcomes: ['ok', 'reject', 'ok'],
  },
  {
    kind: 'Redpanda',
    says: '18, a list too large, of all, though each one fits',
    verdicts: [[18, 18, 18]],
    sent: ['abc', 'ab', 'c'],
  },
  {
    kind: 'Redpanda',
    says: '10 of a large record and 7, a time-out, of another',
    letters: 'aBc',
    verdicts: [['write', 10, 7], [10]],
    sent: ['aBc', 'B', 'c'],
    outcomes: ['ok', 'reject', 'ok'],
  },
  {
    kind: 'Redpanda',
    says: '10 and 18 of a small record alone, for what it batched it with',
    letters: 'a',
    verdicts: [[10], [18]],
    sent: ['a', 'a', 'a'],
    outcomes: ['ok'],
  },
  {
    kind: 'Karapace',
    says: '1 and 2 with a 422, though a third is written',
    verdicts: [['write', 1, 2]],
    sent: ['abc', 'bc'],
  },
  {
    kind: 'Strimzi',
    says: '404 and 500 with a 200',
    verdicts: [[404, 'write', 500]],
    sent: ['abc', 'ac'],
  },
  {
    kind: 'Confluent v3',
    says: '429, 500 and 40301 in its reports',
    verdicts: [[429, 500, 40301]],
    sent: ['abc', 'abc'],
  },
  {
    kind: 'Confluent v3',
    says: 'too little: its stream stops after one report',
    verdicts: [[]],
    reports: 1,
    sent: ['abc', 'bc'],
  },
  {
    kind: 'Confluent v3',
    says: '413 in a stream that was too large as a whole, and stops there',
    verdicts: [['write', 413]],
    reports: 2,
    sent: ['abc', 'b', 'c'],
  },
  {
    kind: 'Confluent v3',
    says: '42205, a payload it will not have, of a large record alone',
    letters: 'aBc',
    verdicts: [['write', 42205, 'write'], [42205]],
    sent: ['aBc', 'B'],
    outcomes: ['ok', 'reject', 'ok'],
  },
  {
    kind: 'Confluent v3',
    says: '413 of a small record alone',
    letters: 'a',
    verdicts: [[413]],
    sent: ['a', 'a'],
    outcomes: ['ok'],
  },
]

test.each(SCENARIOS)('$kind says $says: only what failed is sent again', async (scenario) => {
  const { kind, letters = 'abc', verdicts, reports, sent, outcomes = OK } = scenario
  const told = (at: number) => (at === 0 && reports !== undefined ? { reports } : {})
  const faults = verdicts.map(
    (list, at): Fault => ({ kind: 'records', verdicts: list, ...told(at) }),
  )
  using server = await startServer(kind, faults)
  expect((await produce(server, letters, AMPLE_MS)).outcomes).toEqual(outcomes)
  expect(server.sent).toEqual(sent)
  const written = recordsOf(letters).filter((_, at) => outcomes[at] === 'ok')
  expect((await server.held()).map(({ key }) => key).sort()).toEqual(written.map(({ key }) => key))
})

const HTML = '<!doctype html><title>502 Bad Gateway</title>'
const json = (error_code: number): string => JSON.stringify({ error_code, message: 'no' })

/** Whole answers that every dialect takes alike: an operator mends them, or time does. */
const RETRIED: [number, string][] = [
  [200, HTML],
  [200, ''],
  [200, '{}'],
  [200, '[]'],
  [200, 'null'],
  [200, '{"offsets":[]}'],
  [200, '{"offsets":[{"offset":0},{"offset":1}]}'],
  [200, '[{"offset":-1}]'],
  [200, '[{"offset":"0"}]'],
  [200, '{"offsets":[{"partition":0}]}'],
  [200, '{"offsets":[{"partition":0,"offset":null,"error_code":null}]}'],
  [200, '{"offsets":[{"offset":0,"error_code":50003}]}'],
  [200, '{"error_code":200}'],
  [200, '{"error_code":500,"offset":0}'],
  [200, '{"error_code":200,"offset":1}{"error_code":200,"offset":2}'],
  [200, '{"error_code":200,"offset":1'],
  [204, ''],
  [207, '{"error_code":200,"offset":1}'],
  [302, HTML],
  [400, json(400)],
  [400, json(42205)],
  [401, json(40101)],
  [403, json(40301)],
  [404, json(40401)],
  [408, json(408)],
  [415, json(415)],
  [422, json(422)],
  [422, HTML],
  [429, json(429)],
  [500, json(50002)],
  [500, '{"offsets":[{"offset":0}]}'],
  [500, '[{"offset":0}]'],
  [500, '{"error_code":200,"offset":0}'],
  [502, HTML],
  [503, json(503)],
  [504, ''],
]

const REFUSED: [ServerKind, number, string][] = [
  ['broker', 413, '{"error":"a record has at most 1048588 bytes","status":413}'],
  ['broker', 413, HTML],
  ['Confluent v2', 413, HTML],
  ['Confluent v2', 422, json(42205)],
  ['Karapace', 422, json(42201)],
  ['Confluent v3', 413, json(413)],
  ['Confluent v3', 422, json(42206)],
]

describe.each(['broker', 'Confluent v2', 'Confluent v3'] as const)('%s', (kind) => {
  test.concurrent.each(RETRIED)(
    'an answer of %i %s is no proof: it is sent again',
    async (status, body) => {
      const headers = { location: '/elsewhere' }
      using server = await startServer(kind, [{ kind: 'reply', reply: { status, body, headers } }])
      expect((await produce(server, 'a', AMPLE_MS)).outcomes).toEqual(['ok'])
      expect(server.sent).toEqual(['a'])
      expect(await server.held()).toHaveLength(1)
    },
  )
})

describe.each(REFUSED)('%s answers %i %s:', (kind, status, body) => {
  const reply: Fault = { kind: 'reply', reply: { status, body } }

  test('a large record is not sent again', async () => {
    using server = await startServer(kind, [reply])
    expect(await produce(server, 'A', AMPLE_MS)).toMatchObject({
      outcomes: ['reject'],
      lines: [expect.stringContaining(`answered ${status}`)],
    })
    expect(server.sent).toEqual([])
  })

  test('a small one is', async () => {
    using server = await startServer(kind, [reply, reply])
    expect(await produce(server, 'a', AMPLE_MS)).toMatchObject({ outcomes: ['ok'], lines: [] })
    expect(server.sent).toEqual(['a'])
  })
})

test('one record that is refused costs none of its neighbours', async () => {
  using server = await startServer('Confluent v2')
  const letters = 'abcdefghijKlmnop'
  server.refuses = 'K'
  const { outcomes } = await produce(server, letters, AMPLE_MS)
  expect(outcomes).toEqual([...letters].map((letter) => (letter === 'K' ? 'reject' : 'ok')))
  expect(
    (await server.held())
      .map(({ value }) => value)
      .sort()
      .join(''),
  ).toBe('abcdefghijlmnop')
})

test('a record that is too large for our broker is refused, its neighbours are written', async () => {
  using server = await startServer('broker')
  const records = recordsOf('ab')
  const large = { key: 'large', value: new Uint8Array(900_000) }
  const sink = openSink(server.dialect, server.url, () => {})
  expect(await sink.produce('raw', [...records, large], AMPLE_MS)).toEqual(['ok', 'ok', 'reject'])
  expect(await server.held()).toHaveLength(2)
})

test("the sink's records are those that Upstash's own client writes", async () => {
  // Its client mangles what is not ASCII.
  using server = await startServer('broker', [], 'ascii')
  const { username, password, origin } = new URL(server.url)
  const credentials = { username, password: decodeURIComponent(password) }
  const sdk = new Kafka({ url: origin, ...credentials }).producer()
  await sdk.produceMany(
    recordsOf('ab').map(({ key, value }) => ({ topic: 'raw', key, value: value.toBase64() })),
  )
  await produce(server, 'ab', AMPLE_MS)
  const held = await server.held()
  expect(held.slice(0, 2)).toEqual(held.slice(2))
})
