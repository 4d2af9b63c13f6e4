/** How long the log and the spool are waited for, and by whom: the breaker, and what hangs. */
import { afterAll, afterEach, describe, expect, setDefaultTimeout, spyOn, test } from 'bun:test'
import { drainKeysToText } from '../core/credential.ts'
import { type Edge, openEdge } from '../edge/edge.ts'
import { edgeSettings } from '../edge/settings.ts'
import type { Outcome, Sink } from '../edge/sinks/sink.ts'
import { Breaker } from '../edge/spool/breaker.ts'
import { Keeper } from '../edge/spool/keeper.ts'
import { r2Spool } from '../edge/spool/r2.ts'
import type { Spool } from '../edge/spool/spool.ts'
import { emptyBurst } from './bursts.ts'
import { APP, authorization, body, KEY, request, TEST_MS_MAX } from './edge.ts'

setDefaultTimeout(TEST_MS_MAX)

const errors = spyOn(console, 'error').mockImplementation(() => {})
afterEach(() => errors.mockClear())
afterAll(() => errors.mockRestore())

describe('the breaker', () => {
  /** What is admitted at each of these times, ms. */
  const admitted = (breaker: Breaker, times: number[]): number[] =>
    times.filter((time) => breaker.admits(time))

  test('lets everything through until three failures come in a row', () => {
    const breaker = new Breaker()
    for (let round = 0; round < 5; round++) {
      breaker.failed(round)
      breaker.failed(round)
      expect(breaker.admits(round)).toBe(true)
      expect(breaker.succeeded()).toBe(false)
    }
  })

  test('then lets one a second through, counted from the last that failed', () => {
    const breaker = new Breaker()
    for (let i = 0; i < 3; i++) breaker.failed(1000)
    expect(admitted(breaker, [1000, 1500, 1999, 2000, 2001, 2500])).toEqual([2000])
    breaker.failed(4800)
    expect(admitted(breaker, [4801, 5799, 5800, 5801])).toEqual([5800])
  })

  test('a probe that never comes back holds nothing up', () => {
    const breaker = new Breaker()
    for (let i = 0; i < 3; i++) breaker.failed(0)
    expect(admitted(breaker, [1000, 1001, 2000, 2001, 3000])).toEqual([1000, 2000, 3000])
  })

  test('is closed by the first success, which is told once', () => {
    const breaker = new Breaker()
    for (let i = 0; i < 9; i++) breaker.failed(0)
    expect([breaker.succeeded(), breaker.succeeded()]).toEqual([true, false])
    expect(admitted(breaker, [0, 1, 2])).toEqual([0, 1, 2])
  })

  test('a clock that is set back a day does not keep it open for a day', () => {
    const breaker = new Breaker()
    for (let i = 0; i < 3; i++) breaker.failed(86_400_000)
    expect(breaker.admits(0)).toBe(true)
  })
})

describe('a burst', () => {
  /** A log that answers each produce with the next outcome, then with the last; and a clock. */
  function keeperOf(outcomes: Outcome[], put: Spool['put'] = async () => {}) {
    const state = { nowMs: 0, asked: 0, spooled: 0 }
    const sink: Sink = {
      async produce(_, records, budgetMs) {
        const outcome = outcomes[Math.min(state.asked++, outcomes.length - 1)] ?? 'ok'
        if (outcome === 'retry') state.nowMs += budgetMs
        return records.map(() => outcome)
      },
    }
    const spool: Spool = {
      async put(name, value) {
        await put(name, value)
        state.spooled++
      },
      list: async () => [],
      get: async () => undefined,
      delete: async () => {},
      reject: async () => {},
    }
    const keeper = new Keeper({ sink, spool, now: () => state.nowMs })
    const keep = (): Promise<void> => keeper.keep(emptyBurst, state.nowMs + 4000)
    return { state, keeper, keep }
  }

  test('is spooled where the log does not take it; after three, with no wait for the log', async () => {
    const { state, keep } = keeperOf(['retry'])
    for (let i = 0; i < 3; i++) await keep()
    expect(state).toEqual({ nowMs: 3 * 2800, asked: 3, spooled: 3 })
    for (let i = 0; i < 50; i++) await keep()
    expect(state).toEqual({ nowMs: 3 * 2800, asked: 3, spooled: 53 })
    state.nowMs += 1000
    await keep()
    expect(state).toMatchObject({ asked: 4, spooled: 54 })
  })

  test('that finds the log back says so once: the spool can be drained', async () => {
    const { state, keeper, keep } = keeperOf(['retry', 'retry', 'retry', 'ok'])
    for (let i = 0; i < 3; i++) await keep()
    expect(keeper.hasRecovered()).toBe(false)
    state.nowMs += 1000
    await keep()
    await keep()
    expect(state).toMatchObject({ asked: 5, spooled: 3 })
    expect([keeper.hasRecovered(), keeper.hasRecovered()]).toEqual([true, false])
  })

  test('that the log will never take is refused with 413, and not spooled', async () => {
    const { state, keep } = keeperOf(['reject'])
    await expect(keep()).rejects.toMatchObject({ code: 'body-too-large', status: 413 })
    expect(state).toMatchObject({ asked: 1, spooled: 0 })
  })

  test('that neither takes is refused with 503', async () => {
    const { keep } = keeperOf(['retry'], async () => Promise.reject(new Error('full')))
    await expect(keep()).rejects.toMatchObject({ code: 'log-unavailable', status: 503 })
    expect(errors.mock.calls.flat().join()).toContain('the spool did not take a burst: Error: full')
  })
})

