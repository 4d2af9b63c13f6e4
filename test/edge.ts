/** What tests of the edge share: a real broker, the edge in a runtime, and what landed in `raw`. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { frameBody } from '../batch/deliver.ts'
import { EmbeddedLog } from '../broker/embedded.ts'
import type { LogRecord } from '../broker/log.ts'
import { brokerApp } from '../broker/server.ts'
import { type Burst, decodeBurst } from '../core/burst.ts'
import { type BurstJson, burstToJson } from '../core/burst-json.ts'
import { type DrainKey, drainKeysToText, drainSecret } from '../core/credential.ts'
import { addCounts, type LedgerCounts, minuteOf } from '../core/ledger.ts'
import type { EdgeBindings } from '../edge/dev.ts'
import { type RunningEdge, type Runtime, startRuntime } from './edge-runtimes.ts'

/** For tests that take long: the edge's whole budget is 4 s, and the machine may be busy. */
export const TEST_MS_MAX = 30_000

export const KEY: DrainKey = { id: 'k1', key: Buffer.alloc(32, 1).toString('base64url') }

/** The app, and the drain, that tests post as where they name no other. */
export const APP = 'demo'
const DRAIN_ID = 'd1'

/** A Logplex token, as the edge gets it with each request. */
const DRAIN_TOKEN = 'd.fc6b856b-3332-4546-93de-7d0ee272c3bd'

/** Ten minutes ago: no clock takes it for the future, and it does not come late. */
export const TIME_MS = minuteOf(Date.now()) - 600_000 + 123
export const TIME = `${new Date(TIME_MS).toISOString().slice(0, -1)}456+00:00`

/** The data that comes with the project's folder, but not with its repository. */
export const DATA = join(import.meta.dir, '../../shared/data')

/** What a posted body came to. */
export interface Posted {
  status: number
  headers: Headers
  text: string
  records: LogRecord[]
  bursts: Burst[]
}

export interface PostOptions {
  app?: string
  /** Of the drain, where it is not Logplex's. */
  path?: string
  /** Besides those of Logplex, or instead; undefined leaves one of them out. */
  headers?: Record<string, string | undefined>
}

/** Answers in the place of the broker; `pass` asks the real one. */
type Front = (request: Request, pass: () => Promise<Response>) => Response | Promise<Response>

export interface EdgeOptions {
  front?: Front
  /** Default: workerd. */
  runtime?: Runtime
  /** Whether there is a spool. */
  spool?: boolean
  settings?: Partial<EdgeBindings> & Record<string, string>
}

export interface TestEdge {
  url: string
  /** The process of the edge: what it said, its memory, its death. */
  running: RunningEdge
  spoolDir: string | undefined
  log: EmbeddedLog
  bindings: EdgeBindings
  configure(bindings: Partial<EdgeBindings>): Promise<void>
  /** Posts a body as Logplex does; one at a time, for it tells which records are new. */
  post(body: BodyInit, options?: PostOptions): Promise<Posted>
  /** The one burst that messages come to; throws where it is not one. */
  burstOf(...messages: (string | Uint8Array)[]): Promise<Burst>
  /** All of `raw` from an offset on. */
  landed(offset?: number): Promise<LogRecord[]>
  brokerPort: number
  /** Stops listening where the broker is, and cuts its connections. */
  brokerDown(): Promise<void>
  brokerUp(): void
  stop(): Promise<void>
}

