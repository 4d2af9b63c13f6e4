import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { ledgerCellFromWire } from '../core/aggregate-record.ts'
import { encodeBurst, packRequests, requestColumns } from '../core/burst.ts'
import { Cells } from '../core/cell.ts'
import { addWireCell, cellsToWire } from '../core/cell-wire.ts'
import { CHUNK_MS, CHUNK_OFFSETS, startsChunk } from '../core/chunk.ts'
import { DEDUPE_MS, DEDUPE_OFFSETS } from '../core/dedupe.ts'
import { addCounts, type LedgerCounts } from '../core/ledger.ts'
import { emptySignals } from '../core/signals.ts'
import { aggregated, arbitraryLog, chunkStarts, type LogEntry } from './raw-log.ts'

/** The counts of all that was written, over all apps and minutes. */
function totals(records: ReturnType<typeof aggregated>): LedgerCounts {
  const sum: LedgerCounts = {}
  for (const row of records.flatMap(({ ledger }) => ledger)) {
    addCounts(sum, ledgerCellFromWire(row).counts)
  }
  return sum
}

/** A tick that closes whatever is open. */
function closed(log: LogEntry[]): LogEntry[] {
  const last = log.at(-1)?.record
  if (last === undefined) return log
  const timestamp = last.timestamp + CHUNK_MS
  return [...log, { record: { key: null, value: '', offset: last.offset + 1, timestamp } }]
}

const lostL10Of = ({ burst }: LogEntry): number =>
  [...(burst?.ledger.values() ?? [])].reduce((sum, counts) => sum + (counts.lostL10 ?? 0), 0)

/** The earlier records of the same burst that are near enough to make `log[i]` a duplicate. */
function earlierTries(log: readonly LogEntry[], i: number): LogEntry[] {
  const now = log[i]
  return log
    .slice(0, i)
    .filter(
      ({ record, burst }) =>
        burst !== undefined &&
        burst.id === now?.burst?.id &&
        now.record.offset - record.offset <= DEDUPE_OFFSETS &&
        now.record.timestamp - record.timestamp <= DEDUPE_MS,
    )
}

/** A resend that was seen to count a loss twice, where its first try had left the window. */
const resentThrice = [5, 0, 5].map((lostL10, i): LogEntry => {
  const minuteMs = Date.UTC(2025, 10, 22, 8)
  const timestamp = minuteMs + i * (DEDUPE_MS - 60_000)
  const burst = {
    id: 'ab'.repeat(16),
    app: 'demo',
    drain: 'heroku',
    receivedAtMs: timestamp,
    ledger: new Map([
      [minuteMs, lostL10 > 0 ? { received: 1, kept: 1, lostL10 } : { received: 1, kept: 1 }],
    ]),
    requests: requestColumns(0),
    signals: emptySignals(),
  }
  return { record: { offset: i, timestamp, key: 'demo', value: encodeBurst(burst) }, burst }
})

