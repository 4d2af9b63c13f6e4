/** Whatever befalls its requests, a sink never calls a record written that is not. */
import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { AMPLE_MS, produce } from './sink-calls.ts'
import { SERVER_KINDS, type ServerKind, startServer, type TestServer } from './sink-servers.ts'
import type { Fault, Verdict } from './sink-wire.ts'

const RUNS = 15
const SHORT_MS = 350

/** Codes of failures that another try may mend, as each server has them. */
const CODES: Record<ServerKind, number[]> = {
  broker: [],
  'Confluent v2': [50002, 50003, 40301],
  Redpanda: [3, 5, 6, 7, 19],
  Karapace: [1, 2],
  Strimzi: [404, 500],
  'Confluent v3': [400, 429, 500, 40301],
}

const BODIES = [
  '',
  'null',
  '{',
  '[{}]',
  '['.repeat(100_000),
  '{"offsets":[]}',
  '{"error_code":500}',
  '<html>',
]

const reply = fc
  .tuple(
    fc.constantFrom(200, 204, 301, 400, 401, 404, 422, 429, 502, 503),
    fc.constantFrom(...BODIES),
  )
  .map(([status, body]): Fault => ({ kind: 'reply', reply: { status, body } }))
const at = fc.constantFrom('request' as const, 'answer' as const, 'body' as const)
const cut = at.map((place): Fault => ({ kind: 'cut', at: place }))
const hang = fc.oneof(
  at.map((place): Fault => ({ kind: 'hang', at: place })),
  fc.constant<Fault>({ kind: 'slow', at: 'body' }),
)

/** Each record is written or fails, and of rest-v3's reports some at the end may be missing. */
function recordFaults(kind: ServerKind): fc.Arbitrary<Fault> {
  const verdicts = fc.array(fc.constantFrom<Verdict>('write', ...CODES[kind]), { maxLength: 5 })
  const reports = kind === 'Confluent v3' ? fc.nat({ max: 5 }) : fc.constant(5)
  return fc
    .tuple(verdicts, reports)
    .map(([list, count]): Fault => ({ kind: 'records', verdicts: list, reports: count }))
}

const letters = fc.constantFrom('a', 'ab', 'abc', 'abcd', 'abcde')

async function valuesOf(server: TestServer): Promise<Set<string>> {
  return new Set((await server.held()).map(({ value }) => value))
}

describe.each(SERVER_KINDS)('%s', (kind) => {
  const quick = fc.oneof(reply, cut, recordFaults(kind))

  test.concurrent('that becomes well in time holds every record', async () => {
    const property = fc.asyncProperty(
      letters,
      fc.array(quick, { maxLength: 4 }),
      async (sent, faults) => {
        using server = await startServer(kind, faults)
        const { outcomes } = await produce(server, sent, AMPLE_MS)
        expect(outcomes).toEqual([...sent].map(() => 'ok'))
        expect(await valuesOf(server)).toEqual(new Set(sent))
      },
    )
    await fc.assert(property, { numRuns: RUNS })
  })

  test.concurrent('that hangs and fails for ever holds what the sink calls written', async () => {
    const property = fc.asyncProperty(
      letters,
      fc.array(fc.oneof(quick, hang), { maxLength: 6 }),
      fc.oneof(reply, cut, hang),
      async (sent, faults, always) => {
        using server = await startServer(kind, faults)
        server.wire.always = always
        const { outcomes } = await produce(server, sent, SHORT_MS)
        const held = await valuesOf(server)
        for (const [place, letter] of [...sent].entries()) {
          if (outcomes[place] === 'ok') expect(held).toContain(letter)
        }
      },
    )
    await fc.assert(property, { numRuns: RUNS })
  })
})
