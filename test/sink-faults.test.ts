/** What becomes of a network or a server that fails: in time, and with nothing left going. */
import { describe, expect, test } from 'bun:test'
import type { Outcome } from '../edge/sinks/sink.ts'
import { AMPLE_MS, produce } from './sink-calls.ts'
import { SERVER_KINDS, startServer } from './sink-servers.ts'
import type { Fault } from './sink-wire.ts'

/** One server of each dialect, for what the dialect's server has no part in. */
const DIALECT_KINDS = ['broker', 'Confluent v2', 'Confluent v3'] as const

/** Enough for a first try that hangs, and a second one on a busy machine. */
const BUDGET_MS = 2000
const SHORT_MS = 700

const OK: Outcome[] = ['ok', 'ok', 'ok']
const RETRY: Outcome[] = ['retry', 'retry', 'retry']

/** Half of a Worker's memory: what the sink reads, and the buffers of two sockets and a runtime. */
const ENDLESS_BYTES_MAX = 64 * 1024 * 1024

const CUTS: Fault[] = [
  { kind: 'cut', at: 'request' },
  { kind: 'cut', at: 'answer' },
  { kind: 'cut', at: 'body' },
]
const HANGS: Fault[] = [
  { kind: 'hang', at: 'request' },
  { kind: 'hang', at: 'answer' },
  { kind: 'hang', at: 'body' },
  { kind: 'slow', at: 'body' },
]
const ENDLESS = [
  ' ',
  '\\"',
  '{"a":',
  '{"error_code":200,"offset":1}\r\n',
  '{"partition":0,"offset":1},',
]

const lettersOf = (held: readonly { value: string }[]): string =>
  held.map(({ value }) => value).join('')

describe.each(SERVER_KINDS)('%s', (kind) => {
  test.concurrent.each(CUTS)('a connection that is cut ($at) costs one more try', async (fault) => {
    using server = await startServer(kind, [fault])
    expect((await produce(server, 'abc', AMPLE_MS)).outcomes).toEqual(OK)
    expect(new Set(lettersOf(await server.held()))).toEqual(new Set('abc'))
    expect(server.wire.requests).toBe(2)
  })
})

describe.each(DIALECT_KINDS)('%s', (kind) => {
  test.concurrent.each(HANGS)(
    'a try that hangs ($kind $at) leaves time for another',
    async (fault) => {
      using server = await startServer(kind, [fault])
      expect((await produce(server, 'abc', BUDGET_MS)).outcomes).toEqual(OK)
      expect(new Set(lettersOf(await server.held()))).toEqual(new Set('abc'))
      await server.wire.untilLetGo()
    },
  )

  test.concurrent.each(HANGS)(
    'a server that hangs ($kind $at) is let go in time',
    async (fault) => {
      using server = await startServer(kind)
      server.wire.always = fault
      const { outcomes, lines } = await produce(server, 'abc', SHORT_MS)
      // What rest-v3 reported before it hung is written.
      const held = lettersOf(await server.held())
      expect(outcomes).toContain('retry')
      expect(outcomes).not.toContain('reject')
      for (const [at, letter] of [...'abc'].entries()) {
        if (outcomes[at] === 'ok') expect(held).toContain(letter)
      }
      expect(lines).toHaveLength(1)
      const { requests } = server.wire
      await server.wire.untilLetGo()
      expect(server.wire.requests).toBe(requests)
    },
  )

  test.each(ENDLESS)('an answer without end, of %p, is read up to a limit', async (text) => {
    const piece = text.repeat(4096 / text.length)
    using server = await startServer(kind, [{ kind: 'endless', piece }])
    expect((await produce(server, 'abc', AMPLE_MS)).outcomes).toEqual(OK)
    expect(server.sent).toEqual(['abc'])
    expect(server.wire.endlessBytes).toBeLessThan(ENDLESS_BYTES_MAX)
  })

  test.concurrent('a server that is not there is a retry, and told', async () => {
    const server = await startServer(kind)
    server[Symbol.dispose]()
    const { outcomes, lines } = await produce(server, 'abc', SHORT_MS)
    expect(outcomes).toEqual(RETRY)
    expect(lines).toEqual(['3 of 3 records not taken: the log did not answer'])
  })
})

