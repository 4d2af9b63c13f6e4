/** What one drain, or many at once, may take: a rate for each, and room for bodies. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { connect, type Socket } from 'node:net'
import { deliver } from '../batch/deliver.ts'
import { BodiesHeld } from '../edge/limits-bodies.ts'
import { RateLimit } from '../edge/limits-rate.ts'
import {
  APP,
  authorization,
  body,
  type Posted,
  postDrain,
  request,
  requestsOf,
  startEdge,
  type TestEdge,
} from './edge.ts'
import { RUNTIMES } from './edge-runtimes.ts'
import { until } from './stack.ts'

setDefaultTimeout(60_000)

const good = body(request())

describe('the rate of a drain', () => {
  test('is what was said, after ten times as many at once, and told in whole seconds', () => {
    const limit = new RateLimit(2)
    const taken = (atMs: number, times: number): number[] =>
      Array.from({ length: times }, () => limit.take('a', atMs))
    expect(taken(0, 20)).toEqual(Array(20).fill(0))
    expect(taken(0, 2)).toEqual([1, 1])
    expect(taken(499, 1)).toEqual([1])
    expect(taken(1000, 3)).toEqual([0, 0, 1])
    expect(taken(1_000_000, 21)).toEqual([...Array(20).fill(0), 1])
  })

  test('is its own: another drain has all of its', () => {
    const limit = new RateLimit(1)
    for (let i = 0; i < 11; i++) limit.take('a', 0)
    expect([limit.take('a', 0), limit.take('b', 0)]).toEqual([1, 0])
  })

  test('stands when the clock is set back', () => {
    const limit = new RateLimit(1)
    for (let i = 0; i < 11; i++) limit.take('a', 1_000_000)
    expect(limit.take('a', 0)).toBe(1)
    expect(limit.take('a', 1000)).toBe(0)
  })

  test('is remembered of 10,000 drains, whatever came of others since', () => {
    const limit = new RateLimit(1)
    for (let i = 0; i < 11; i++) limit.take('busy', 0)
    for (let i = 0; i < 9999; i++) limit.take(`drain ${i}`, 0)
    expect(limit.take('busy', 0)).toBe(1)
    for (let i = 0; i < 10_000; i++) limit.take(`other ${i}`, 0)
    expect(limit.take('busy', 0)).toBe(0)
  })
})

describe('the room for bodies', () => {
  test('is given up to the bound, and again when it was given back', () => {
    const held = new BodiesHeld(100)
    const first = held.hold(60, 0)
    expect(held.hold(41, 0)).toBeUndefined()
    expect(held.hold(40, 0)).toBeDefined()
    if (first !== undefined) held.release(first)
    expect([held.hold(61, 0), held.hold(60, 0) !== undefined]).toEqual([undefined, true])
  })

  test('is given back once, however often', () => {
    const held = new BodiesHeld(100)
    const first = held.hold(60, 0)
    for (let i = 0; i < 3; i++) if (first !== undefined) held.release(first)
    expect(held.hold(100, 0)).toBeDefined()
    expect(held.hold(1, 0)).toBeUndefined()
  })

  test('is had again where a request was lost with no word', () => {
    const held = new BodiesHeld(100)
    for (let i = 0; i < 10; i++) held.hold(10, 0)
    expect(held.hold(100, 9999)).toBeUndefined()
    expect(held.hold(100, 10_000)).toBeDefined()
  })

  test('is there for one body, however large', () => {
    const held = new BodiesHeld(100)
    expect(held.hold(1000, 0)).toBeDefined()
    expect(held.hold(1, 0)).toBeUndefined()
  })
})

test('shelf send waits as long as a 429 says before it tries again', async () => {
  let firstMs: number | undefined
  const drain = Bun.serve({
    hostname: '127.0.0.1',
    port: 0,
    fetch() {
      firstMs ??= performance.now()
      if (performance.now() - firstMs > 1990) return new Response(null, { status: 204 })
      return new Response(null, { status: 429, headers: { 'retry-after': '2' } })
    },
  })
  try {
    const url = `http://app:secret@127.0.0.1:${drain.port}/drains/heroku`
    const lines = [Buffer.from(request())]
    expect(await deliver(url, lines, new AbortController().signal)).toMatchObject({ dropped: 0 })
  } finally {
    await drain.stop(true)
  }
})

/** A request whose body of `bytes` has begun, and goes no further. */
async function begin(edge: TestEdge, bytes: number, credentials: string): Promise<Socket> {
  const { hostname, port } = new URL(edge.url)
  const socket = connect(Number(port), hostname).on('error', () => {})
  const head = [
    'POST /drains/heroku HTTP/1.1',
    `Host: ${hostname}`,
    `Authorization: ${credentials}`,
    'Content-Type: application/logplex-1',
    `Content-Length: ${bytes}`,
  ]
  socket.write(`${head.join('\r\n')}\r\n\r\n1`)
  return socket
}

