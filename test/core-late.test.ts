import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { PartitionAggregator, type RawRecord } from '../core/aggregate.ts'
import { ledgerCellFromWire, toAggregateRecords } from '../core/aggregate-record.ts'
import { encodeBurst } from '../core/burst.ts'
import { readBurstHead } from '../core/burst-head.ts'
import { isRepartitioned, REPARTITIONED } from '../core/control.ts'
import { DEDUPE_MS } from '../core/dedupe.ts'
import { LATE_MS, LookBack, lookBackMs, SKEW_MS } from '../core/late.ts'
import { LEDGER_COUNTS, sumOf } from '../core/ledger.ts'
import { arbitraryBurst } from './arbitraries.ts'
import { rawBurst } from './bursts.ts'

const START_MS = Date.UTC(2025, 10, 22, 8)

/** Few ids, ages of minutes to hours, and a last record that closes all. */
const arbitraryLog = fc
  .array(
    fc.record({
      number: fc.nat(3),
      stepMs: fc.oneof(fc.nat(3000), fc.nat(DEDUPE_MS), fc.nat(3 * DEDUPE_MS)),
      ageMs: fc.oneof(fc.nat(5000), fc.nat(LATE_MS), fc.nat(10 * LATE_MS)),
      lostL10: fc.constantFrom(0, 5, 9),
      isRepartitioned: fc.constantFrom(false, false, false, true),
    }),
    { minLength: 1, maxLength: 25 },
  )
  .map((steps) => {
    let timestamp = START_MS
    const log = steps.map(({ stepMs, ageMs, isRepartitioned, ...burst }, offset): RawRecord => {
      timestamp += stepMs
      const receivedAtMs = timestamp - ageMs
      const value = isRepartitioned ? REPARTITIONED : rawBurst({ ...burst, receivedAtMs })
      return { offset, timestamp, key: 'shop', value }
    })
    return [...log, { offset: log.length, timestamp: timestamp + 2000, key: null, value: '' }]
  })

/** What is written of the log from `start` on, when it is read in batches that end at `cuts`. */
function aggregated(log: readonly RawRecord[], cuts: readonly number[], start = 0) {
  const aggregator = new PartitionAggregator(undefined, start)
  for (const record of log.slice(0, start)) aggregator.remember(record)
  const ends = [...cuts, log.length].filter((end) => end > start).sort((a, b) => a - b)
  let from = start
  return ends.flatMap((end) => {
    const batch = log.slice(from, end)
    const search = new LookBack()
    for (const record of batch) {
      const head = readBurstHead(record.value)
      if (head) search.ask(record, head)
    }
    for (const record of log.slice(0, from)) {
      if (record.timestamp >= search.sinceMs) search.tell(record)
    }
    aggregator.recall(search)
    from = end
    return batch.flatMap((record) => {
      const chunk = aggregator.push(record)
      return chunk === undefined ? [] : toAggregateRecords(0, chunk)
    })
  })
}

const arbitraryCuts = fc.array(fc.nat(25), { maxLength: 6 })

describe('bursts that come late', () => {
  test('are told alike however the log is read in batches', () => {
    fc.assert(
      fc.property(arbitraryLog, arbitraryCuts, (log, cuts) => {
        expect(aggregated(log, cuts)).toEqual(aggregated(log, []))
      }),
      { numRuns: 300 },
    )
  })

  test('are told alike by who starts at any chunk', () => {
    fc.assert(
      fc.property(arbitraryLog, arbitraryCuts, fc.nat(), (log, cuts, nth) => {
        const all = aggregated(log, [])
        const start = all[nth % all.length]?.from ?? 0
        expect(aggregated(log, cuts, start)).toEqual(all.filter(({ from }) => from >= start))
      }),
      { numRuns: 300 },
    )
  })

  test('are late after more than a minute, and looked for from a minute before receipt on', () => {
    expect(lookBackMs(START_MS, START_MS + LATE_MS)).toBe(Number.POSITIVE_INFINITY)
    expect(lookBackMs(START_MS, START_MS + LATE_MS + 1)).toBe(START_MS - SKEW_MS)
    // The window must reach back to the receipt of what is not late.
    expect(LATE_MS + SKEW_MS).toBeLessThan(DEDUPE_MS)
  })
})

test('the head of a burst is what the burst says, as bytes and as base64 of either kind', () => {
  fc.assert(
    fc.property(arbitraryBurst, (burst) => {
      const bytes = encodeBurst(burst)
      const { id, receivedAtMs } = burst
      const text = bytes.toBase64()
      for (const value of [bytes, text, new TextEncoder().encode(text)]) {
        expect(readBurstHead(value)).toEqual({ id, receivedAtMs })
      }
    }),
  )
})

test('what does not begin as a burst has no head', () => {
  for (const value of ['', 'AA', 'not base64!', REPARTITIONED, new Uint8Array([1, 2, 3])]) {
    expect(readBurstHead(value)).toBeUndefined()
  }
})

