/** A native Kafka that dies, hangs, or whose answers get lost. */
import { afterAll, beforeAll, expect, test } from 'bun:test'
import { LogError } from '../broker/error.ts'
import { type KafkaLog, openKafka } from '../broker/kafka.ts'
import { startProxy } from './kafka-proxy.ts'
import { type KafkaServer, kafka, onKafka } from './kafka-server.ts'
import { until } from './stack.ts'

/** Short ones: so that the tests are. */
const IMPATIENT = { answerMs: 400, appendMs: 1_500 }

let server: KafkaServer
let log: KafkaLog
let topics = 0

async function newTopic(): Promise<string> {
  const topic = `fault${++topics}`
  await log.createTopics({ [topic]: 1 })
  return topic
}

async function readAll(topic: string): Promise<string[]> {
  const all: string[] = []
  for (;;) {
    const records = await log.read(topic, 0, all.length)
    if (records.length === 0) return all
    for (const { value } of records) all.push(new TextDecoder().decode(value))
  }
}

const codeOf = (call: Promise<unknown>): Promise<string> =>
  call.then(
    () => 'done',
    (error) => (error instanceof LogError ? error.code : String(error)),
  )

/** Appends one record after the other until told to stop; tells which of them are answered. */
function writer(log: KafkaLog, topic: string, name: string) {
  const answered = new Map<string, number>()
  let stopped = false
  async function run(): Promise<void> {
    for (let count = 0; !stopped; count++) {
      const value = `${name} ${count}`
      const [appended] = await log.append(topic, [{ value }]).catch(() => [undefined])
      if (appended !== undefined) answered.set(value, appended.offset)
      else await Bun.sleep(20)
    }
  }
  const running = run()
  return {
    answered,
    async stop() {
      stopped = true
      await running
    },
  }
}

