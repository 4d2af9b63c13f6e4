/** The edge: accepts drains, and answers 204 when a burst is durable in the log. */
import type { Context } from 'hono'
// With the smallest of its routers: there are seven routes.
import { Hono } from 'hono/tiny'
import type { Burst } from '../core/burst.ts'
import type { Authenticate } from '../core/credential.ts'
import { discardBody, readBody } from './body.ts'
import { herokuBurst, logplexHeaders } from './drains/heroku.ts'
import { herokuMetricsBurst } from './drains/heroku-metrics.ts'
import { EdgeError } from './errors.ts'
import type { BodiesHeld, Held } from './limits-bodies.ts'
import type { RateLimit } from './limits-rate.ts'
import { type Keeper, SPOOL_MS } from './spool/keeper.ts'

const HEROKU_PATH = '/drains/heroku'
const METRICS_PATH = `${HEROKU_PATH}/metrics`

/** Logplex gives up on a request after 5 s; a second is left for what lies between it and us. */
const REQUEST_MS_MAX = 4000

type ContentType = 'application/logplex-1' | 'application/json'

export interface EdgeOptions {
  authenticate: Authenticate
  /** Who did something, as a short keyed hash. */
  hashUser: (app: string, user: string) => Promise<string>
  keeper: Keeper
  rateLimit: RateLimit
  bodiesHeld: BodiesHeld
}

/** What a runtime knows of a request besides: the address it came from. */
export interface Peer {
  peer: string
}

export type EdgeApp = Hono<{ Bindings: Peer }>

export function edgeApp(options: EdgeOptions): EdgeApp {
  const { authenticate, hashUser, keeper, rateLimit, bodiesHeld } = options
  const app: EdgeApp = new Hono()

  /** Reads, and answers when the burst is durable. What nobody may post is not read. */
  const accept = async (
    c: Context,
    authorization: string | null,
    contentType: ContentType,
    burstOf: (app: string, body: Uint8Array, receivedAtMs: number) => Promise<Burst>,
  ): Promise<void> => {
    const receivedAtMs = Date.now()
    // The wall's clock may be set back meanwhile.
    const startMs = performance.now()
    const untilMs = startMs + REQUEST_MS_MAX
    const identity = await authenticate(authorization)
    if (identity === undefined) {
      throw new EdgeError('bad-credentials', 'no drain has these credentials, or it was revoked')
    }
    const drain = `${identity.app} ${identity.drainId}`
    requireRate(rateLimit, drain, startMs)
    requireContentType(c, contentType)
    const held = bodiesHeld.hold(drain, startMs)
    try {
      // The body has to be here while the burst can still be kept in time.
      const body = await readBody(c.req.raw, untilMs - SPOOL_MS, (bytes) =>
        requireRoom(bodiesHeld, held, bytes),
      )
      const burst = await burstOf(identity.app, body, receivedAtMs)
      if (burst.ledger.size > 0) await keeper.keep(burst, untilMs)
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

function requireRoom(bodiesHeld: BodiesHeld, held: Held, bytes: number): void {
  if (bodiesHeld.grow(held, bytes)) return
  throw new EdgeError('too-many-bodies', 'too much is being posted at once; try again', 1)
}

function requireRate(rateLimit: RateLimit, drain: string, nowMs: number): void {
  const seconds = rateLimit.take(drain, nowMs)
  if (seconds > 0) throw new EdgeError('over-rate', 'the drain posts too often; try again', seconds)
}