describe('a record that says that raw has more partitions', () => {
  test.each([
    ['bytes', new Uint8Array([0, 1]), true],
    ['base64', REPARTITIONED, true],
    ['base64 as bytes', new TextEncoder().encode(REPARTITIONED), true],
    ['a tick', '', false],
    ['another kind', new Uint8Array([0, 2]), false],
    ['a longer one', new Uint8Array([0, 1, 0]), false],
    ['a burst', rawBurst({ number: 1, receivedAtMs: START_MS }), false],
  ])('is known as %s', (_as, value, isOne) => {
    expect(isRepartitioned(value)).toBe(isOne)
  })

  test('is in the ledger under no app, also a minute before, and needs its chunk closed', () => {
    const aggregator = new PartitionAggregator()
    const at = { offset: 7, timestamp: START_MS + 70_000, key: null }
    aggregator.push({ ...at, value: REPARTITIONED })
    expect(aggregator.waiting?.bursts).toBe(1)
    const chunk = aggregator.push({ ...at, offset: 8, timestamp: START_MS + 80_000, value: '' })
    expect(chunk?.deadLetters).toEqual([])
    expect([...(chunk?.cells.ledger.values() ?? [])]).toEqual([
      { app: '', bucketMs: START_MS, counts: { repartitioned: 1 } },
      { app: '', bucketMs: START_MS + 60_000, counts: { repartitioned: 1 } },
    ])
  })

  /** The row of a burst that came `afterMs` after the record, and `ageMs` after its receipt. */
  function shopRow(afterMs: number, ageMs: number, isFirst = true) {
    const receivedAtMs = START_MS + afterMs - ageMs
    const burst = { key: 'shop', value: rawBurst({ number: 1, receivedAtMs }) }
    const timestamp = START_MS + afterMs
    const log: RawRecord[] = [
      ...(isFirst ? [] : [{ ...burst, offset: 0, timestamp: Math.min(receivedAtMs, START_MS) }]),
      { offset: 1, timestamp: START_MS, key: null, value: REPARTITIONED },
      { ...burst, offset: 2, timestamp },
      { offset: 3, timestamp: timestamp + 2000, key: null, value: '' },
    ]
    const rows = aggregated(log, [2]).flatMap(({ ledger }) => ledger.map(ledgerCellFromWire))
    return rows.findLast(({ app }) => app === 'shop')?.counts
  }

  test.each([
    ['within 15 minutes', DEDUPE_MS, 0, 1],
    ['later', DEDUPE_MS + 1, 0, undefined],
    ['hours later, through the spool, received before', 20 * DEDUPE_MS, 20 * DEDUPE_MS, 1],
    ['hours later, received just after', 20 * DEDUPE_MS, 20 * DEDUPE_MS - SKEW_MS, 1],
    ['hours later, received later', 20 * DEDUPE_MS, 20 * DEDUPE_MS - SKEW_MS - 1, undefined],
  ])('a burst %s may count twice, and its own row says so', (_when, afterMs, ageMs, unsure) => {
    expect(shopRow(afterMs, ageMs)?.repartitioned).toBe(unsure)
  })

  test('a burst whose first try is in the same partition counts once for sure', () => {
    const row = shopRow(1000, 2000, false)
    expect(row).toMatchObject({ received: 1, duplicates: 1 })
    expect(row?.repartitioned).toBeUndefined()
  })
})

describe('the first chunk of a log that replaced another', () => {
  const epoch = { epoch: 2, begin: 40 }
  const at = { offset: 41, timestamp: START_MS, key: null, value: '' }

  test('says so in the ledger, from where the log begins, and needs closing', () => {
    const aggregator = new PartitionAggregator(epoch)
    aggregator.push(at)
    expect(aggregator.waiting?.bursts).toBe(1)
    const chunk = aggregator.push({ ...at, offset: 42, timestamp: START_MS + 2000 })
    expect(chunk).toMatchObject({ ...epoch, from: 40, to: 42 })
    expect([...(chunk?.cells.ledger.values() ?? [])]).toEqual([
      { app: '', bucketMs: START_MS, counts: { logReplaced: 1 } },
    ])
    const second = aggregator.push({ ...at, offset: 43, timestamp: START_MS + 4000 })
    expect(second?.cells.ledger.size).toBe(0)
  })

  test('says so at the minute of the last record of the log before too', () => {
    const aggregator = new PartitionAggregator(epoch, 40, START_MS - 90_000)
    aggregator.push(at)
    const chunk = aggregator.push({ ...at, offset: 42, timestamp: START_MS + 2000 })
    expect([...(chunk?.cells.ledger.values() ?? [])]).toEqual([
      { app: '', bucketMs: START_MS - 120_000, counts: { logReplaced: 1 } },
      { app: '', bucketMs: START_MS, counts: { logReplaced: 1 } },
    ])
  })

  test('says so with what it lacks, where its first records are gone already', () => {
    const [missing] = new PartitionAggregator(epoch).gap(40, { offset: 45, timestamp: START_MS })
    expect(missing).toMatchObject({ ...epoch, from: 40, to: 45 })
    expect([...(missing?.cells.ledger.values() ?? [])]).toEqual([
      { app: '', bucketMs: START_MS, counts: { logReplaced: 1, lostLog: 5 } },
    ])
  })

  test('is written anew with the same, and no chunk behind it says so', () => {
    expect(new PartitionAggregator(epoch, 40).push(at)).toBeUndefined()
    const later = new PartitionAggregator(epoch, 41)
    later.push(at)
    expect(later.waiting?.bursts).toBe(0)
  })
})

test('bursts name their counts by number: these keep theirs', () => {
  expect(LEDGER_COUNTS.indexOf('overLimit')).toBe(14)
  expect(LEDGER_COUNTS.slice(15)).toEqual(['logReplaced', 'repartitioned'])
  const counts = { lostL10: Number.MAX_SAFE_INTEGER }
  expect(
    sumOf(
      new Map([
        [0, counts],
        [60_000, counts],
      ]),
      'lostL10',
    ),
  ).toBe(Number.MAX_SAFE_INTEGER)
})
