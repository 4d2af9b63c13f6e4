/** Bodies as they come: too large, packed, broken off, empty. */
import { afterAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { connect } from 'node:net'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { createGzip, gzipSync } from 'node:zlib'
import { BODY_BYTES_MAX, PACKED_BYTES_MAX } from '../edge/body.ts'
import {
  APP,
  authorization,
  body,
  message,
  type Posted,
  request,
  requestsOf,
  startEdge,
  TEST_MS_MAX,
  totals,
} from './edge.ts'
import { RUNTIMES } from './edge-runtimes.ts'

setDefaultTimeout(TEST_MS_MAX)

const GZIP = { headers: { 'content-encoding': 'gzip' } }

describe.each(RUNTIMES)('in %s,', async (runtime) => {
  const edge = await startEdge({ runtime })
  afterAll(() => edge.stop())

  const good = body(request(), request(), message('Error L10: 5 messages dropped'))

  /** A stream has no Content-Length: it is sent in chunks. */
  function chunked(bytes: Uint8Array): ReadableStream<Uint8Array> {
    let at = 0
    return new ReadableStream({
      pull(controller) {
        if (at >= bytes.length) controller.close()
        else controller.enqueue(bytes.slice(at, at + 10_000))
        at += 10_000
      },
    })
  }

  function* zeros(megabytes: number): Generator<Uint8Array> {
    for (let i = 0; i < megabytes; i++) yield new Uint8Array(1_000_000)
  }

  function expectRefused({ status, text, records }: Posted, expected: number): void {
    expect(status).toBe(expected)
    expect(JSON.parse(text)).toMatchObject({ error: expect.any(String), status: expected })
    expect(records).toEqual([])
  }

  describe('a body over the limit is answered 413:', () => {
    test.each([BODY_BYTES_MAX + 1, 20_000_000])('%i bytes with Content-Length', async (bytes) => {
      expectRefused(await edge.post(new Uint8Array(bytes)), 413)
    })

    test.each([BODY_BYTES_MAX + 1, 20_000_000])('%i bytes in chunks, without', async (bytes) => {
      expectRefused(await edge.post(chunked(new Uint8Array(bytes))), 413)
    })

    test('packed, above the limit for that', async () => {
      const noise = crypto.getRandomValues(new Uint8Array(65_536))
      const packed = gzipSync(Buffer.concat([noise, noise.toReversed(), noise.toSorted()]))
      expect(packed.length).toBeGreaterThan(PACKED_BYTES_MAX)
      expectRefused(await edge.post(packed, GZIP), 413)
      expectRefused(await edge.post(chunked(packed), GZIP), 413)
    })

    test('packed below the limit, unpacked above', async () => {
      expectRefused(await edge.post(gzipSync(new Uint8Array(BODY_BYTES_MAX + 1)), GZIP), 413)
    })
  })

  test('a body in chunks and a packed body come to what the plain one comes to', async () => {
    const plain = await edge.post(good)
    const inChunks = await edge.post(chunked(good))
    const packed = await edge.post(gzipSync(good), GZIP)
    const spelled = await edge.post(gzipSync(good), { headers: { 'content-encoding': 'GZip' } })
    expect(requestsOf(plain.bursts[0])).toHaveLength(2)
    for (const other of [inChunks, packed, spelled]) {
      expect(other.status).toBe(204)
      expect({ ...other.bursts[0], receivedAtMs: 0 }).toEqual({
        ...plain.bursts[0],
        receivedAtMs: 0,
      })
    }
  })

  test('a large packed body is unpacked whole', async () => {
    const lines = Array.from({ length: 3000 }, (_, i) =>
      request(
        `dyno=web.1 connect=${i % 7}ms service=${(i * 7919) % 30_000}ms status=200 bytes=${i}`,
      ),
    )
    const { status, bursts } = await edge.post(gzipSync(body(...lines)), GZIP)
    expect(status).toBe(204)
    expect(requestsOf(bursts[0]).map((row) => row.bytes)).toEqual(lines.map((_, i) => i))
  })

  const packed = gzipSync(good)
  test.each<[string, Uint8Array]>([
    ['that ends too early', packed.subarray(0, -9)],
    ['with a wrong checksum', packed.with(-6, (packed.at(-6) ?? 0) ^ 1)],
    ['that is none', good],
    ['of nothing', new Uint8Array()],
  ])('gzip %s is answered 400', async (_, bytes) => {
    expectRefused(await edge.post(Buffer.from(bytes), GZIP), 400)
  })

  test.each(['br', 'deflate', 'zstd', 'gzip, gzip', 'identity, br'])(
    'a body of another encoding is answered 400: %s',
    async (encoding) => {
      expectRefused(await edge.post(good, { headers: { 'content-encoding': encoding } }), 400)
    },
  )

  describe('a gzip bomb', async () => {
    // 120 MB in 120 KB: below the limit of what is packed. Made in pieces, to be kind.
    const bomb = await buffer(Readable.from(zeros(120)).pipe(createGzip({ level: 9 })))

    test('is answered 413 quickly', async () => {
      expect(bomb.length).toBeLessThan(PACKED_BYTES_MAX)
      const startMs = performance.now()
      expectRefused(await edge.post(bomb, GZIP), 413)
      expect(performance.now() - startMs).toBeLessThan(1000)
    })

    test.skipIf(Bun.which('ps') === null)('takes no memory that stays', async () => {
      const before = edge.running.memoryBytes()
      expect(before).toBeGreaterThan(0)
      for (let i = 0; i < 8; i++) expectRefused(await edge.post(bomb, GZIP), 413)
      expect(edge.running.memoryBytes() - before).toBeLessThan(100_000_000)
    })
  })

  test('an empty body is answered 204, and nothing is produced', async () => {
    for (const headers of [{}, { 'logplex-msg-count': '0' }, { 'logplex-msg-count': 'none' }]) {
      const { status, records } = await edge.post('', { headers })
      expect([status, records]).toEqual([204, []])
    }
  })

  test('messages that were counted and did not come are malformed', async () => {
    const { status, bursts } = await edge.post('', { headers: { 'logplex-msg-count': '3' } })
    expect([status, totals(bursts[0])]).toEqual([204, { received: 3, malformed: 3 }])
  })

  test('a request that breaks off produces nothing, and costs nobody else', async () => {
    const before = await edge.log.offsetAt('raw', 0, 'latest')
    const { hostname, port } = new URL(edge.url)
    const socket = connect(Number(port), hostname)
    const head = [
      'POST /drains/heroku HTTP/1.1',
      `Host: ${hostname}`,
      `Authorization: ${await authorization(APP)}`,
      'Content-Type: application/logplex-1',
      `Content-Length: ${good.length + 100}`,
    ]
    await new Promise<void>((resolve) => {
      socket.on('close', () => resolve()).on('error', () => resolve())
      socket.end(Buffer.concat([Buffer.from(`${head.join('\r\n')}\r\n\r\n`), good]))
      socket.resume()
    })
    expect((await edge.post(good)).status).toBe(204)
    expect(await edge.landed(before)).toHaveLength(1)
  })
})
