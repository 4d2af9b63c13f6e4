/** The gateway as a process: the REST dialect over a real Kafka. */
import { afterAll, beforeAll, expect, test } from 'bun:test'
import { Kafka } from '@upstash/kafka'
import { restLog } from '../broker/client.ts'
import { type KafkaLog, openKafka } from '../broker/kafka.ts'
import { decodeBurst } from '../core/burst.ts'
import { APP, body, postDrain, request, startEdge } from './edge.ts'
import { type KafkaServer, kafka, onKafka } from './kafka-server.ts'
import { freePort } from './sql-server.ts'
import { shelf, until } from './stack.ts'

/** The edge gives a drain request 4 s in all. */
const EDGE_MS = 4_000

interface Gateway {
  url: string
  log: ReturnType<typeof restLog>
  /** What it said on stderr so far. */
  said(): string
  /** Ends it, and gives its exit code. */
  stop(): Promise<number>
}

async function startGateway(logUrl: string): Promise<Gateway> {
  const child = shelf(['gateway'], {
    SHELF_LOG: logUrl,
    SHELF_BROKER_PASSWORD: 'secret',
    SHELF_BROKER_PORT: '0',
  })
  let said = ''
  const reading = (async () => {
    for await (const chunk of child.stderr.pipeThrough(new TextDecoderStream())) said += chunk
  })()
  const found = until('the gateway', async () => /ready at http:\/\/([\d.]+:\d+)/.exec(said)?.[1])
  const host = await Promise.race([found, child.exited.then(() => reading)])
  if (typeof host !== 'string') throw new Error(`the gateway ended: ${said}`)
  const url = `http://shelf:secret@${host}`
  return {
    url,
    log: restLog({ url }),
    said: () => said,
    async stop() {
      child.kill('SIGTERM')
      return child.exited
    },
  }
}

