/** Whatever is done to a body, it is taken, and all of it is accounted for. */
import { afterAll, expect, setDefaultTimeout, test } from 'bun:test'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import type { Burst } from '../core/burst.ts'
import { body, DATA, message, request, requestsOf, startEdge, TEST_MS_MAX, totals } from './edge.ts'

setDefaultTimeout(TEST_MS_MAX)

const edge = await startEdge()
afterAll(() => edge.stop())

const captured = join(DATA, 'logplex-examples.body')
const seed = existsSync(captured)
  ? readFileSync(captured)
  : Buffer.from(
      body(
        message('Error L10 (output buffer overflow): 5 messages dropped', { process: 'logplex' }),
        request(),
        message('first line\nsecond line', { app: 'app' }),
        message('State changed from up to down', { process: 'web.1' }),
        request(),
      ),
    )

const mutation = fc.record({
  how: fc.constantFrom('flip', 'cut', 'repeat', 'insert', 'count'),
  at: fc.nat({ max: seed.length }),
  length: fc.nat({ max: 400 }),
  bytes: fc.uint8Array({ minLength: 1, maxLength: 20 }),
})

interface Mutation {
  how: string
  at: number
  length: number
  bytes: Uint8Array
}

function mutate(bytes: Buffer, { how, at, length, bytes: given }: Mutation): Buffer {
  const [before, after] = [bytes.subarray(0, at), bytes.subarray(at)]
  switch (how) {
    case 'flip':
      return Buffer.concat([before, given, after.subarray(given.length)])
    case 'cut':
      return Buffer.concat([before, after.subarray(length)])
    case 'repeat':
      return Buffer.concat([before, after.subarray(0, length), after])
    case 'insert':
      return Buffer.concat([before, given, after])
    default:
      return Buffer.concat([before, Buffer.from(`${length} `), after])
  }
}

/** Messages of a burst that no count accounts for: 0, always. */
function unaccounted(burst: Burst): number {
  const {
    received = 0,
    kept = 0,
    ignoredOutput = 0,
    ignoredUnknown = 0,
    malformed = 0,
  } = totals(burst)
  return received - kept - ignoredOutput - ignoredUnknown - malformed
}

test('a captured body, with anything done to it', async () => {
  const mutations = fc.array(mutation, { minLength: 1, maxLength: 12 })
  const count = fc.oneof(fc.constant('55'), fc.string({ unit: 'grapheme-ascii' }))
  await fc.assert(
    fc.asyncProperty(mutations, count, async (changes, messages) => {
      const bytes = changes.reduce(mutate, seed)
      const headers = { 'logplex-msg-count': messages }
      const { status, bursts } = await edge.post(Buffer.from(bytes), { headers })
      expect(status).toBe(204)
      expect(bursts.map(unaccounted)).toEqual(bytes.length > 0 ? [0] : [])
      expect(requestsOf(bursts[0]).length).toBeLessThanOrEqual(totals(bursts[0]).kept ?? 0)
    }),
    { numRuns: 200 },
  )
})

test('any bytes at all', async () => {
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ minLength: 1, maxLength: 500 }), async (bytes) => {
      const { status, bursts } = await edge.post(Buffer.from(bytes))
      // A few blanks between frames are passed over: a body of nothing else holds no message.
      const isEmpty = /^[\r\n ]{1,16}$/.test(String.fromCharCode(...bytes))
      expect([status, ...bursts.map(unaccounted)]).toEqual(isEmpty ? [204] : [204, 0])
    }),
    { numRuns: 100 },
  )
})

test('junk between two frames, whatever it is, costs neither of them', async () => {
  // Behind it a newline: what stands right before a count is a part of it.
  const junk = fc.uint8Array({ maxLength: 60 }).filter((bytes) => !bytes.includes(0x3c))
  await fc.assert(
    fc.asyncProperty(junk, async (bytes) => {
      const good = body(request())
      const { bursts } = await edge.post(Buffer.concat([good, bytes, Buffer.from('\n'), good]))
      expect(requestsOf(bursts[0])).toHaveLength(2)
    }),
    { numRuns: 150 },
  )
})