/** Starts a broker with one partition on a log of its own, and the edge before it. */
export async function startEdge(options: EdgeOptions = {}): Promise<TestEdge> {
  const folder = mkdtempSync(join(tmpdir(), 'shelf-edge-'))
  const log = new EmbeddedLog({ folder, topics: { raw: { partitions: 1 } } })
  const broker = brokerApp(log, { username: 'shelf', password: 'test' })
  const serve = (port: number): Bun.Server<undefined> =>
    Bun.serve({
      hostname: '127.0.0.1',
      port,
      idleTimeout: 120,
      async fetch(request) {
        // A copy: the stand-in may read the body, and pass the request on all the same.
        const pass = async (): Promise<Response> => await broker.fetch(request.clone())
        return await (options.front?.(request.clone(), pass) ?? pass())
      },
    })
  let server = serve(0)
  const brokerPort = Number(server.port)
  const bindings = {
    SHELF_LOG: `http://shelf:test@127.0.0.1:${brokerPort}`,
    SHELF_DRAIN_KEYS: drainKeysToText([KEY]),
    SHELF_REVOKED: '',
    ...options.settings,
  }
  const spoolDir = options.spool === true ? join(folder, 'spool') : undefined
  const edge = await startRuntime(options.runtime ?? 'workerd', bindings, spoolDir)
  const landed = async (offset = 0): Promise<LogRecord[]> => await log.read('raw', 0, offset)
  const post = async (sent: BodyInit, postOptions?: PostOptions): Promise<Posted> => {
    const before = await log.offsetAt('raw', 0, 'latest')
    const response = await postDrain(edge.url, sent, postOptions)
    const text = await response.text()
    const records = await landed(before)
    const bursts = records.map(({ value }) => decodeBurst(value))
    return { status: response.status, headers: response.headers, text, records, bursts }
  }
  return {
    url: edge.url,
    running: edge,
    spoolDir,
    log,
    bindings,
    configure: (changed) => edge.configure({ ...bindings, ...changed }),
    landed,
    brokerPort,
    brokerDown: () => server.stop(true),
    brokerUp() {
      server = serve(brokerPort)
    },
    post,
    async burstOf(...messages) {
      const { status, bursts } = await post(body(...messages))
      const [burst] = bursts
      if (status === 204 && burst !== undefined && bursts.length === 1) return burst
      throw new Error(`${bursts.length} bursts landed, and the edge answered ${status}`)
    },
    async stop() {
      await edge.stop()
      await server.stop(true)
      log.close()
      rmSync(folder, { recursive: true })
    },
  }
}

/** A drain request with Logplex's headers. */
export async function postDrain(
  edgeUrl: string,
  body: BodyInit,
  { app = APP, path = '/drains/heroku', headers = {} }: PostOptions = {},
): Promise<Response> {
  const all = {
    authorization: await authorization(app),
    'content-type': 'application/logplex-1',
    'logplex-drain-token': DRAIN_TOKEN,
    'user-agent': 'Logplex/v118',
    ...headers,
  }
  const given = Object.entries(all).filter((entry): entry is [string, string] => entry[1] != null)
  // A connection that an edge was about to close for being idle would fail it.
  return await fetch(edgeUrl + path, { method: 'POST', headers: given, body, keepalive: false })
}

/** The `Authorization` of a drain. */
export async function authorization(app: string, drainId = DRAIN_ID, key = KEY): Promise<string> {
  return basic(app, await drainSecret(key, app, drainId))
}

export function basic(user: string, password: string): string {
  return `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`
}

export interface MessageOptions {
  time?: string
  app?: string
  process?: string
}

/** A message of the router, or of another source, as Logplex writes it. */
export function message(text: string, options: MessageOptions = {}): string {
  const { time = TIME, app = 'heroku', process = 'router' } = options
  return `<158>1 ${time} host ${app} ${process} - ${text}\n`
}

/** A router's message; `figures` stand at its end, where the router writes its own. */
export function request(
  figures = 'dyno=web.1 connect=1ms service=18ms status=200 bytes=13',
): string {
  return message(
    'at=info method=GET path="/" host=app.example.com request_id=8601b555 fwd="192.0.2.4" ' +
      `${figures} protocol=https`,
  )
}

/** A body of these messages, framed by their octets. */
export function body(...messages: (string | Uint8Array)[]): Uint8Array<ArrayBuffer> {
  return frameBody(messages.map((text) => Buffer.from(text)))
}

/** The ledger over all minutes. */
export function totals(burst: Burst | undefined): LedgerCounts {
  const sum: LedgerCounts = {}
  for (const counts of burst?.ledger.values() ?? []) addCounts(sum, counts)
  return sum
}

/** The requests of a burst, one object each. */
export function requestsOf(burst: Burst | undefined): BurstJson['requests'] {
  return burst === undefined ? [] : burstToJson(burst).requests
}
