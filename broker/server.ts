/**
 * A log over HTTP in the Upstash Kafka REST dialect, so that the unmodified `@upstash/kafka`
 * client works against it. Every failure is `{ error, status }`.
 */

import { type Context, Hono } from 'hono'
import { basicAuth } from 'hono/basic-auth'
import { bodyLimit } from 'hono/body-limit'
import { HTTPException } from 'hono/http-exception'
import type { z } from 'zod'
import {
  BODY_BYTES_MAX,
  type BrokerLog,
  fetchBody,
  offsetsBody,
  produceBody,
  produceToTopicBody,
} from './dialect.ts'
import { LogError } from './error.ts'

/** Requests in flight, above the waiting reads that a log allows: one more is answered 503. */
const REQUESTS_MAX = 4_096

interface Credentials {
  username: string
  password: string
}

/** The endpoints `produce`, `fetch`, `offsets`, `topics` and, with no credentials, `healthz`. */
export function brokerApp(log: BrokerLog, credentials: Credentials): Hono {
  const app = new Hono()
  app.onError((error, c) => answerError(c, error))
  app.notFound((c) => answerError(c, new LogError('not-found', `there is no ${c.req.path}`)))

  app.get('/healthz', (c) => c.json({ status: 'ok' }))

  let inFlight = 0
  app.use(async (_, next) => {
    if (inFlight >= REQUESTS_MAX) throw new LogError('unavailable', 'too many requests at once')
    inFlight++
    await next().finally(() => inFlight--)
  })
  app.use(
    basicAuth({
      ...credentials,
      invalidUserMessage: { error: 'wrong or missing credentials', status: 401 },
    }),
  )
  app.use(
    bodyLimit({
      maxSize: BODY_BYTES_MAX,
      onError: (c) =>
        answerError(c, new LogError('too-large', `a body has at most ${BODY_BYTES_MAX} bytes`)),
    }),
  )

  app.on(['GET', 'POST'], '/produce', async (c) =>
    c.json(await log.produce(await bodyOf(c, produceBody))),
  )
  app.on(['GET', 'POST'], '/produce/:topic', async (c) => {
    const topic = c.req.param('topic')
    const records = await bodyOf(c, produceToTopicBody)
    return c.json(await log.produce(records.map((record) => ({ ...record, topic }))))
  })
  app.on(['GET', 'POST'], '/produce/:topic/:message', async (c) => {
    const { topic, message } = c.req.param()
    const [appended] = await log.produce([{ topic, value: message, key: c.req.query('key') }])
    return c.json(appended)
  })

  app.on(['GET', 'POST'], '/fetch', async (c) => {
    const { places, ...options } = await bodyOf(c, fetchBody)
    const records = await log.fetch(places, { ...options, signal: c.req.raw.signal })
    return c.json(records.map((record) => ({ ...record, key: record.key ?? '' })))
  })

  app.on(['GET', 'POST'], '/offsets/:at', async (c) => {
    const at = offsetAtOf(c.req.param('at'))
    const partitions = await bodyOf(c, offsetsBody)
    const answers = partitions.map(async ({ topic, partition }) => ({
      topic,
      partition,
      offset: await log.offsetAt(topic, partition, at),
    }))
    return c.json(await Promise.all(answers))
  })

  app.on(['GET', 'POST'], '/topics', async (c) => c.json(await log.topics()))

  for (const path of ['consume', 'commit', 'committed', 'delete-consumer', 'consumers']) {
    app.all(`/${path}/*`, () => {
      throw new LogError(
        'not-offered',
        'there are no consumer groups here: read with fetch, from offsets that you keep',
      )
    })
  }
  return app
}

async function bodyOf<T extends z.ZodType>(c: Context, shape: T): Promise<z.infer<T>> {
  const bytes = await c.req.arrayBuffer()
  if (bytes.byteLength === 0) throw new LogError('bad-request', 'a JSON body is missing: POST one')
  const parsed = shape.safeParse(parseJson(bytes))
  if (parsed.success) return parsed.data
  const issue = parsed.error.issues[0]
  const where = issue?.path.join('.') || 'body'
  throw new LogError('bad-request', `${where}: ${issue?.message ?? 'wrong shape'}`)
}

function parseJson(bytes: ArrayBuffer): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch (error) {
    throw new LogError('bad-request', 'the body is not JSON in UTF-8', { cause: error })
  }
}

function offsetAtOf(at: string): 'earliest' | 'latest' | number {
  if (at === 'earliest' || at === 'latest') return at
  if (/^\d{1,15}$/.test(at)) return Number(at)
  throw new LogError('bad-request', `offsets are at earliest, latest or a Unix ms, not at ${at}`)
}

function answerError(c: Context, error: Error): Response {
  if (error instanceof HTTPException) return error.getResponse()
  const { status, message } =
    error instanceof LogError ? error : new LogError('failed', `unexpected: ${error.message}`)
  return c.json({ error: message, status }, status)
}
