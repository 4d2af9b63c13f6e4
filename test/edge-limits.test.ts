/** What one drain, or many at once, may take: a rate for each, and room for bodies. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { connect, type Socket } from 'node:net'
import { deliver } from '../batch/deliver.ts'
import { BodiesHeld } from '../edge/limits-bodies.ts'
import { RateLimit } from '../edge/limits-rate.ts'
import { inTurn } from '../edge/limits-unpacking.ts'
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
  /** Whether a drain gets room for a body of so many bytes. */
  const gets = (room: BodiesHeld, drain: string, bytes: number, nowMs = 0): boolean =>
    room.grow(room.hold(drain, nowMs), bytes)

  test('is given up to the bound, and again when it was given back', () => {
    const room = new BodiesHeld(100)
    const first = room.hold('a', 0)
    expect(room.grow(first, 60)).toBe(true)
    expect([gets(room, 'b', 41), gets(room, 'c', 40)]).toEqual([false, true])
    room.release(first)
    room.release(first)
    expect([gets(room, 'd', 61), gets(room, 'e', 60)]).toEqual([false, true])
  })

  test('grows with a body, as far as there is any', () => {
    const room = new BodiesHeld(100)
    const first = room.hold('a', 0)
    expect([10, 20, 50].map((bytes) => room.grow(first, bytes))).toEqual([true, true, true])
    expect(gets(room, 'b', 40)).toBe(true)
    expect([room.grow(first, 61), room.grow(first, 60)]).toEqual([false, true])
    expect(gets(room, 'c', 1)).toBe(false)
  })

  test('is half for one drain, however much it asks for: the others have the rest', () => {
    const room = new BodiesHeld(100)
    expect(Array.from({ length: 8 }, () => gets(room, 'a', 10)).filter(Boolean)).toHaveLength(5)
    expect(gets(room, 'b', 50)).toBe(true)
  })

  test('is had again where a request was lost with no word', () => {
    const room = new BodiesHeld(100)
    for (let i = 0; i < 10; i++) gets(room, String(i), 10)
    expect(gets(room, 'x', 100, 9999)).toBe(false)
    expect(gets(room, 'x', 100, 10_000)).toBe(true)
  })

  test('is there for one body, however large', () => {
    const room = new BodiesHeld(100)
    expect(gets(room, 'a', 1000)).toBe(true)
    expect(gets(room, 'b', 1)).toBe(false)
  })
})

describe('bodies are unpacked', () => {
  test('one at a time', async () => {
    let most = 0
    let now = 0
    const work = async (): Promise<string> => {
      most = Math.max(most, ++now)
      await Bun.sleep(3)
      now--
      return 'done'
    }
    const untilMs = performance.now() + 20_000
    const done = await Promise.all(Array.from({ length: 8 }, () => inTurn(work, untilMs)))
    expect([done, most]).toEqual([Array(8).fill('done'), 1])
  })

  test('by the next one, too, when one failed', async () => {
    const failing = inTurn(() => Promise.reject(new Error('no gzip')), performance.now())
    await expect(failing).rejects.toThrow('no gzip')
    expect(await inTurn(async () => 'done', performance.now() - 1)).toBe('done')
  })

  test('not when it is too late, and after a second where a request was lost with no word', async () => {
    void inTurn(() => new Promise(() => {}), performance.now())
    expect(await inTurn(async () => 'done', performance.now())).toBeUndefined()
    expect(await inTurn(async () => 'done', performance.now() + 20_000)).toBe('done')
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

/** A request whose body of `bytes`, or of unknown length, has begun, and goes no further. */
async function begin(
  edge: TestEdge,
  bytes: number | undefined,
  credentials: string,
): Promise<Socket> {
  const { hostname, port } = new URL(edge.url)
  const socket = connect(Number(port), hostname).on('error', () => {})
  const head = [
    'POST /drains/heroku HTTP/1.1',
    `Host: ${hostname}`,
    `Authorization: ${credentials}`,
    'Content-Type: application/logplex-1',
    bytes === undefined ? 'Transfer-Encoding: chunked' : `Content-Length: ${bytes}`,
  ]
  socket.write(`${head.join('\r\n')}\r\n\r\n1${bytes === undefined ? '\r\n1\r\n' : ''}`)
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

  test('a drain whose bodies never end leaves room for the others', async () => {
    const credentials = await authorization('endless')
    const begun = Array.from({ length: 20 }, () => begin(narrow, undefined, credentials))
    const sockets = await Promise.all(begun)
    // Once one of them is refused, the others have what they may have.
    expect(await Promise.race(sockets.map(answer))).toStartWith('HTTP/1.1 503')
    expect((await narrow.post(Buffer.alloc(400_000, ' '))).status).toBe(204)
    for (const socket of sockets) socket.destroy()
    await until('room', async () => (await narrow.post(Buffer.alloc(700_000, ' '))).status === 204)
  })

  test('strangers take no room', async () => {
    const sockets = await Promise.all(
      Array.from({ length: 30 }, () => begin(narrow, 700_000, 'Basic c3RyYW5nZXI6c3RyYW5nZXI=')),
    )
    expect((await narrow.post(Buffer.alloc(700_000, ' '))).status).toBe(204)
    for (const socket of sockets) socket.destroy()
  })
})
