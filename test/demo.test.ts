import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { demoDay, demoDays } from '../batch/demo-day.ts'
import { sendAll, sendLive } from '../batch/demo-send.ts'
import { drainUrl } from '../batch/drains.ts'
import { type Burst, decodeBurst } from '../core/burst.ts'
import { cutFrames } from '../core/frames.ts'
import { addCounts, type LedgerCounts } from '../core/ledger.ts'
import { KEY, type Stack, shelf, startStack, until } from './stack.ts'

const DAY_MS = 24 * 3_600_000

const OPTIONS = { seed: 5, startMs: Date.parse('2026-11-22T08:00:00Z'), dayMs: 3_600_000, rate: 1 }

const drainOf = (stack: Stack, app: string): Promise<string> =>
  drainUrl(stack.edge.url, KEY, { id: 'd1', app })

/** The bursts of an app that the log holds. */
async function burstsOf({ log }: Stack, app: string): Promise<Burst[]> {
  const bursts: Burst[] = []
  const partitions = (await log.topics()).raw ?? 0
  for (let partition = 0; partition < partitions; partition++) {
    let at = 0
    for (;;) {
      const records = await log.read('raw', partition, at)
      if (records.length === 0) break
      for (const { offset, value } of records) {
        at = offset + 1
        const burst = value.length === 0 ? undefined : decodeBurst(value)
        if (burst?.app === app) bursts.push(burst)
      }
    }
  }
  return bursts
}

function ledgerOf(bursts: Burst[]): LedgerCounts {
  const totals: LedgerCounts = {}
  for (const { ledger } of bursts) for (const counts of ledger.values()) addCounts(totals, counts)
  return totals
}

const wordsOf = (stderr: string): { lines: number; requests: number } => {
  const [, lines, requests] = /sent (\d+) lines in (\d+) requests\n$/.exec(stderr) ?? []
  return { lines: Number(lines), requests: Number(requests) }
}

describe('shelf demo', () => {
  let stack: Stack
  beforeAll(async () => {
    stack = await startStack()
  })
  afterAll(async () => {
    await stack.stop()
  })

  test('live, it sends what happens now, several lines a request, and SIGTERM ends it', async () => {
    const startedMs = Date.now()
    const args = ['demo', '--rate', '150', '--seed', '7', '--drain', await drainOf(stack, 'live')]
    const program = shelf(args, { SHELF_DIR: stack.dir })
    await until('some hundreds of lines', async () => {
      const { received = 0 } = ledgerOf(await burstsOf(stack, 'live'))
      return received > 600
    })
    program.kill('SIGTERM')
    expect(await program.exited).toBe(0)
    expect(await new Response(program.stdout).text()).toBe('')
    const { lines, requests } = wordsOf(await new Response(program.stderr).text())

    const bursts = await burstsOf(stack, 'live')
    const { received = 0, malformed = 0, lostL10 = 0, future = 0 } = ledgerOf(bursts)
    expect(received).toBe(lines)
    expect(bursts.length).toBe(requests)
    expect(received).toBeGreaterThan(10 * requests)
    expect({ malformed, lostL10, future }).toEqual({ malformed: 0, lostL10: 0, future: 0 })
    for (const { receivedAtMs, requests: columns } of bursts) {
      for (const timeMs of columns.timeMs) {
        expect(timeMs).toBeGreaterThanOrEqual(startedMs - 1000)
        expect(timeMs).toBeLessThanOrEqual(receivedAtMs)
      }
    }
  })

  test('--day sends the 24 hours that end now, all of them', async () => {
    const args = ['demo', '--day', '--rate', '0.05', '--drain', await drainOf(stack, 'past')]
    const program = shelf(args, { SHELF_DIR: stack.dir })
    expect(await program.exited).toBe(0)
    const stderr = await new Response(program.stderr).text()
    const bursts = await burstsOf(stack, 'past')
    const { received = 0, kept = 0, malformed = 0, future = 0 } = ledgerOf(bursts)
    expect(wordsOf(stderr)).toEqual({ lines: received, requests: bursts.length })
    expect(kept).toBeGreaterThan(20_000)
    expect({ malformed, future }).toEqual({ malformed: 0, future: 0 })
    const minutes = bursts.flatMap(({ ledger }) => [...ledger.keys()])
    const span = Math.max(...minutes) - Math.min(...minutes)
    expect(span).toBeGreaterThan(DAY_MS - 5 * 60_000)
    expect(span).toBeLessThanOrEqual(DAY_MS)
  })
})