test.concurrent('an address that nothing answers at is given up in time', async () => {
  // RFC 5737: nobody has it.
  const nowhere = { dialect: 'rest-v2', url: 'http://192.0.2.1:9' } as const
  expect((await produce(nowhere, 'abc', SHORT_MS)).outcomes).toEqual(RETRY)
})

test.concurrent('what rest-v3 reported before it hung is not sent again', async () => {
  using server = await startServer('Confluent v3', [{ kind: 'hang', at: 'body' }])
  await produce(server, 'abc', BUDGET_MS)
  expect(server.sent).toEqual(['abc', 'bc'])
})

test.concurrent('nothing goes on behind the back of the caller', async () => {
  using server = await startServer('Confluent v2')
  server.wire.always = { kind: 'reply', reply: { status: 503, body: '' } }
  expect((await produce(server, 'abc', SHORT_MS)).outcomes).toEqual(RETRY)
  const { requests } = server.wire
  // Longer than the longest pause.
  await Bun.sleep(1200)
  expect(server.wire.requests).toBe(requests)
})

test.concurrent('pauses grow from try to try', async () => {
  const fault: Fault = { kind: 'reply', reply: { status: 500, body: '' } }
  using server = await startServer('Redpanda', [fault, fault, fault])
  const { elapsedMs } = await produce(server, 'a', AMPLE_MS)
  // Half of 50, 100 and 200 ms at least; a timer may be a millisecond early.
  expect(elapsedMs).toBeGreaterThan(170)
})

test.concurrent('a redirect is not followed', async () => {
  using other = await startServer('Strimzi')
  const location = `http://127.0.0.1:${other.wire.port}/topics/raw`
  for (const status of [301, 302, 303, 307, 308]) {
    using server = await startServer('Confluent v2', [
      { kind: 'reply', reply: { status, headers: { location }, body: '' } },
    ])
    expect((await produce(server, 'a', AMPLE_MS)).outcomes).toEqual(['ok'])
  }
  expect(other.wire.requests).toBe(0)
})

test.concurrent('a call asks 32 times at most', async () => {
  using server = await startServer('Redpanda')
  server.wire.always = { kind: 'reply', reply: { status: 413, body: '' } }
  const { outcomes } = await produce(server, 'abcdefghijklmnopqrstuvwxyz'.repeat(4), AMPLE_MS)
  expect(server.wire.requests).toBe(32)
  expect(new Set(outcomes)).toEqual(new Set(['retry']))
})

describe('Retry-After', () => {
  const busy = (retryAfter: string, status = 429): Fault => ({
    kind: 'reply',
    reply: { status, headers: { 'retry-after': retryAfter }, body: '' },
  })

  test.concurrent.each([429, 503])('in seconds is waited for after a %i', async (status) => {
    using server = await startServer('Confluent v3', [busy('1', status)])
    const { outcomes, elapsedMs } = await produce(server, 'abc', AMPLE_MS)
    expect(outcomes).toEqual(OK)
    expect(elapsedMs).toBeGreaterThan(990)
  })

  test.concurrent('as a date is waited for', async () => {
    // Cut to whole seconds: one to two from now.
    using server = await startServer('broker', [busy(new Date(Date.now() + 2000).toUTCString())])
    const { outcomes, elapsedMs } = await produce(server, 'abc', AMPLE_MS)
    expect(outcomes).toEqual(OK)
    expect(elapsedMs).toBeGreaterThan(900)
  })

  test.concurrent.each(['60', new Date(Date.now() + 90_000).toUTCString()])(
    'beyond the budget, %s, is an answer at once',
    async (retryAfter) => {
      using server = await startServer('Confluent v2', [busy(retryAfter)])
      const { outcomes, elapsedMs } = await produce(server, 'abc', AMPLE_MS)
      expect(outcomes).toEqual(RETRY)
      expect(elapsedMs).toBeLessThan(AMPLE_MS / 2)
      expect(server.wire.requests).toBe(1)
    },
  )
})
