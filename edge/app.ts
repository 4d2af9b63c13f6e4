/** The edge: accepts drains, and answers 204 when a burst is durable in the log. */
import { type Context, Hono } from 'hono'
import type { Burst } from '../core/burst.ts'
import type { Authenticate, DrainIdentity } from '../core/credential.ts'
import { bodyBytes, discardBody, readBody } from './body.ts'
import { herokuBurst, logplexHeaders } from './drains/heroku.ts'
import { herokuMetricsBurst } from './drains/heroku-metrics.ts'
import { EdgeError } from './errors.ts'
import type { BodiesHeld } from './limits-bodies.ts'
import type { RateLimit } from './limits-rate.ts'
import { type Keeper, SPOOL_MS } from './spool/keeper.ts'

const HEROKU_PATH = '/drains/heroku'
const METRICS_PATH = `${HEROKU_PATH}/metrics`

/** Logplex gives up on a request after 5 s; a second is left for what lies between it and us. */
const REQUEST_MS_MAX = 4000

/** The body has to be here while the burst can still be kept in time. */
const BODY_MS_MAX = REQUEST_MS_MAX - SPOOL_MS

type ContentType = 'application/logplex-1' | 'application/json'

export interface EdgeOptions {
  authenticate: Authenticate
  /** Who did something, as a short keyed hash. */
  hashUser: (app: string, user: string) => Promise<string>
  keeper: Keeper
  rateLimit: RateLimit
  bodiesHeld: BodiesHeld
  /** The clock, Unix ms. */
  now: () => number
}

/** What a runtime knows of a request besides: the address it came from. */
export interface Peer {
  peer: string
}

export type EdgeApp = Hono<{ Bindings: Peer }>

export function edgeApp(options: EdgeOptions): EdgeApp {
  const { authenticate, hashUser, keeper, rateLimit, bodiesHeld, now } = options
  const app: EdgeApp = new Hono()

  /** Reads, and answers when the burst is durable. What nobody may post is not read. */
  const accept = async (
    c: Context,
    authorization: string | null,
    contentType: ContentType,
    burstOf: (app: string, body: Uint8Array, receivedAtMs: number) => Promise<Burst>,
  ): Promise<void> => {
    const receivedAtMs = now()
    const identity = await authenticate(authorization)
    if (identity === undefined) {
      throw new EdgeError('bad-credentials', 'no drain has these credentials, or it was revoked')
    }
    requireRate(rateLimit, identity, receivedAtMs)
    requireContentType(c, contentType)
    const held = bodiesHeld.hold(bodyBytes(c.req.raw.headers), receivedAtMs)
    if (held === undefined) {
      throw new EdgeError('too-many-bodies', 'too much is being posted at once; try again', 1)
    }
    try {
      const body = await readBody(c.req.raw, BODY_MS_MAX)
      const burst = await burstOf(identity.app, body, receivedAtMs)
      if (burst.ledger.size > 0) await keeper.keep(burst, receivedAtMs + REQUEST_MS_MAX)
    } finally {
      bodiesHeld.release(held)
    }
  }

  app.get('/healthz', (c) => c.json({ status: 'ok' }))

  app.post(HEROKU_PATH, async (c) => {
    const { headers } = c.req.raw
    await accept(c, headers.get('authorization'), 'application/logplex-1', (name, body, at) =>
      herokuBurst(name, logplexHeaders(headers), body, at, (user) => hashUser(name, user)),
    )
    return c.body(null, 204)
  })

  const metrics = async (
    c: Context<{ Bindings: Peer }>,
    authorization: string | null,
  ): Promise<Response> => {
    await accept(c, authorization, 'application/json', (name, body, at) => {
      const sender = `${authorization}\n${c.env.peer}`
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
    if (error.retryAfterSeconds !== undefined) {
      c.header('Retry-After', String(error.retryAfterSeconds))
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

function requireRate(
  rateLimit: RateLimit,
  { app, drainId }: DrainIdentity,
  receivedAtMs: number,
): void {
  const seconds = rateLimit.take(`${app} ${drainId}`, receivedAtMs)
  if (seconds > 0) throw new EdgeError('over-rate', 'the drain posts too often; try again', seconds)
}
