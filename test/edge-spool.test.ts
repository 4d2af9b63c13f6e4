/** When the log is down: drains are answered 204 all the same, and nothing of theirs is lost. */
import { afterAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { type Burst, decodeBurst } from '../core/burst.ts'
import { body, postDrain, request, startEdge, type TestEdge } from './edge.ts'
import { RUNTIMES, type Runtime } from './edge-runtimes.ts'
import { until } from './stack.ts'

setDefaultTimeout(60_000)

/** Logplex's request timeout; the edge's own budget is 4 s. */
const LOGPLEX_MS_MAX = 5000

const started: TestEdge[] = []
afterAll(() => Promise.all(started.map((edge) => edge.stop())))

async function start(runtime: Runtime): Promise<TestEdge> {
  const edge = await startEdge({ runtime, spool: true })
  started.push(edge)
  return edge
}

let frames = 0

/** Posts frames of one request each, whose size tells them apart. @returns the statuses */
async function post(edge: TestEdge, count: number, sizes: Set<number>): Promise<number[]> {
  return await Promise.all(
    Array.from({ length: count }, async () => {
      const frame = ++frames
      const headers = { 'logplex-frame-id': `F${frame}` }
      const response = await postDrain(edge.url, body(request(`status=200 bytes=${frame}`)), {
        headers,
      })
      await response.text()
      if (response.status === 204) sizes.add(frame)
      return response.status
    }),
  )
}

async function landed(edge: TestEdge): Promise<Burst[]> {
  return (await edge.landed()).map(({ value }) => decodeBurst(value))
}

const sizesOf = (bursts: Burst[]): Set<number> =>
  new Set(bursts.flatMap(({ requests }) => [...requests.bytes]))

/** Waits until all that was answered is in the log. */
async function expectAllLanded(edge: TestEdge, sizes: Set<number>): Promise<void> {
  await until('all of it to be in the log', async () =>
    sizesOf(await landed(edge)).isSupersetOf(sizes),
  )
}

describe.each(RUNTIMES)('in %s,', async (runtime) => {
  const edge = await start(runtime)
  test.concurrent('no drain notices that the log was away, and it gets all of it', async () => {
    const taken = new Set<number>()
    await post(edge, 5, taken)
    await edge.brokerDown()
    const statuses = await post(edge, 40, taken)
    const startMs = performance.now()
    statuses.push(...(await post(edge, 1, taken)), ...(await post(edge, 40, taken)))
    // But for a probe or two the log is not asked any more.
    expect(performance.now() - startMs).toBeLessThan(2 * LOGPLEX_MS_MAX)
    edge.brokerUp()
    for (let i = 0; i < 10; i++) statuses.push(...(await post(edge, 4, taken)))
    expect(new Set(statuses)).toEqual(new Set([204]))
    await expectAllLanded(edge, taken)
    const bursts = await landed(edge)
    expect(new Set(bursts.map(({ id }) => id)).size).toBe(taken.size)
  })
})

describe.each(['dev', 'bun', 'deno'] as const)('in %s,', async (runtime) => {
  const edge = await start(runtime)

  test.concurrent('kill -9 loses nothing that was answered', async () => {
    await edge.brokerDown()
    const taken = new Set<number>()
    await post(edge, 5, taken)
    expect(taken.size).toBe(5)
    for (let round = 0; round < 2; round++) {
      // The breaker is open or opens: some are answered, and some are on their way.
      const posting = post(edge, 30, taken).catch(() => {})
      const before = taken.size
      await until('some of it to be answered', async () => taken.size > before + 3)
      await edge.running.crash()
      await posting
      await edge.configure({})
    }
    edge.brokerUp()
    await expectAllLanded(edge, taken)
    if (runtime === 'dev') return
    await until('the spool to be empty', async () => waiting(edge) === 0)
    expect(rejected(edge)).toEqual([])
  })
})

describe.each(['bun', 'deno'] as const)('in %s,', async (runtime) => {
  const edge = await start(runtime)

  test('where neither the log nor the spool takes it, the answer is 503 in time', async () => {
    await edge.brokerDown()
    rmSync(join(edge.spoolDir ?? '', 'new'), { recursive: true })
    const startMs = performance.now()
    expect(await post(edge, 4, new Set())).toEqual([503, 503, 503, 503])
    expect(performance.now() - startMs).toBeLessThan(LOGPLEX_MS_MAX)
    // The breaker is open: only the spool was asked, and Logplex is told at once.
    const againMs = performance.now()
    expect(await post(edge, 1, new Set())).toEqual([503])
    expect(performance.now() - againMs).toBeLessThan(2000)
  })
})

/** How many minutes wait in the spool of a folder; a bucket's are not files. */
const waiting = ({ spoolDir = '' }: TestEdge): number => names(join(spoolDir, 'spool')).length

const rejected = ({ spoolDir = '' }: TestEdge): string[] => names(join(spoolDir, 'rejected'))

function names(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}