describe('shelf demo needs no stack', () => {
  test('--dry-run says what would be sent and what is to happen', async () => {
    const program = shelf(['demo', '--dry-run', '--rate', '2'], { SHELF_DIR: '/nowhere' })
    expect(await program.exited).toBe(0)
    expect(await new Response(program.stdout).text()).toBe('')
    const words = await new Response(program.stderr).text()
    expect(words).toMatch(/^would send \d{4} lines in 20 minutes, of them \d{4} requests; and\n/)
    for (const event of ['deploy', 'crash worker', 'scale web 6:Performance-M', 'maintenance']) {
      expect(words).toMatch(new RegExp(`^  00:\\d\\d:\\d\\d  ${event}`, 'm'))
    }
    expect(words).not.toContain('@')
  })

  test.each([
    [['--rate', '0'], '--rate takes a number above 0'],
    [['--rate', 'fast'], '--rate takes a number'],
    [['--rate', '5000'], 'up to 1000'],
    [['--seed', '1.5'], '--seed takes a whole number'],
    [['--seed', ''], '--seed takes a number'],
    [['more'], 'unexpected argument more'],
  ])('wrong usage %j exits with 2 and says why', async (args, words) => {
    const program = shelf(['demo', ...args], { SHELF_DIR: '/nowhere' })
    expect(await program.exited).toBe(2)
    expect(await new Response(program.stderr).text()).toContain(words)
  })
})

/** A drain that answers with `statuses` in turn, then with 204. */
function startDrain(statuses: number[]) {
  const taken: string[][] = []
  const server = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    async fetch(request) {
      const body = new Uint8Array(await request.arrayBuffer())
      const messages: string[] = []
      cutFrames(body, (start, end) => {
        messages.push(Buffer.from(body.subarray(start, end)).toString())
      })
      const status = statuses.shift() ?? 204
      if (status === 204) taken.push(messages)
      return new Response(null, { status })
    },
  })
  return { url: `http://app:secret@127.0.0.1:${server.port}/drains/heroku`, taken, server }
}

describe('sending', () => {
  const never = new AbortController().signal

  test('what the drain did not take is told in an L10 line before what comes next', async () => {
    const drain = startDrain([503, 503, 503])
    const day = demoDay({ ...OPTIONS, startMs: Date.now() - 500, dayMs: 4000, rate: 100 })
    const sent = await sendLive(drain.url, day, never, { onProgress() {} })
    await drain.server.stop(true)
    const [loss = ''] = drain.taken[0] ?? []
    expect(sent.dropped).toBeGreaterThan(0)
    expect(loss).toMatch(
      new RegExp(`^<172>1 \\S+ host heroku logplex - Error L10 .*: ${sent.dropped} messages `),
    )
    expect(drain.taken.flat().length).toBe(sent.messages + 1)
  })

  test('live, messages that wait for longer than Logplex would keep them are dropped', async () => {
    const drain = startDrain([])
    const stop = new AbortController()
    const day = demoDays({ ...OPTIONS, startMs: Date.now() - 60_000, rate: 100 })
    const sent = await sendLive(drain.url, day, stop.signal, { onProgress: () => stop.abort() })
    await drain.server.stop(true)
    expect(sent.messages).toBe(1024)
    expect(drain.taken[0]?.[0]).toContain(`${sent.dropped} messages dropped since`)
    expect(sent.dropped).toBeGreaterThan(4000)
  })

  test('live, a drain that is away costs its messages, and does not end it', async () => {
    const drain = startDrain([])
    await drain.server.stop(true)
    const day = demoDay({ ...OPTIONS, startMs: Date.now() - 500, dayMs: 500, rate: 100 })
    const sent = await sendLive(drain.url, day, never, { onProgress() {} })
    expect(sent).toMatchObject({ messages: 0, requests: 1 })
    expect(sent.dropped).toBeGreaterThan(20)
  })

  test('a drain that refuses us ends it, and so does, for a past day, one that is away', async () => {
    const drain = startDrain([401])
    const options = { onProgress() {} }
    const small = { ...OPTIONS, dayMs: 1000 }
    await expect(sendLive(drain.url, demoDay(small), never, options)).rejects.toThrow('401')
    await drain.server.stop(true)
    await expect(sendAll(drain.url, demoDay(small), never, options)).rejects.toThrow('nobody')
  })

  test('a past day goes out as it was made: each message once, in order', async () => {
    const drain = startDrain([])
    const sent = await sendAll(drain.url, demoDay(OPTIONS), never, { onProgress() {} })
    await drain.server.stop(true)
    const made = Array.from(demoDay(OPTIONS).messages, ({ text }) => text)
    expect(drain.taken.flat()).toEqual(made)
    expect(sent).toMatchObject({ messages: made.length, requests: drain.taken.length, dropped: 0 })
  })
})
