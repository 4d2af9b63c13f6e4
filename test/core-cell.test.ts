import { expect, test } from 'bun:test'
import fc from 'fast-check'
import { ABSENT, packRequests, type RequestColumns } from '../core/burst.ts'
import { Cells, type RequestCell } from '../core/cell.ts'
import { emptyHistogram, record, type SparseHistogram, toSparse } from '../core/histogram.ts'
import { arbitraryBurst } from './arbitraries.ts'

const arbitraryRequests = arbitraryBurst.map(({ requests }) => requests)

function histogramOf(values: readonly number[]): SparseHistogram {
  const histogram = emptyHistogram()
  for (const value of values) if (value !== ABSENT) record(histogram, value)
  return toSparse(histogram)
}

interface Row {
  key: string
  service: number
  connect: number
  status: number
  bytes: number
}

function rowsOf(columns: RequestColumns): Row[] {
  return Array.from(columns.timeMs, (timeMs, i) => ({
    key: `${Math.floor(timeMs / 60_000)} ${columns.processes[columns.process[i] ?? ABSENT]}`,
    service: columns.serviceMs[i] ?? Number.NaN,
    connect: columns.connectMs[i] ?? Number.NaN,
    status: columns.status[i] ?? Number.NaN,
    bytes: columns.bytes[i] ?? Number.NaN,
  }))
}

const plain = (cell: RequestCell): object => ({
  requests: cell.requests,
  status: Object.fromEntries(cell.status),
  service: toSparse(cell.service),
  connect: toSparse(cell.connect),
  bytes: cell.bytes,
})

const cellsOf = (cells: Cells): object =>
  Object.fromEntries(
    [...cells.requests.values()].map((cell) => {
      return [`${cell.bucketMs / 60_000} ${cell.process}`, plain(cell)]
    }),
  )

test('a cell is what its requests add up to, by process type and minute', () => {
  fc.assert(
    fc.property(arbitraryRequests, (columns) => {
      const cells = new Cells()
      cells.addRequests('demo', packRequests(columns))
      const groups = Map.groupBy(rowsOf(columns), ({ key }) => key)
      const expected = [...groups].map(([key, rows]) => {
        const statuses = Object.groupBy(rows, ({ status }) => status)
        const counted = Object.entries(statuses).filter(([status]) => Number(status) !== ABSENT)
        return [
          key,
          {
            requests: rows.length,
            status: Object.fromEntries(counted.map(([status, some]) => [status, some?.length])),
            service: histogramOf(rows.map(({ service }) => service)),
            connect: histogramOf(rows.map(({ connect }) => connect)),
            bytes: rows.reduce((sum, { bytes }) => sum + Math.max(0, bytes), 0),
          },
        ]
      })
      expect(cellsOf(cells)).toEqual(Object.fromEntries(expected))
    }),
  )
})

test('merged cells are the cells of all requests, in whatever order they come', () => {
  fc.assert(
    fc.property(fc.array(arbitraryRequests, { maxLength: 4 }), (bursts) => {
      const direct = new Cells()
      for (const columns of bursts) direct.addRequests('demo', packRequests(columns))
      const merged = new Cells()
      for (const columns of bursts.toReversed()) {
        const one = new Cells()
        one.addRequests('demo', packRequests(columns))
        for (const cell of one.requests.values()) merged.mergeRequestCell(cell)
      }
      expect(cellsOf(merged)).toEqual(cellsOf(direct))
    }),
  )
})

test('apps do not share a cell', () => {
  fc.assert(
    fc.property(arbitraryRequests, (columns) => {
      const cells = new Cells()
      for (const app of ['demo', 'shop']) cells.addRequests(app, packRequests(columns))
      const requests = { demo: 0, shop: 0 }
      for (const { app, requests: n } of cells.requests.values()) {
        if (app === 'demo' || app === 'shop') requests[app] += n
      }
      const all = columns.timeMs.length
      expect(requests).toEqual({ demo: all, shop: all })
    }),
  )
})

test('counts of one app and minute add up in one cell of the ledger', () => {
  const cells = new Cells()
  const counts = { received: 2, kept: 1 }
  cells.addLedger('demo', 0, counts)
  cells.addLedger('demo', 0, { received: 1, malformed: 1 })
  cells.addLedger('demo', 60_000, { received: 1 })
  cells.addLedger('shop', 0, { received: 5 })
  expect([...cells.ledger.values()]).toEqual([
    { app: 'demo', bucketMs: 0, counts: { received: 3, kept: 1, malformed: 1 } },
    { app: 'demo', bucketMs: 60_000, counts: { received: 1 } },
    { app: 'shop', bucketMs: 0, counts: { received: 5 } },
  ])
  expect(counts).toEqual({ received: 2, kept: 1 })
})
