/** The edge: accepts drains, and answers 204 when a burst is durable in the log. */
import { type Context, Hono } from 'hono'
import type { Burst } from '../core/burst.ts'
import { encodeBurst } from '../core/burst.ts'
import type { Authenticate } from '../core/credential.ts'
import { discardBody, readBody } from './body.ts'
import { herokuBurst, logplexHeaders } from './drains/heroku.ts'
import { EdgeError } from './errors.ts'
import type { Sink } from './sinks/sink.ts'

const RAW_TOPIC = 'raw'

/** Logplex gives up on a request after 5 s; a second is left for what lies between it and us. */
const REQUEST_MS_MAX = 4000

/** However slowly the body came, the log gets this long: a write on one machine takes 10 ms. */
const PRODUCE_MS_MIN = 500

export interface EdgeOptions {
  authenticate: Authenticate
  sink: Sink
  /** The clock, Unix ms. */
  now?: () => number
}

export function edgeApp({ authenticate, sink, now = Date.now }: EdgeOptions): Hono {
  const app = new Hono()

  app.get('/healthz', (c) => c.json({ status: 'ok' }))

  app.post('/drains/heroku', async (c) => {
    const identity = await authenticate(c.req.raw.headers.get('authorization'))
    if (identity === undefined) {
      throw new EdgeError('bad-credentials', 'no drain has these credentials, or it was revoked')
    }
    requireContentType(c, 'application/logplex-1')
    const receivedAtMs = now()
    const body = await readBody(c.req.raw)
    const burst = await herokuBurst(
      identity.app,
      logplexHeaders(c.req.raw.headers),
      body,
      receivedAtMs,
    )
    const budgetMs = Math.max(REQUEST_MS_MAX - (now() - receivedAtMs), PRODUCE_MS_MIN)
    if (burst.ledger.size > 0) await produce(sink, burst, budgetMs)
    return c.body(null, 204)
  })

  app.all('/drains/heroku', async (c) => {
    await discardBody(c.req.raw)
    c.header('Allow', 'POST')
    return c.json({ error: 'a drain is posted to', status: 405 }, 405)
  })

  app.notFound((c) => c.json({ error: 'there is nothing here', status: 404 }, 404))

  app.onError(async (error, c) => {
    await discardBody(c.req.raw)
    if (!(error instanceof EdgeError)) {
      // A fault of ours is a 5xx: Logplex tries again, and nothing of the line itself is printed.
      console.error(`unexpected ${error.name} at ${c.req.path}`)
      return c.json({ error: 'the edge failed', status: 500 }, 500)
    }
    if (error.code === 'bad-credentials') c.header('WWW-Authenticate', 'Basic realm="shelf"')
    return c.json({ error: error.message, code: error.code, status: error.status }, error.status)
  })

  return app
}

function requireContentType(c: Context, expected: string): void {
  const type = (c.req.header('content-type') ?? '').split(';')[0]?.trim().toLowerCase()
  if (type !== expected) {
    throw new EdgeError('unknown-content-type', `Content-Type must be ${expected}`)
  }
}

async function produce(sink: Sink, burst: Burst, budgetMs: number): Promise<void> {
  const record = { key: burst.app, value: encodeBurst(burst) }
  const [outcome] = await sink.produce(RAW_TOPIC, [record], budgetMs)
  if (outcome !== 'ok') {
    throw new EdgeError('log-unavailable', 'the log did not take the burst in time; try again')
  }
}
