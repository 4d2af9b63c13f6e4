/** The ledger balances: whatever messages of whatever kinds come, each is in it once. */
import { afterAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import fc from 'fast-check'
import { PartitionAggregator } from '../core/aggregate.ts'
import { addCounts, type LedgerCounts } from '../core/ledger.ts'
import { body, startEdge, TEST_MS_MAX, totals } from './edge.ts'
import { RUNTIMES } from './edge-runtimes.ts'

setDefaultTimeout(TEST_MS_MAX)

describe.each(RUNTIMES)('in %s,', async (runtime) => {
  const edge = await startEdge({ runtime })
  afterAll(() => edge.stop())

  const DAY_MS = 86_400_000

  /** Of each kind what is read, what is not known, and what can't be read. */
  const SOURCES: Record<string, string[]> = {
    'heroku router': [
      'at=info dyno=web.1 connect=1ms service=18ms status=200 bytes=13',
      'at=error code=H12 dyno= connect= service= status=503 bytes=',
      'status=soon',
    ],
    'heroku web.1': [
      'source=web.1 dyno=heroku.1.7f9b14bc sample#load_avg_1m=0.5 sample#load_avg_5m=NaN',
      'sample#load_avg_1m=NaN',
      'Error R14 (Memory quota exceeded)',
      'Process running mem=836M(163.4%)',
      'State changed from up to crashed',
      'Cycling',
    ],
    'heroku logplex': [
      'Error L10 (output buffer overflow): 7 messages dropped since -.',
      'Error L11',
    ],
    'heroku api': ['Release v1822 created by foo@example.com'],
    'app api': [
      'Deploy 059375fe by user foo@example.com',
      'Scaled to web@2:Standard-1X worker@1 by user foo@example.com',
      'Set FOO config vars by user foo@example.com',
    ],
    'app log-shuttle': [
      'Error L12: 5 messages dropped since -',
      'Error L13: 2 messages lost since -',
    ],
    'app heroku-redis': ['source=A addon=b-1 sample#hit-rate=0.7 sample#x=?', 'sample#x=?'],
    'app web.1': ['hello', 'measure#a=4ms count#b sample#c=lots', 'measure#a=', 'a#b', ''],
    'nginx web.1': ['hello'],
  }

  const kind = fc.constantFrom(
    ...Object.entries(SOURCES).flatMap(([source, texts]) =>
      texts.map((text) => ({ source, text })),
    ),
  )

  const age = fc.oneof(
    fc.integer({ min: 0, max: 600_000 }),
    fc.constantFrom(-DAY_MS, 8 * DAY_MS, 3000 * DAY_MS),
  )

  /** A message as it is, or with a word of another put into it, cut off, or made long. */
  const line = fc
    .record({
      kind,
      other: kind,
      age,
      at: fc.nat({ max: 80 }),
      how: fc.constantFrom('as it is', 'as it is', 'mixed', 'cut', 'long', 'split', 'untimed'),
    })
    .map(({ kind: { source, text }, other, age: ageMs, at, how }) => {
      const time = how === 'untimed' ? '-' : new Date(Date.now() - ageMs).toISOString()
      const head = `<1>1 ${time} host ${source} - `
      if (how === 'mixed') return `${head}${text.slice(0, at)}${other.text}${text.slice(at)}\n`
      if (how === 'cut') return `${head}${text}`.slice(0, Math.max(12, at))
      if (how === 'long') return `${head}${`${text} `.repeat(300)}\n`
      if (how === 'split') return `${head}${text} ${'x'.repeat(10_000 - text.length - 1)}`
      return `${head}${text}\n`
    })

  function unaccounted(counts: LedgerCounts): number {
    const { received = 0, kept = 0, ignoredOutput = 0, ignoredUnknown = 0 } = counts
    const { malformed = 0, duplicates = 0 } = counts
    return received - kept - ignoredOutput - ignoredUnknown - malformed - duplicates
  }

  test('received is kept, ignored or malformed, in each minute, for any mix of messages', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(line, { minLength: 1, maxLength: 40 }), async (lines) => {
        const burst = await edge.burstOf(...lines)
        const counts = totals(burst)
        expect(counts.received).toBe(lines.length)
        for (const row of burst.ledger.values()) expect(unaccounted(row)).toBe(0)
        const { kept = 0, late = 0, future = 0 } = counts
        expect(late + future).toBeLessThanOrEqual(kept)
        const { points, markers, dynos } = burst.signals
        if (kept === 0)
          expect([burst.requests.timeMs.length, points.length, markers.length]).toEqual([0, 0, 0])
        for (const { timeMs } of [points, markers, dynos].flat()) {
          expect(timeMs).toBeLessThanOrEqual(burst.receivedAtMs + 5 * 60_000)
        }
      }),
      { numRuns: 200 },
    )
  })

  test('and with them the duplicates, once the bursts are folded', async () => {
    const bursts = fc.array(
      fc.record({
        lines: fc.array(line, { minLength: 1, maxLength: 10 }),
        frame: fc.constantFrom('F1', 'F2', 'F3', 'F4'),
      }),
      { minLength: 1, maxLength: 8 },
    )
    await fc.assert(
      fc.asyncProperty(bursts, fc.nat(), async (posts, run) => {
        const before = await edge.log.offsetAt('raw', 0, 'latest')
        for (const { lines, frame } of posts) {
          const headers = { 'logplex-frame-id': `${frame} ${run}` }
          expect((await edge.post(body(...lines), { headers })).status).toBe(204)
        }
        const aggregator = new PartitionAggregator()
        const timestamp = Date.now()
        const records = await edge.landed(before)
        for (const [offset, { key, value }] of records.entries()) {
          aggregator.push({ offset, timestamp, key, value })
        }
        const chunk = aggregator.push({ offset: 4096, timestamp, key: null, value: '' })
        const sum: LedgerCounts = {}
        for (const { counts } of chunk?.cells.ledger.values() ?? []) {
          expect(unaccounted(counts)).toBe(0)
          addCounts(sum, counts)
        }
        const again = posts.filter(({ frame }, i) => posts.findIndex((p) => p.frame === frame) < i)
        expect(sum.received).toBe(posts.flatMap(({ lines }) => lines).length)
        expect(sum.duplicates ?? 0).toBe(again.flatMap(({ lines }) => lines).length)
      }),
      { numRuns: 40 },
    )
  })
})
