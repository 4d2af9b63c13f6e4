import { describe, expect, test } from 'bun:test'
import { PartitionAggregator, type RawRecord } from '../core/aggregate.ts'
import { toAggregateRecords } from '../core/aggregate-record.ts'
import { cellsToWire } from '../core/cell-wire.ts'

describe('records that hold no burst', () => {
  const at = (offset: number, timestamp: number, value: RawRecord['value'] = ''): RawRecord => ({
    key: 'demo',
    value,
    offset,
    timestamp,
  })

  test('a tick closes the chunk before it, and adds nothing', () => {
    const aggregator = new PartitionAggregator()
    expect(aggregator.push(at(0, 0))).toBeUndefined()
    const last = { offset: 0, timestamp: 0 }
    expect(aggregator.waiting).toEqual({ from: 0, bursts: 0, isDue: false, last })
    const chunk = aggregator.push(at(1, 2000, new Uint8Array()))
    expect(chunk).toMatchObject({ from: 0, to: 1, watermarkMs: 0, deadLetters: [] })
    expect(chunk && cellsToWire(chunk.cells)).toEqual([])
    expect(chunk?.cells.ledger.size).toBe(0)
    expect(chunk && toAggregateRecords(0, chunk)).toMatchObject([{ part: 0, parts: 1, cells: [] }])
  })

  test('what cannot be read goes to the dead letters, and is counted', () => {
    const aggregator = new PartitionAggregator()
    const broken = at(0, 60_500, new Uint8Array([9, 9]))
    aggregator.push(broken)
    expect(aggregator.waiting?.bursts).toBe(1)
    const chunk = aggregator.push(at(1, 70_000))
    expect(chunk?.deadLetters).toMatchObject([{ record: broken, code: 'unknown-version' }])
    expect([...(chunk?.cells.ledger.values() ?? [])]).toEqual([
      { app: 'demo', bucketMs: 60_000, counts: { deadLetters: 1 } },
    ])
  })

  test.each([
    ['an e-mail', 'jane@example.com'],
    ['a NUL', 'a\0b'],
    ['nothing', null],
  ])('whose key is %s are of no app', (_what, key) => {
    const aggregator = new PartitionAggregator()
    aggregator.push({ ...at(0, 60_500, 'AQ=='), key })
    const ledger = aggregator.push(at(1, 70_000))?.cells.ledger.values() ?? []
    expect([...ledger]).toEqual([{ app: '', bucketMs: 60_000, counts: { deadLetters: 1 } }])
  })

  test('records deleted before anybody read them are a gap in the ledger', () => {
    const aggregator = new PartitionAggregator()
    aggregator.push(at(10, 0))
    const chunks = aggregator.gap(11, at(500, 120_000))
    expect(chunks.map(({ from, to }) => ({ from, to }))).toEqual([
      { from: 10, to: 11 },
      { from: 11, to: 500 },
    ])
    // In neither minute is all there.
    expect([...(chunks[1]?.cells.ledger.values() ?? [])]).toEqual([
      { app: '', bucketMs: 0, counts: { lostLog: 1 } },
      { app: '', bucketMs: 120_000, counts: { lostLog: 488 } },
    ])
    expect(aggregator.push(at(500, 120_000))).toBeUndefined()
    expect(aggregator.push(at(501, 122_000))).toMatchObject({ from: 500, to: 501 })
  })

  test.each([
    ['one record stands where it is noticed', 499, 0, [[120_000, 1]]],
    [
      'several, in two minutes, stand in both',
      498,
      59_999,
      [
        [0, 1],
        [120_000, 1],
      ],
    ],
    ['several, in one minute, stand there', 400, 120_001, [[120_000, 100]]],
    ['several of which nobody knows since when', 0, undefined, [[120_000, 500]]],
  ])('a gap at the start: %s', (_which, place, beforeMs, rows) => {
    const aggregator = new PartitionAggregator({ epoch: 0, begin: 0 }, place, beforeMs)
    const [gap] = aggregator.gap(place, at(500, 120_500))
    const ledger = [...(gap?.cells.ledger.values() ?? [])]
    expect(ledger.map(({ bucketMs, counts }) => [bucketMs, counts.lostLog ?? 0])).toEqual(rows)
  })

  test('a gap at the start is one chunk', () => {
    expect(new PartitionAggregator().gap(0, at(500, 120_000))).toMatchObject([
      { from: 0, to: 500, watermarkMs: 120_000 },
    ])
  })
})
