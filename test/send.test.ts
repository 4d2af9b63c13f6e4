import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { batches, deliver, frameBody } from '../batch/deliver.ts'
import {
  type DrainMessage,
  minutesToNow,
  newestMs,
  readLogText,
  shiftMessage,
} from '../batch/log-text.ts'
import { cutFrames } from '../core/frames.ts'

const bytes = (text: string): Uint8Array => Buffer.from(text, 'latin1')
const texts = (messages: DrainMessage[]): string[] =>
  messages.map((message) => Buffer.from(message).toString('latin1'))

const never = new AbortController().signal

interface Received {
  frameId: string | null
  count: string | null
  token: string | null
  contentType: string | null
  authorization: string | null
  messages: string[]
}

/** A drain that answers with `statuses` in turn, then 204; 0 is no answer at all. */
function startDrain(statuses: number[] = []) {
  const received: Received[] = []
  const server = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    async fetch(request) {
      const body = new Uint8Array(await request.arrayBuffer())
      const messages: string[] = []
      cutFrames(body, (start, end) =>
        messages.push(Buffer.from(body.subarray(start, end)).toString()),
      )
      received.push({
        frameId: request.headers.get('logplex-frame-id'),
        count: request.headers.get('logplex-msg-count'),
        token: request.headers.get('logplex-drain-token'),
        contentType: request.headers.get('content-type'),
        authorization: request.headers.get('authorization'),
        messages,
      })
      return new Response(null, { status: statuses.shift() ?? 204 })
    },
  })
  return { url: `http://app:secret@127.0.0.1:${server.port}/drains/heroku`, received, server }
}

describe('log text', () => {
  test('a line of heroku logs becomes the message that a drain would carry', () => {
    const { messages, unreadable } = readLogText(
      bytes(
        '2014-01-09T06:16:53.748849+00:00 heroku[router]: at=info status=200\n' +
          '2014-01-09T06:16:54+00:00 app[web.1]: hello [x]: y\n' +
          '2014-01-09T06:16:55+00:00 heroku[web.1]: Restarting\n',
      ),
    )
    expect(unreadable).toBe(0)
    expect(texts(messages)).toEqual([
      '<158>1 2014-01-09T06:16:53.748849+00:00 host heroku router - at=info status=200\n',
      '<190>1 2014-01-09T06:16:54+00:00 host app web.1 - hello [x]: y\n',
      '<45>1 2014-01-09T06:16:55+00:00 host heroku web.1 - Restarting\n',
    ])
  })

  test('a line that is no log line is left out and counted, the others stay', () => {
    const { messages, unreadable } = readLogText(
      bytes('what?\n2014-01-09T06:16:54+00:00 app[web.1]: x\n    at stack (trace)\n'),
    )
    expect(messages).toHaveLength(1)
    expect(unreadable).toBe(2)
  })

  test('bytes that are not UTF-8 stay as they are', () => {
    const { messages } = readLogText(bytes('2014-01-09T06:16:54+00:00 app[web.1]: \xff\xfe\n'))
    expect(texts(messages)[0]).toContain('\xff\xfe\n')
  })

  test('a line over 10,000 bytes is split as log-shuttle splits it; only the last part ends it', () => {
    const { messages } = readLogText(
      bytes(`2014-01-09T06:16:54+00:00 app[web.1]: ${'x'.repeat(25_000)}\n`),
    )
    const contents = texts(messages).map((text) => text.slice(text.indexOf(' - ') + 3))
    expect(contents.map((content) => content.length)).toEqual([10_000, 10_000, 5001])
    expect(contents.map((content) => content.endsWith('\n'))).toEqual([false, false, true])
  })

  test('a ready drain body is taken message by message, newlines inside and all', () => {
    const made = [
      '<190>1 2026-11-22T08:00:03+00:00 host app web.1 - a\nb ',
      '<45>1 2026-11-22T08:00:04+00:00 host heroku web.1 - c\n',
    ]
    expect(texts(readLogText(frameBody(made.map(bytes))).messages)).toEqual(made)
  })

  test('shifting moves whole minutes and keeps length, seconds and fraction', () => {
    fc.assert(
      fc.property(
        fc.date({ min: new Date('1971-01-01'), max: new Date('2100-01-01'), noInvalidDate: true }),
        fc.integer({ min: -500_000, max: 500_000 }),
        (date, minutes) => {
          const at = `${date.toISOString().slice(0, 23)}456+00:00`
          const moved = shiftMessage(bytes(`<158>1 ${at} host heroku router - x\n`), minutes)
          const [, time = ''] =
            /^<158>1 (\S+) host heroku router - x\n$/.exec(texts([moved])[0] ?? '') ?? []
          expect(time).toHaveLength(at.length)
          expect(Date.parse(time)).toBe(date.getTime() + minutes * 60_000)
          expect(time.slice(16)).toBe(at.slice(16))
        },
      ),
    )
  })

  test('--shift-to-now puts the newest line into the last full minute', () => {
    const now = Date.parse('2026-11-23T03:20:05Z')
    const messages = ['06:14:59.9', '06:18:06.1', '06:16:00'].map((time) =>
      bytes(`<158>1 2014-01-09T${time}+00:00 host heroku router - x\n`),
    )
    const minutes = minutesToNow(newestMs(messages) ?? 0, now)
    const moved = messages.map((message) => shiftMessage(message, minutes))
    expect(new Date(newestMs(moved) ?? 0).toISOString()).toBe('2026-11-23T03:19:06.100Z')
  })
})