/** Accepts connections and never says a word. */
const silent = Bun.listen({ hostname: '127.0.0.1', port: 0, socket: { data: () => {} } })
afterAll(() => silent.stop(true))

function edgeWith(spool: Spool | undefined): Edge {
  const settings = {
    SHELF_LOG: `http://shelf:test@127.0.0.1:${silent.port}`,
    SHELF_DRAIN_KEYS: drainKeysToText([KEY]),
  }
  return openEdge(edgeSettings.parse(settings), spool)
}

const never = (): Promise<never> => new Promise(() => {})
const hanging = r2Spool({ put: never, get: never, list: never, delete: never })

test.concurrent.each([
  ['and R2 hang', hanging],
  ['hangs, and there is no spool', undefined],
])('where the log %s, the answer is 503 within 4.5 s', async (_, spool) => {
  const headers = {
    authorization: await authorization(APP),
    'content-type': 'application/logplex-1',
  }
  const startMs = performance.now()
  const response = await edgeWith(spool).fetch(
    new Request('http://edge/drains/heroku', { method: 'POST', headers, body: body(request()) }),
    { peer: '' },
  )
  expect(response.status).toBe(503)
  expect(response.headers.get('retry-after')).toBe('1')
  expect(await response.json()).toMatchObject({ code: 'log-unavailable' })
  expect(performance.now() - startMs).toBeLessThan(4500)
})

test.concurrent('each page of a list of R2 has a time of its own', async () => {
  let pages = 0
  const slow = r2Spool({
    ...{ put: never, get: never, delete: never },
    async list({ limit }) {
      await Bun.sleep(3000)
      const objects = Array.from({ length: limit }, (_, i) => ({ key: `spool/${pages} ${i}` }))
      return { objects, truncated: ++pages < 2, cursor: 'next' }
    },
  })
  expect(await slow.list(2000)).toHaveLength(2000)
})

test('a clock that is set back lets no request last longer', async () => {
  const nowMs = Date.now()
  let calls = 0
  const clock = spyOn(Date, 'now').mockImplementation(() => nowMs - 60_000 * calls++)
  try {
    const headers = {
      authorization: await authorization(APP),
      'content-type': 'application/logplex-1',
    }
    const stalled = new ReadableStream({ pull: never })
    for (const sent of [body(request()), stalled]) {
      const startMs = performance.now()
      const posted = new Request('http://edge/drains/heroku', {
        method: 'POST',
        headers,
        body: sent,
      })
      expect((await edgeWith(undefined).fetch(posted, { peer: '' })).status).toBe(503)
      expect(performance.now() - startMs).toBeLessThan(4500)
    }
  } finally {
    clock.mockRestore()
  }
})

test.concurrent('a spool that hangs ends its drain with a line, not for ever', async () => {
  const drained = await edgeWith(hanging).drain({ objectsMax: 10, msMax: 1000 })
  expect(drained).toBeUndefined()
  expect(errors.mock.calls.flat().join()).toContain('does not answer within 5000 ms')
})
