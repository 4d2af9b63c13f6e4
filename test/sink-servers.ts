/** Servers of the REST dialects, which keep what is written. The one of Upstash's is our broker. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { z } from 'zod'
import { EmbeddedLog } from '../broker/embedded.ts'
import { brokerApp } from '../broker/server.ts'
import type { Dialect } from '../edge/sinks/open-sink.ts'
import {
  base64Shape,
  error,
  type Held,
  REST_KINDS,
  type RestKind,
  type Result,
  TOPIC,
} from './sink-dialects.ts'
import { type Fault, startWire, type Verdict, type Wire } from './sink-wire.ts'

const USER = 'key'
const PASSWORD = 'sëcret/+:@'

export interface TestServer {
  dialect: Dialect
  url: string
  wire: Wire
  /** The values that came with each request, joined, without the spaces of large ones. */
  sent: string[]
  /** A record of this value makes the server refuse the whole request. */
  refuses?: string
  /** What is written, in its order, doubles too. */
  held(): Promise<Held[]>
  [Symbol.dispose](): void
}

export const SERVER_KINDS = [
  'broker',
  'Confluent v2',
  'Redpanda',
  'Karapace',
  'Strimzi',
  'Confluent v3',
] as const
export type ServerKind = (typeof SERVER_KINDS)[number]

/** @param faults befall the first requests, one each */
export async function startServer(
  kind: ServerKind,
  faults: readonly Fault[] = [],
  password = PASSWORD,
): Promise<TestServer> {
  const server =
    kind === 'broker' ? await startBroker(password) : await startRest(REST_KINDS[kind], password)
  server.wire.faults.push(...faults)
  return server
}

async function startRest(kind: RestKind, password: string): Promise<TestServer> {
  const held: Held[] = []
  const sent: string[] = []
  const authorization = `Basic ${Buffer.from(`${USER}:${password}`).toString('base64')}`
  const wire = await startWire((asked, fault) => {
    try {
      if (kind.credentials && asked.headers.get('authorization') !== authorization) {
        return error(401, 40101, 'Authentication failed')
      }
      const records = kind.read(asked)
      sent.push(records.map(({ value }) => value.trimEnd()).join(''))
      if (records.some(({ value }) => value.trimEnd() === server.refuses))
        return error(422, 42205, 'no')
      const { verdicts, reports } = verdictsOf(fault)
      // What stands behind the last report was not read, or is not told of: it is not written.
      const results = records.slice(0, reports).map((record, at): Result => {
        const verdict = verdicts[at] ?? 'write'
        return verdict === 'write' ? { offset: held.push(record) - 1 } : { code: verdict }
      })
      return kind.speak(results, reports)
    } catch (thrown) {
      return replyShape.parse(thrown)
    }
  })
  const credentials = kind.credentials ? `${USER}:${encodeURIComponent(password)}@` : ''
  const server: TestServer = {
    dialect: kind.dialect,
    url: `http://${credentials}127.0.0.1:${wire.port}${kind.path}`,
    wire,
    sent,
    held: async () => held,
    [Symbol.dispose]: wire.stop,
  }
  return server
}

const replyShape = z.object({
  status: z.number(),
  headers: z.record(z.string(), z.string()),
  body: z.string(),
})

function verdictsOf(fault: Fault | undefined): { verdicts: readonly Verdict[]; reports: number } {
  if (fault?.kind !== 'records') return { verdicts: [], reports: Number.POSITIVE_INFINITY }
  return { verdicts: fault.verdicts, reports: fault.reports ?? Number.POSITIVE_INFINITY }
}

async function startBroker(password: string): Promise<TestServer> {
  const folder = mkdtempSync(join(tmpdir(), 'shelf-sink-'))
  const log = new EmbeddedLog({ folder, topics: { [TOPIC]: { partitions: 1 } } })
  const app = brokerApp(log, { username: USER, password })
  const sent: string[] = []
  const wire = await startWire(async ({ method, path, headers, body }) => {
    const values = z.array(z.object({ value: base64Shape })).safeParse(JSON.parse(body)).data ?? []
    sent.push(values.map(({ value }) => value.trimEnd()).join(''))
    const response = await app.request(path, { method, headers, body })
    return { status: response.status, body: await response.text() }
  })
  return {
    dialect: 'upstash',
    url: `http://${USER}:${encodeURIComponent(password)}@127.0.0.1:${wire.port}`,
    wire,
    sent,
    async held() {
      const records = await log.read(TOPIC, 0, 0)
      return records.map(({ key, value }) => ({
        key: key ?? '',
        value: Buffer.from(String(value), 'base64').toString(),
      }))
    },
    [Symbol.dispose]() {
      wire.stop()
      log.close()
      rmSync(folder, { recursive: true })
    },
  }
}
