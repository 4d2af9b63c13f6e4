/** The edge: accepts drains, and answers 204 when a burst is durable in the log. */
import { type Context, Hono } from 'hono'
import type { Burst } from '../core/burst.ts'
import { encodeBurst } from '../core/burst.ts'
import type { Authenticate } from '../core/credential.ts'
import { discardBody, readBody } from './body.ts'
import { herokuBurst, logplexHeaders } from './drains/heroku.ts'
import { herokuMetricsBurst } from './drains/heroku-metrics.ts'
import { EdgeError } from './errors.ts'
import type { Sink } from './sinks/sink.ts'

const RAW_TOPIC = 'raw'

/**
 * Kafka takes records of 1,048,588 bytes, and base64 makes 4 of 3. Only a large body that is made of
 * tiny metrics comes near: Logplex aims at 100 KiB, a body has at most 768.
 */
const RECORD_BYTES_MAX = 780_000

const HEROKU_PATH = '/drains/heroku'
const METRICS_PATH = `${HEROKU_PATH}/metrics`

/** Logplex gives up on a request after 5 s; a second is left for what lies between it and us. */
const REQUEST_MS_MAX = 4000

/** However slowly the body came, the log gets this long: a write on one machine takes 10 ms. */
const PRODUCE_MS_MIN = 500

type ContentType = 'application/logplex-1' | 'application/json'

export interface EdgeOptions {
  authenticate: Authenticate
  /** Who did something, as a short keyed hash. */
  hashUser: (app: string, user: string) => Promise<string>
  sink: Sink
  /** The clock, Unix ms. */
  now?: () => number
}

export function edgeApp({ authenticate, hashUser, sink, now = Date.now }: EdgeOptions): Hono {
  const app = new Hono()

  /** Reads, and answers when the log has it. What nobody may post is not read. */
  const accept = async (
    c: Context,
    authorization: string | null,
    contentType: ContentType,
    burstOf: (app: string, body: Uint8Array, receivedAtMs: number) => Promise<Burst>,
  ): Promise<void> => {
    const identity = await authenticate(authorization)
    if (identity === undefined) {
      throw new EdgeError('bad-credentials', 'no drain has these credentials, or it was revoked')
    }
    requireContentType(c, contentType)
    const receivedAtMs = now()
    const burst = await burstOf(identity.app, await readBody(c.req.raw), receivedAtMs)
    const budgetMs = Math.max(REQUEST_MS_MAX - (now() - receivedAtMs), PRODUCE_MS_MIN)
    if (burst.ledger.size > 0) await produce(sink, burst, budgetMs)
  }

  app.get('/healthz', (c) => c.json({ status: 'ok' }))

  app.post(HEROKU_PATH, async (c) => {
    const { headers } = c.req.raw
    await accept(c, headers.get('authorization'), 'application/logplex-1', (name, body, at) =>
      herokuBurst(name, logplexHeaders(headers), body, at, (user) => hashUser(name, user)),
    )
    return c.body(null, 204)
  })

  const metrics = async (c: Context, authorization: string | null): Promise<Response> => {
    await accept(c, authorization, 'application/json', (name, body, at) => {
      const sender = `${authorization}\n${c.req.header('cf-connecting-ip') ?? ''}`
      const time = c.req.header('measurements-time') ?? null
      return herokuMetricsBurst(
        { app: name, sender, process: c.req.query('process'), time, body },
        at,
      )
    })
    return c.body(null, 200)
  }
  app.post(METRICS_PATH, (c) => metrics(c, c.req.raw.headers.get('authorization')))
  // Java's agent does not send the credentials of a URL: there they stand in its path.
  app.post(`${METRICS_PATH}/:app/:secret`, (c) => {
    const credentials = `${c.req.param('app')}:${c.req.param('secret')}`
    return metrics(c, isAscii(credentials) ? `Basic ${btoa(credentials)}` : null)
  })

  for (const path of [HEROKU_PATH, METRICS_PATH, `${METRICS_PATH}/:app/:secret`]) {
    app.all(path, async (c) => {
      await discardBody(c.req.raw)
      c.header('Allow', 'POST')
      return c.json({ error: 'a drain is posted to', status: 405 }, 405)
    })
  }

  app.notFound((c) => c.json({ error: 'there is nothing here', status: 404 }, 404))

  app.onError(async (error, c) => {
    await discardBody(c.req.raw)
    if (!(error instanceof EdgeError)) {
      // A fault of ours is a 5xx: Logplex tries again, and nothing of the line itself is printed.
      console.error(`unexpected ${error.name} at ${c.req.routePath}`)
      return c.json({ error: 'the edge failed', status: 500 }, 500)
    }
    if (error.code === 'bad-credentials') c.header('WWW-Authenticate', 'Basic realm="shelf"')
    return c.json({ error: error.message, code: error.code, status: error.status }, error.status)
  })

  return app
}

const isAscii = (text: string): boolean => /^[\x20-\x7e]*$/.test(text)

/** The agents of language runtimes know a 400; Logplex takes any 4xx alike. */
function requireContentType(c: Context, expected: ContentType): void {
  const type = (c.req.header('content-type') ?? '').split(';')[0]?.trim().toLowerCase()
  if (type !== expected) {
    const code = expected === 'application/json' ? 'bad-metrics' : 'unknown-content-type'
    throw new EdgeError(code, `Content-Type must be ${expected}`)
  }
}

async function produce(sink: Sink, burst: Burst, budgetMs: number): Promise<void> {
  const record = { key: burst.app, value: encodeBurst(burst) }
  if (record.value.length > RECORD_BYTES_MAX) {
    throw new EdgeError('body-too-large', 'what the body holds does not fit in one record')
  }
  const [outcome] = await sink.produce(RAW_TOPIC, [record], budgetMs)
  if (outcome !== 'ok') {
    throw new EdgeError('log-unavailable', 'the log did not take the burst in time; try again')
  }
}
