/** The batch programs on a native Kafka: the same rows as on the embedded log. */
import { afterAll, beforeAll, expect, test } from 'bun:test'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Producer } from '@platformatic/kafka'
import { migrate } from '../batch/migrate.ts'
import { openKafka } from '../broker/kafka.ts'
import type { Log, LogRecord } from '../broker/log.ts'
import { connect, type Sql } from '../db/client.ts'
import { type PostgresServer, startPostgres } from '../db/server.ts'
import { generateBodies } from './generator.ts'
import { type KafkaServer, kafka, onKafka } from './kafka-server.ts'
import { freePort } from './sql-server.ts'
import { allRows, caughtUp, Restarted, type Stack, shelf, startStack } from './stack.ts'

const PARTITIONS = 4

onKafka('the batch programs on a native Kafka', () => {
  const folder = mkdtempSync(join(tmpdir(), 'shelf-kafka-batch-'))
  let server: KafkaServer
  let postgres: PostgresServer
  let stack: Stack

  const database = async (name: string): Promise<{ url: string; sql: Sql }> => {
    const admin = connect(postgres.url, { max: 1 })
    await admin`create database ${admin(name)}`
    await admin.end()
    const url = new URL(postgres.url)
    url.pathname = `/${name}`
    return { url: url.href, sql: connect(url.href, { max: 2 }) }
  }

  beforeAll(async () => {
    const where = { dataDir: join(folder, 'data'), port: await freePort(), password: 'test' }
    ;[server, postgres, stack] = await Promise.all([
      kafka(),
      startPostgres({ ...where, settings: { fsync: 'off' } }),
      startStack(),
    ])
  }, 120_000)
  afterAll(async () => {
    await stack?.stop()
    await postgres?.stop()
    rmSync(folder, { recursive: true, force: true })
  })

  test('one input gives the same lines and the same rows as on the embedded log', async () => {
    const endMs = Math.floor(Date.now() / 60_000) * 60_000
    const apps = ['alpha', 'beta', 'gamma', 'delta']
    const { bodies } = generateBodies(20270, { apps, bodies: 40, lines: 40, endMs })
    for (const { app, frameId, body, messages } of bodies) {
      expect(await stack.post(app, frameId, body, messages)).toBe(204)
    }
    const embedded = await database('embedded')
    await migrate(embedded.url)
    const lines = await rawLines(stack.env(embedded.url))
    expect(await rowsOf(stack.log, stack.env(embedded.url), embedded)).not.toEqual([])

    const native = await database('native')
    const env = { SHELF_LOG: server.url, DATABASE_URL: native.url, SHELF_PARTITIONS: '4' }
    const made = await output(['migrate'], env)
    for (const topic of [
      'raw',
      'aggregates',
      'dead-letter',
      'check-results',
      'rules',
      'deliveries',
    ]) {
      expect(made).toContain(`topic ${topic}: ${PARTITIONS} partitions\n`)
    }
    expect(await output(['migrate', '--dry-run'], env)).toBe('')
    await copyRaw(stack.log, server.url)
    expect(await rawLines(env)).toEqual(lines)
    const log = openKafka(server.url)
    const rows = await rowsOf(log, env, native)
    await log.close()
    expect(rows).toEqual(await allRows(embedded.sql))
    await embedded.sql.end()
    await native.sql.end()
  })

  test('migrate adds partitions to the topics, and says to readers that keys move', async () => {
    const { url } = await database('grown')
    const env = { SHELF_LOG: server.url, DATABASE_URL: url, SHELF_PARTITIONS: '5' }
    expect(await output(['migrate', '--dry-run'], env)).toContain('raw: 4 partitions, now 5\n')
    expect(await output(['migrate'], env)).toContain('raw: 4 partitions, now 5\n')
    const lines = await rawLines(env)
    const marks = lines.filter((line) => line.endsWith('"repartitioned":true}'))
    expect(marks.length).toBe(PARTITIONS + 1)
    // Who does not say how many leaves them.
    expect(await output(['migrate', '--dry-run'], { ...env, SHELF_PARTITIONS: '' })).toBe('')
  })
})

/** What a program prints. */
async function output(args: string[], env: Record<string, string>): Promise<string> {
  const child = shelf(args, env)
  const [out, err] = await Promise.all(
    [child.stdout, child.stderr].map((s) => new Response(s).text()),
  )
  if ((await child.exited) !== 0) throw new Error(`shelf ${args.join(' ')}: ${err}`)
  return out ?? ''
}

/** The raw topic as lines, without log times, by partition and offset. */
async function rawLines(env: Record<string, string>): Promise<string[]> {
  const lines = (await output(['from', 'raw', '--until', 'now'], env)).trimEnd().split('\n')
  return lines
    .filter((line) => !line.includes('"tick":true'))
    .map((line) => line.replace(/"offset":\d+,"timestamp":"[^"]*",/, ''))
    .sort()
}

async function rowsOf(
  log: Log,
  env: Record<string, string>,
  { url, sql }: { url: string; sql: Sql },
): Promise<string[]> {
  const worker = new Restarted(['run'], env)
  await caughtUp(log, url)
  await worker.stop()
  return allRows(sql)
}

/** Half of the records in base64, as a gateway's clients write them, and half as bytes. */
async function copyRaw(from: Log, url: string): Promise<void> {
  const bootstrapBrokers = [url.slice('kafka://'.length)]
  const producer = new Producer({ clientId: 'test', bootstrapBrokers, compression: 'gzip' })
  const native = openKafka(url)
  for (let partition = 0; partition < PARTITIONS; partition++) {
    const records: LogRecord[] = []
    for (;;) {
      const more = await from.read('raw', partition, (records.at(-1)?.offset ?? -1) + 1)
      if (more.length === 0) break
      records.push(...more)
    }
    for (const [index, { key, value }] of records.entries()) {
      if (typeof value !== 'string') throw new Error('the embedded log carries text')
      const placed = { partition, ...(key !== null && { key }) }
      if (index % 2 === 0) await native.append('raw', [{ ...placed, value }])
      else {
        const bytes = Buffer.from(Uint8Array.fromBase64(value))
        const message = { topic: 'raw', partition, value: bytes, key: Buffer.from(key ?? '') }
        await producer.send({ messages: [message], acks: -1 })
      }
    }
  }
  await native.close()
  await producer.close()
}