onKafka('a native Kafka with faults', () => {
  beforeAll(async () => {
    server = await kafka()
    log = openKafka(server.url)
  }, 120_000)
  afterAll(async () => {
    await log?.close()
  })

  test('kill -9 while appends are under way: what was answered is there, and nothing twice', async () => {
    const topic = await newTopic()
    const writers = ['a', 'b', 'c'].map((name) => writer(log, topic, name))
    const count = () => writers.reduce((sum, { answered }) => sum + answered.size, 0)
    await until('some records', async () => count() > 100)
    await server.kill()
    const before = count()
    await server.restart()
    await until('appends to go on', async () => count() > before + 100)
    for (const each of writers) await each.stop()
    const values = await readAll(topic)
    expect(new Set(values).size).toBe(values.length)
    for (const { answered } of writers) {
      for (const [value, offset] of answered) expect(values[offset]).toBe(value)
    }
  })

  test('an answer that got lost: the batch is tried again, and is written once', async () => {
    const topic = await newTopic()
    const { port, proxyPort } = server.behind
    const proxy = await startProxy(proxyPort, port)
    const behind = openKafka(`kafka://127.0.0.1:${proxyPort}`)
    try {
      await behind.append(topic, [{ value: 'first' }])
      for (const [round, lost] of [1, 2, 3].entries()) {
        proxy.lose(lost)
        const value = `round ${round}`
        const appended = await behind.append(topic, [{ value }, { value }])
        const offset = 1 + 2 * round
        expect(appended.map((each) => each.offset)).toEqual([offset, offset + 1])
        const [record] = await log.read(topic, 0, offset)
        expect(record?.timestamp).toBe(appended[0]?.timestamp ?? Number.NaN)
      }
      expect(proxy.lost).toBe(6)
      expect((await readAll(topic)).length).toBe(7)
    } finally {
      await behind.close()
      proxy.close()
    }
  })

  test('reads that are aborted leave no connection behind', async () => {
    const topic = await newTopic()
    const { port, proxyPort } = server.behind
    const proxy = await startProxy(proxyPort, port)
    const behind = openKafka(`kafka://127.0.0.1:${proxyPort}`)
    try {
      expect(await behind.read(topic, 0, 0)).toEqual([])
      const before = proxy.open
      const stop = new AbortController()
      const options = { waitMs: 30_000, signal: stop.signal }
      const polls = Array.from({ length: 20 }, () =>
        behind.read(topic, 0, 0, options).catch((reason) => reason),
      )
      await until('their connections', async () => proxy.open >= before + 19)
      stop.abort('enough')
      expect(new Set(await Promise.all(polls))).toEqual(new Set(['enough']))
      const abortedMs = performance.now()
      await until('none of them', async () => proxy.open <= before)
      expect(performance.now() - abortedMs).toBeLessThan(20_000)
      await behind.append(topic, [{ value: 'a' }])
      expect(await behind.read(topic, 0, 0)).toHaveLength(1)
    } finally {
      await behind.close()
      proxy.close()
    }
  })

  test('after an append that was given up, the next one is written, and is no repeat', async () => {
    const topic = await newTopic()
    const { port, proxyPort } = server.behind
    const proxy = await startProxy(proxyPort, port)
    const behind = openKafka(`kafka://127.0.0.1:${proxyPort}`, IMPATIENT)
    try {
      await behind.append(topic, [{ value: 'first' }])
      proxy.lose(Number.POSITIVE_INFINITY)
      const given = await codeOf(behind.append(topic, [{ value: 'given up' }]))
      expect(['timeout', 'unreachable']).toContain(given)
      proxy.lose(0)
      await behind.append(topic, [{ value: 'next' }])
      // As long as the one before: numbers alone would not tell them apart.
      await behind.append(topic, [{ value: 'last' }])
      expect(await readAll(topic)).toEqual(['first', 'given up', 'next', 'last'])
    } finally {
      await behind.close()
      proxy.close()
    }
  })

  test('a broker that hangs: reads and appends give up in time, and go on after', async () => {
    const topic = await newTopic()
    const impatient = openKafka(server.url, IMPATIENT)
    await impatient.append(topic, [{ value: 'before' }])
    const poll = codeOf(impatient.read(topic, 0, 1, { waitMs: 200 }))
    await poll
    server.freeze()
    try {
      const startMs = performance.now()
      const codes = await Promise.all([
        codeOf(impatient.append(topic, [{ value: 'during' }])),
        codeOf(impatient.read(topic, 0, 0)),
        codeOf(impatient.read(topic, 0, 1, { waitMs: 500 })),
        codeOf(impatient.offsetAt(topic, 0, 'latest')),
        codeOf(impatient.topics()),
      ])
      expect(new Set(codes)).toEqual(new Set(['timeout']))
      expect(performance.now() - startMs).toBeLessThan(10_000)
    } finally {
      server.thaw()
    }
    await until('an append', () => impatient.append(topic, [{ value: 'after' }]))
    expect((await impatient.read(topic, 0, 0)).length).toBeGreaterThan(1)
    const values = await readAll(topic)
    expect(values.filter((value) => value === 'during').length).toBeLessThanOrEqual(1)
    expect(values.at(0)).toBe('before')
    await impatient.close()
  })

  test('a broker that is away: an append is refused with nothing written; then all goes on', async () => {
    const topic = await newTopic()
    const impatient = openKafka(server.url, IMPATIENT)
    await impatient.append(topic, [{ value: 'before' }])
    await server.kill()
    expect(await codeOf(impatient.read(topic, 0, 0))).toBe('unreachable')
    // By now its connections are known to be gone.
    expect(await codeOf(impatient.append(topic, [{ value: 'during' }]))).toBe('unavailable')
    expect(await codeOf(impatient.topics())).toBe('unreachable')
    await server.restart()
    await until('an append', () => impatient.append(topic, [{ value: 'after' }]))
    expect(await readAll(topic)).toEqual(['before', 'after'])
    await impatient.close()
  })
})