/** What is answered on a socket, to the end of its head. */
async function answer(socket: Socket): Promise<string> {
  let text = ''
  for await (const piece of socket) {
    text += piece
    if (text.includes('\r\n\r\n')) break
  }
  return text
}

describe.each(RUNTIMES)('in %s,', async (runtime) => {
  const slow = await startEdge({ runtime, settings: { SHELF_DRAIN_RATE: '1' } })
  const edge = await startEdge({ runtime, spool: true })
  afterAll(() => Promise.all([slow.stop(), edge.stop()]))

  test.concurrent('a drain over its rate is answered 429 with Retry-After, others are not', async () => {
    const eager = (): Promise<Posted> => slow.post(good, { app: 'eager' })
    for (let i = 0; i < 10; i++) expect((await eager()).status).toBe(204)
    const { headers, text, records } = await until('it to be too much', async () => {
      const posted = await eager()
      return posted.status === 429 && posted
    })
    expect([headers.get('retry-after'), records]).toEqual(['1', []])
    expect(JSON.parse(text)).toMatchObject({ code: 'over-rate', status: 429 })
    expect((await slow.post(good, { app: 'modest' })).status).toBe(204)
    await until('its turn', async () => (await eager()).status === 204)
  })

  test.concurrent('a body that does not come is answered 503 in time', async () => {
    const startMs = performance.now()
    const holding = await begin(slow, 700_000, await authorization(APP))
    const answered = await answer(holding)
    expect(answered).toStartWith('HTTP/1.1 503')
    expect(answered.toLowerCase()).toContain('retry-after: 1')
    expect(performance.now() - startMs).toBeLessThan(5000)
  })

  test.concurrent('60 of the largest bodies at once, with the log away, do not take its memory', async () => {
    const large = body(...Array.from({ length: 3500 }, () => request()))
    expect(large.length).toBeGreaterThan(700_000)
    await edge.post(good)
    await edge.brokerDown()
    const before = edge.running.memoryBytes()
    let most = before
    const watch = setInterval(() => {
      most = Math.max(most, edge.running.memoryBytes())
    }, 100)
    const posts = Array.from({ length: 60 }, async (_, i) => {
      const headers = { 'logplex-frame-id': `F${i}` }
      return (await postDrain(edge.url, large, { headers })).status
    })
    const statuses = await Promise.all(posts)
    clearInterval(watch)
    expect(new Set(statuses)).toEqual(new Set([204, 503]))
    expect(most - before).toBeLessThan(250_000_000)
  })
})

describe.each(RUNTIMES)('in %s,', (runtime) => {
  let narrow: TestEdge
  beforeAll(async () => {
    narrow = await startEdge({ runtime, settings: { SHELF_BODIES_BYTES_MAX: '1000000' } })
  })
  afterAll(() => narrow.stop())

  test('bodies over the room are asked to come again, small ones go on', async () => {
    const credentials = await authorization('slow')
    const holding: Socket[] = []
    const large = Buffer.concat([good, Buffer.alloc(600_000, ' ')])
    // Which of the two is first is not ours to say: until it is the one that holds.
    const refused = await until('the room to be taken', async () => {
      holding.push(await begin(narrow, 700_000, credentials))
      await fetch(`${narrow.url}/healthz`)
      const posted = await narrow.post(large)
      return posted.status === 503 && posted
    })
    expect(refused.headers.get('retry-after')).toBe('1')
    expect(JSON.parse(refused.text)).toMatchObject({ code: 'too-many-bodies' })
    expect(requestsOf((await narrow.post(good)).bursts[0])).toHaveLength(1)
    for (const socket of holding) socket.destroy()
    await until('room', async () => (await narrow.post(large)).status === 204)
  })

  test('strangers take no room', async () => {
    const sockets = await Promise.all(
      Array.from({ length: 30 }, () => begin(narrow, 700_000, 'Basic c3RyYW5nZXI6c3RyYW5nZXI=')),
    )
    expect((await narrow.post(Buffer.alloc(700_000, ' '))).status).toBe(204)
    for (const socket of sockets) socket.destroy()
  })
})