describe('the log decides', () => {
  test('started at any chunk, an aggregator writes the same from there on', () => {
    fc.assert(
      fc.property(arbitraryLog, fc.nat(), (log, nth) => {
        const starts = chunkStarts(log)
        const start = starts[nth % starts.length] ?? 0
        const from = log[start]?.record.offset ?? 0
        expect(aggregated(log, start)).toEqual(aggregated(log).filter((part) => part.from >= from))
      }),
      { numRuns: 200, examples: [[closed(resentThrice), 2]] },
    )
  })

  test('killed and started again at any records, it writes the same in all', () => {
    fc.assert(
      fc.property(arbitraryLog, fc.array(fc.nat(40), { maxLength: 5 }), (log, kills) => {
        const written: ReturnType<typeof aggregated> = []
        let from = 0
        for (const killedAt of [...kills.toSorted((a, b) => a - b), log.length]) {
          written.push(...aggregated(log, from, killedAt))
          const place = written.at(-1)?.to ?? log[0]?.record.offset ?? 0
          from = log.findIndex(({ record }) => record.offset >= place)
        }
        expect(written).toEqual(aggregated(log))
      }),
    )
  })

  test('chunks follow each other without a hole, and none crosses a multiple of the limits', () => {
    fc.assert(
      fc.property(arbitraryLog, (log) => {
        const chunks = aggregated(log)
        const starts = chunkStarts(log).map((i) => log[i]?.record.offset ?? -1)
        expect(chunks.map(({ from }) => from)).toEqual(starts.slice(0, -1))
        expect(chunks.map(({ to }) => to)).toEqual(starts.slice(1))
        for (const { from, to } of chunks) {
          const inside = log.filter(({ record }) => record.offset >= from && record.offset < to)
          const steps = inside.map(({ record }) => Math.floor(record.timestamp / CHUNK_MS))
          const blocks = inside.map(({ record }) => Math.floor(record.offset / CHUNK_OFFSETS))
          expect(new Set(steps).size).toBe(1)
          expect(new Set(blocks).size).toBe(1)
        }
      }),
    )
  })

  test('the last chunk waits for a record behind it', () => {
    fc.assert(
      fc.property(arbitraryLog, (log) => {
        expect(aggregated(closed(log))).toHaveLength(chunkStarts(log).length)
      }),
    )
  })

  test.each([
    ['the first record', { offset: 7, timestamp: 1 }, undefined, true],
    ['the next offset', { offset: 8, timestamp: 1999 }, { offset: 7, timestamp: 0 }, false],
    ['offset 4096', { offset: 4096, timestamp: 0 }, { offset: 4095, timestamp: 0 }, true],
    ['two seconds', { offset: 8, timestamp: 2000 }, { offset: 7, timestamp: 1999 }, true],
    ['a hole', { offset: 9000, timestamp: 0 }, { offset: 4095, timestamp: 0 }, true],
  ])('a chunk starts, or not, at %s', (_what, record, previous, starts) => {
    expect(startsChunk(record, previous)).toBe(starts)
  })
})

describe('the ledger', () => {
  test('balances in every cell of any log', () => {
    fc.assert(
      fc.property(arbitraryLog, (log) => {
        for (const row of aggregated(closed(log)).flatMap(({ ledger }) => ledger)) {
          const { received = 0, ...counts } = ledgerCellFromWire(row).counts
          const { kept = 0, ignoredOutput = 0, ignoredUnknown = 0 } = counts
          const { malformed = 0, duplicates = 0 } = counts
          expect(kept + ignoredOutput + ignoredUnknown + malformed + duplicates).toBe(received)
        }
      }),
    )
  })

  test('tells what came: each burst once, each loss once, each message', () => {
    fc.assert(
      fc.property(arbitraryLog, (log) => {
        const truth: LedgerCounts = {}
        log.forEach((entry, i) => {
          if (entry.burst === undefined) {
            if (entry.record.value !== '') addCounts(truth, { deadLetters: 1 })
            return
          }
          const tries = earlierTries(log, i)
          const known = Math.max(0, ...tries.map(lostL10Of))
          for (const { lostL10: _, ...counts } of entry.burst.ledger.values()) {
            const { received = 0 } = counts
            addCounts(truth, tries.length > 0 ? { received, duplicates: received } : counts)
          }
          addCounts(truth, { lostL10: Math.max(0, lostL10Of(entry) - known) })
        })
        expect(totals(aggregated(closed(log)))).toEqual(truth)
      }),
      { examples: [[resentThrice]] },
    )
  })
})

describe('the cells', () => {
  test('of all chunks add up to those of each burst once, whichever comes first', () => {
    fc.assert(
      fc.property(arbitraryLog, (log) => {
        const once = new Cells()
        for (const [i, { burst }] of [...log.entries()].reverse()) {
          if (burst === undefined || earlierTries(log, i).length > 0) continue
          once.addRequests(burst.app, packRequests(burst.requests))
          once.addSignals(burst.app, burst.signals)
        }
        const written = new Cells()
        for (const { cells } of aggregated(closed(log))) {
          for (const wire of cells) addWireCell(written, wire)
        }
        expect(cellsToWire(written)).toEqual(cellsToWire(once))
      }),
      { numRuns: 200, examples: [[resentThrice]] },
    )
  })
})
