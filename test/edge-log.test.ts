/** When the log is slow, down or wrong: a 204 only for what is durable, and an answer in time. */
import { afterAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import * as z from 'zod'
import { decodeBurst } from '../core/burst.ts'
import {
  authorization,
  body,
  postDrain,
  request,
  startEdge,
  TEST_MS_MAX,
  type TestEdge,
} from './edge.ts'
import { RUNTIMES, type Runtime } from './edge-runtimes.ts'

setDefaultTimeout(TEST_MS_MAX)

/** Logplex's request timeout. */
const LOGPLEX_MS_MAX = 5000

/** Well below the edge's own budget: nothing of the trouble before is waited for. */
const AT_ONCE_MS_MAX = 1500

const good = body(request())
const posted = z.array(z.object({ key: z.string() })).min(1)

/** How a broker fails whom it fails; `pass` asks the real one. */
const FAILURES: Record<string, (pass: () => Promise<Response>) => Response | Promise<Response>> = {
  hangs: () => new Promise(() => {}),
  'answers 503': () => Response.json({ error: 'too busy', status: 503 }, { status: 503 }),
  'answers 500 with a page': () => new Response('<html>oops</html>', { status: 500 }),
  'answers no JSON': () => new Response('<html>welcome</html>'),
  'answers JSON of another service': () => Response.json({ status: 'ok' }),
  'answers for no record': () => Response.json([]),
  'hangs within its answer': () => new Response(stalled('[{"offset":')),
  'wrote, and never says so': async (pass) => {
    await pass()
    return await new Promise(() => {})
  },
}

function stalled(text: string): ReadableStream<Uint8Array> {
  return new ReadableStream({
    start: (controller) => controller.enqueue(new TextEncoder().encode(text)),
  })
}

/** The trouble is told by the app, so that one edge sees all of it at a time. */
const appOf = (failure: string): string => failure.replaceAll(/\W+/g, '-')

/** Posts one frame. @returns the status, and how long its answer took, ms */
async function post(edgeUrl: string, app: string): Promise<{ status: number; tookMs: number }> {
  const startMs = performance.now()
  const headers = { 'logplex-frame-id': 'F1' }
  const response = await postDrain(edgeUrl, good, { app, headers })
  await response.text()
  return { status: response.status, tookMs: performance.now() - startMs }
}

/** Stopped also where a test fails. */
const started: TestEdge[] = []
afterAll(() => Promise.all(started.map((each) => each.stop())))

async function start(runtime: Runtime): Promise<TestEdge> {
  const edge = await startEdge({ runtime })
  started.push(edge)
  return edge
}

/** Answers each app as its name tells, until `failing` holds it no more. */
async function startFailing(runtime: Runtime) {
  const failing = new Set(Object.keys(FAILURES))
  const slow = new Map([['slow', 1000]])

  const edge = await startEdge({
    runtime,
    async front(incoming, pass) {
      const [record] = posted.parse(await incoming.json())
      const failure = Object.keys(FAILURES).find((name) => appOf(name) === record?.key)
      if (failure !== undefined && failing.has(failure)) {
        const answer = FAILURES[failure]?.(pass)
        if (answer !== undefined) return await answer
      }
      await Bun.sleep(slow.get(record?.key ?? '') ?? 0)
      return await pass()
    },
  })
  started.push(edge)
  return { edge, failing }
}

const edges = await Promise.all(
  RUNTIMES.map(async (runtime) => ({ runtime, ...(await startFailing(runtime)) })),
)

describe.each(edges)('in $runtime,', async ({ runtime, edge, failing }) => {
  // All are there before the first goes down: nobody may get its port meanwhile.
  const unheard = await start(runtime)
  const cuttingAtOnce = await start(runtime)
  const cuttingLater = await start(runtime)
  const another = await start(runtime)

  describe('the drain is answered 503 in time, and as soon as the log is well 204:', () => {
    test.concurrent.each(Object.keys(FAILURES))('a log that %s', async (failure) => {
      const app = appOf(failure)
      const refused = await post(edge.url, app)
      expect(refused.status).toBe(503)
      expect(refused.tookMs).toBeLessThan(LOGPLEX_MS_MAX)
      failing.delete(failure)
      const taken = await post(edge.url, app)
      expect(taken.status).toBe(204)
      expect(taken.tookMs).toBeLessThan(AT_ONCE_MS_MAX)
      const records = (await edge.landed()).filter(({ key }) => key === app)
      // A try whose answer came too late may have written: what counts is that it is one burst.
      expect(new Set(records.map(({ value }) => decodeBurst(value).id)).size).toBe(1)
    })

    test.concurrent('a log that nobody listens for', async () => {
      const alone = unheard
      await alone.brokerDown()
      const refused = await post(alone.url, 'demo')
      expect(refused.status).toBe(503)
      expect(refused.tookMs).toBeLessThan(LOGPLEX_MS_MAX)
      alone.brokerUp()
      expect(await post(alone.url, 'demo')).toMatchObject({ status: 204 })
      expect(await alone.landed()).toHaveLength(1)
    })

    test.concurrent.each([
      ['cuts each connection', cuttingAtOnce, ''],
      [
        'cuts its answers off',
        cuttingLater,
        'HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n[{"offset":',
      ],
    ])('a log that %s', async (_, alone, answer) => {
      await alone.brokerDown()
      const cutter = Bun.listen({
        hostname: '127.0.0.1',
        port: alone.brokerPort,
        socket: { data: (socket) => void socket.end(answer) },
      })
      const refused = await post(alone.url, 'demo')
      expect(refused.status).toBe(503)
      expect(refused.tookMs).toBeLessThan(LOGPLEX_MS_MAX)
      cutter.stop(true)
      alone.brokerUp()
      expect(await post(alone.url, 'demo')).toMatchObject({ status: 204 })
      expect(await alone.landed()).toHaveLength(1)
    })

    test.concurrent('a log that is another’s: its password is wrong', async () => {
      const alone = another
      const url = new URL(alone.bindings.SHELF_LOG)
      url.password = 'other'
      await alone.configure({ SHELF_LOG: url.href })
      const refused = await post(alone.url, 'demo')
      expect(refused.status).toBe(503)
      expect(refused.tookMs).toBeLessThan(LOGPLEX_MS_MAX)
      await alone.configure({})
      expect(await post(alone.url, 'demo')).toMatchObject({ status: 204 })
    })
  })
})

describe.each(edges)('in $runtime,', ({ runtime, edge }) => {
  test('a log that takes a second is waited for', async () => {
    const { status, tookMs } = await post(edge.url, 'slow')
    expect(status).toBe(204)
    expect(tookMs).toBeGreaterThan(990)
    expect((await edge.landed()).filter(({ key }) => key === 'slow')).toHaveLength(1)
  })

  test('200 bodies at a time each land once, also where they are the first that the edge sees', async () => {
    const cold = await start(runtime)
    const credentials = await authorization('demo')
    const answers = await Promise.all(
      Array.from({ length: 200 }, async (_, i) => {
        const headers = { authorization: credentials, 'logplex-frame-id': `F${i}` }
        const response = await postDrain(cold.url, body(request(`status=200 bytes=${i}`)), {
          headers,
        })
        await response.text()
        return response.status
      }),
    )
    expect(new Set(answers)).toEqual(new Set([204]))
    const bursts = (await cold.landed()).map(({ value }) => decodeBurst(value))
    const sizes = bursts.flatMap(({ requests }) => [...requests.bytes]).sort((a, b) => a - b)
    expect(sizes).toEqual(Array.from({ length: 200 }, (_, i) => i))
    expect(new Set(bursts.map(({ id }) => id)).size).toBe(200)
  })
})