describe('delivery', () => {
  const lines = Array.from({ length: 900 }, (_, i) =>
    bytes(
      `<158>1 2026-11-22T08:00:00+00:00 host heroku router - at=info n=${i} ${'x'.repeat(250)}\n`,
    ),
  )

  test('batches hold at most 100 KiB, in order, and a larger message goes alone', () => {
    const large = bytes('x'.repeat(150_000))
    const made = [...batches([...lines, large, ...lines])]
    expect(made.flat()).toEqual([...lines, large, ...lines])
    for (const batch of made) {
      expect(batch.length === 1 || frameBody(batch).length <= 102_400).toBe(true)
    }
  })

  test('a request carries what Logplex sends: count, frame id, token, credentials, type', async () => {
    const drain = startDrain()
    const delivery = await deliver(drain.url, lines, never)
    expect(delivery).toEqual({ messages: 900, requests: drain.received.length, dropped: 0 })
    expect(drain.received.flatMap(({ messages }) => messages)).toEqual(texts(lines))
    for (const { frameId, count, token, contentType, authorization, messages } of drain.received) {
      expect(frameId).toMatch(/^[0-9A-F]{32}$/)
      expect(count).toBe(String(messages.length))
      expect(token).toMatch(/^d\./)
      expect(contentType).toBe('application/logplex-1')
      expect(authorization).toBe(`Basic ${btoa('app:secret')}`)
    }
    await drain.server.stop(true)
  })

  test('the same lines sent again come under the same frame ids, which differ among themselves', async () => {
    const [first, second] = [startDrain(), startDrain()]
    await deliver(first.url, lines, never)
    await deliver(second.url, lines, never)
    const ids = first.received.map(({ frameId }) => frameId)
    expect(second.received.map(({ frameId }) => frameId)).toEqual(ids)
    expect(new Set(ids).size).toBe(ids.length)
    await Promise.all([first.server.stop(true), second.server.stop(true)])
  })

  test('503 and 429 are tried again under the same frame id', async () => {
    const drain = startDrain([503, 429])
    const delivery = await deliver(drain.url, lines.slice(0, 3), never)
    expect(delivery.dropped).toBe(0)
    expect(drain.received).toHaveLength(3)
    expect(new Set(drain.received.map(({ frameId }) => frameId)).size).toBe(1)
    await drain.server.stop(true)
  })

  test('what was dropped after three tries stands in an L10 line before the next request', async () => {
    const drain = startDrain([503, 503, 503])
    const delivery = await deliver(drain.url, lines, never)
    const dropped = drain.received[0]?.messages.length ?? 0
    expect(delivery.dropped).toBe(dropped)
    const [loss = ''] = drain.received[3]?.messages ?? []
    expect(loss).toMatch(
      new RegExp(
        `^<172>1 \\S+ host heroku logplex - Error L10 \\(output buffer overflow\\): ${dropped} messages dropped since \\S+\\.$`,
      ),
    )
    await drain.server.stop(true)
  })

  test('a drain that refuses us, or that is not there, ends it with a clear error', async () => {
    const drain = startDrain([401])
    await expect(deliver(drain.url, lines, never)).rejects.toThrow('the drain refused us: 401')
    await drain.server.stop(true)
    await expect(deliver(drain.url, lines.slice(0, 1), never)).rejects.toThrow('nobody answers')
  })

  test('a drain that sends us elsewhere got nothing: it ends with a line that says where', async () => {
    let asked = 0
    const elsewhere = Bun.serve({
      hostname: '127.0.0.1',
      port: 0,
      fetch({ method }) {
        asked++
        if (method === 'GET') return new Response('<html>sign in')
        return new Response(null, { status: 302, headers: { location: '/login' } })
      },
    })
    const url = `http://app:secret@127.0.0.1:${elsewhere.port}/drains/heroku`
    await expect(deliver(url, lines, never)).rejects.toThrow('sent us elsewhere: 302 to /login')
    expect(asked).toBe(1)
    await elsewhere.stop(true)
  })

  test('--rate holds the lines a second back', async () => {
    const drain = startDrain()
    const startMs = performance.now()
    await deliver(drain.url, lines, never, { rate: 1500 })
    // The last of the requests is due when all lines before it are: 0.4 s and more.
    expect(performance.now() - startMs).toBeGreaterThan(400)
    await drain.server.stop(true)
  })
})