onKafka('the gateway', () => {
  let server: KafkaServer
  let log: KafkaLog
  const gateways: Gateway[] = []
  let topics = 0

  const newTopic = async (partitions: number): Promise<string> => {
    const topic = `gateway${++topics}`
    await log.createTopics({ [topic]: partitions })
    return topic
  }

  const start = async (): Promise<Gateway> => {
    const gateway = await startGateway(server.url)
    gateways.push(gateway)
    return gateway
  }

  beforeAll(async () => {
    server = await kafka()
    log = openKafka(server.url)
  }, 120_000)
  afterAll(async () => {
    await log?.close()
    for (const gateway of gateways) await gateway.stop()
  })

  test('the unmodified @upstash/kafka client produces, fetches and asks for offsets', async () => {
    const { url } = await start()
    const topic = await newTopic(2)
    const { origin } = new URL(url)
    const client = new Kafka({ url: origin, username: 'shelf', password: 'secret' })
    const producer = client.producer()
    const one = await producer.produce(topic, { a: 1 }, { key: 'k', partition: 1 })
    expect(one).toMatchObject({ topic, partition: 1, offset: 0 })
    const many = await producer.produceMany([
      { topic, value: 'x', partition: 0, headers: [{ key: 'h', value: 'v' }] },
      { topic, value: 'y', partition: 1 },
      { topic, value: 'z', partition: 0 },
    ])
    expect(many).toMatchObject([
      { partition: 0, offset: 0 },
      { partition: 1, offset: 1 },
      { partition: 0, offset: 1 },
    ])
    const consumer = client.consumer()
    const places = [0, 1].map((partition) => ({ topic, partition, offset: 0 }))
    const fetched = await consumer.fetch({ topicPartitionOffsets: places, timeout: 1000 })
    const byPlace = fetched.toSorted((a, b) => a.partition - b.partition || a.offset - b.offset)
    expect(byPlace.map(({ value }) => value)).toEqual(['x', 'z', '{"a":1}', 'y'])
    expect(byPlace[0]?.headers).toEqual([{ key: 'h', value: 'v' }])
    expect(byPlace[2]).toMatchObject({ key: 'k', timestamp: one.timestamp })
    const topicPartition = { topic, partition: 0 }
    expect(
      await client.admin().topicPartitionOffsets({ timestamp: 'latest', topicPartition }),
    ).toEqual([{ ...topicPartition, offset: 2 }])
  })

  test('two gateways serve one Kafka at once', async () => {
    const [a, b] = [await start(), await start()]
    const topic = await newTopic(1)
    const appends = Array.from({ length: 200 }, (_, index) =>
      (index % 2 === 0 ? a : b).log.append(topic, [{ value: `v${index}` }]),
    )
    const offsets = (await Promise.all(appends)).map(([appended]) => appended?.offset ?? -1)
    expect(offsets.toSorted((x, y) => x - y)).toEqual(offsets.map((_, index) => index))
    for (const { log } of [a, b]) {
      const records = await log.read(topic, 0, 0)
      offsets.forEach((offset, index) => {
        expect(records[offset]?.value).toBe(`v${index}`)
      })
    }
  })

  /** What the edge made of one drain request, through a gateway of `kafka`. */
  async function drained(gatewayUrl: string): Promise<string> {
    await log.createTopics({ raw: 1 })
    const edge = await startEdge({ settings: { SHELF_LOG: gatewayUrl } })
    try {
      const { status } = await postDrain(edge.url, body(request()))
      expect(status).toBe(204)
    } finally {
      await edge.stop()
    }
    const [record] = await log.read('raw', 0, 0)
    return decodeBurst(record?.value ?? '').id
  }

  test('what the edge produced is read by @upstash/kafka and by kcat', async () => {
    const { url } = await start()
    const id = await drained(url)
    const { origin } = new URL(url)
    const client = new Kafka({ url: origin, username: 'shelf', password: 'secret' })
    const [fetched] = await client.consumer().fetch({ topic: 'raw', partition: 0, offset: 0 })
    expect(fetched?.key).toBe(APP)
    expect(decodeBurst(fetched?.value ?? '').id).toBe(id)

    if (Bun.which('kcat') === null) {
      console.error('NOT TESTED: that kcat reads what the edge produced: kcat is not installed')
      return
    }
    const broker = server.url.slice('kafka://'.length)
    const kcat = ['kcat', '-b', broker, '-C', '-t', 'raw', '-o', 'beginning', '-e', '-q']
    const child = Bun.spawn([...kcat, '-f', '%k %s\\n'], { stdout: 'pipe', stderr: 'ignore' })
    const [key, value = ''] = (await new Response(child.stdout).text()).trim().split(' ')
    expect(key).toBe(APP)
    expect(decodeBurst(value).id).toBe(id)
  })

  /** The status of one produce request, which must come in time. */
  async function produce({ url }: Gateway, topic: string): Promise<number> {
    const { origin, username, password } = new URL(url)
    const authorization = `Basic ${btoa(`${username}:${password}`)}`
    const body = JSON.stringify({ topic, value: 'v' })
    const startMs = performance.now()
    const { status } = await fetch(`${origin}/produce`, {
      method: 'POST',
      headers: { authorization },
      body,
    })
    expect(performance.now() - startMs).toBeLessThan(EDGE_MS)
    return status
  }

  test('while Kafka hangs it answers in time, and then goes on', async () => {
    const gateway = await start()
    const topic = await newTopic(1)
    expect(await produce(gateway, topic)).toBe(200)
    server.freeze()
    const hung = await Promise.all([produce(gateway, topic), produce(gateway, topic)]).finally(() =>
      server.thaw(),
    )
    // One is on its way, and nobody knows; the other waited behind it, and nothing is written of it.
    expect(hung.toSorted()).toEqual([503, 504])
    expect(gateway.said()).toContain('appends fail')
    await until('an append', async () => (await produce(gateway, topic)) === 200)
    expect(gateway.said()).toContain('appends go on')
  })

  test('while Kafka is away it stays up, and says so', async () => {
    const gateway = await startGateway(`kafka://127.0.0.1:${await freePort()}`)
    gateways.push(gateway)
    expect(await produce(gateway, 'raw')).toBe(503)
    expect(gateway.said()).toContain('ECONNREFUSED')
    expect((await fetch(`${new URL(gateway.url).origin}/healthz`)).status).toBe(200)
  })

  test('SIGTERM ends it: who waits for records is answered, and it exits with 0', async () => {
    const gateway = await start()
    const topic = await newTopic(1)
    await gateway.log.append(topic, [{ value: 'a' }])
    const idle = gateway.log.read(topic, 0, 1, { waitMs: 30_000 })
    // The read is on its way when a request behind it is answered.
    await gateway.log.topics()
    expect(await gateway.stop()).toBe(0)
    expect(await idle).toEqual([])
  })

  test('what it is not told, it asks for', async () => {
    for (const [name, env] of Object.entries({
      SHELF_LOG: { SHELF_LOG: 'http://127.0.0.1', SHELF_BROKER_PASSWORD: 'x' },
      SHELF_BROKER_PASSWORD: { SHELF_LOG: server.url, SHELF_BROKER_PASSWORD: '' },
    })) {
      const child = shelf(['gateway'], env)
      expect(await new Response(child.stderr).text()).toContain(name)
      expect(await child.exited).toBe(2)
    }
  })
})
