/** Cells of every kind become rows: in any order, in any grouping, and twice is added twice. */
import { afterAll, beforeAll, expect, test } from 'bun:test'
import fc from 'fast-check'
import { migrate } from '../batch/migrate.ts'
import { Cells } from '../core/cell.ts'
import { LEDGER_COUNTS } from '../core/ledger.ts'
import type { Marker } from '../core/marker.ts'
import type { Point } from '../core/point.ts'
import { connect, type Sql } from '../db/client.ts'
import { mergeCells } from '../db/merge-cells.ts'
import { histogramFromText } from '../db/schema.ts'
import { seededRandom } from './arbitraries.ts'
import { histogramOf } from './sql-reference.ts'
import { onEachPostgres } from './sql-server.ts'

const START_MS = Date.UTC(2026, 10, 23, 10)

/** Whole numbers and quarters: their sums are exact. */
const value = fc.integer({ min: 0, max: 4_000_000 }).map((quarters) => quarters / 4)

const point: fc.Arbitrary<Point> = fc.record({
  kind: fc.constantFrom('gauge', 'counter', 'measure'),
  timeMs: fc.integer({ min: START_MS, max: START_MS + 120_000 }),
  process: fc.constantFrom('', 'web'),
  name: fc.constantFrom('memory_rss', 'custom.a'),
  source: fc.constantFrom('', 'shard1'),
  value,
})

/** Points in groups; each group is merged by itself. */
const groups = fc.array(fc.array(point, { maxLength: 20 }), { maxLength: 4 })

const marker: Marker = {
  kind: 'deploy',
  timeMs: START_MS,
  process: '',
  dyno: '',
  text: '059375fe',
  by: '',
}

/** `app process name source minute`, as the rows below name themselves. */
function keyOf({ process, name, source, timeMs }: Point): string {
  const minute = new Date(Math.floor(timeMs / 60_000) * 60_000).toISOString()
  return ['shop', process, name, source, minute].join(' ')
}

onEachPostgres((newDatabase) => {
  let sql: Sql

  beforeAll(async () => {
    const url = await newDatabase()
    await migrate(url)
    sql = connect(url, { max: 4 })
    await sql`select shelf.make_partitions('2026-11-23', '2026-11-24')`
  })
  afterAll(() => sql.end())

  const merge = (fill: (cells: Cells) => void) => {
    const cells = new Cells()
    fill(cells)
    return sql.begin((transaction) => mergeCells(transaction, cells))
  }
  const mergePoints = (points: Point[]) =>
    merge((cells) => cells.addSignals('shop', { points, markers: [], dynos: [] }))
  const mergeMarkers = (markers: Marker[]) =>
    merge((cells) => cells.addSignals('shop', { points: [], markers, dynos: [] }))

  test('metrics are the same rows in any order and grouping, as worked out by hand', async () => {
    await fc.assert(
      fc.asyncProperty(groups, async (parts) => {
        await sql`truncate shelf.gauges_1m, shelf.counters_1m, shelf.histograms_1m`
        for (const part of parts) await mergePoints(part)
        const found = await sql<{ kind: string; key: string; row: Record<string, unknown> }[]>`
          select kind, row,
            concat_ws(' ', app, process, name, source, to_char(bucket, 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'))
              as key
          from (
            select 'gauge' as kind, app, process, name, source, bucket, to_jsonb(g) as row
            from shelf.gauges_1m g
            union all
            select 'counter', app, process, name, source, bucket, to_jsonb(c)
            from shelf.counters_1m c
            union all
            select 'measure', app, process, name, source, bucket, to_jsonb(h)
            from shelf.histograms_1m h
          ) rows`
        const points = parts.flat()
        const wanted = new Map(Map.groupBy(points, (at) => `${at.kind} ${keyOf(at)}`))
        expect(found.map(({ kind, key }) => `${kind} ${key}`).toSorted()).toEqual(
          [...wanted.keys()].toSorted(),
        )
        for (const { kind, key, row } of found) {
          const some = wanted.get(`${kind} ${key}`) ?? []
          const values = some.map((one) => one.value)
          const sum = values.reduce((a, b) => a + b, 0)
          if (kind === 'counter') expect(row).toMatchObject({ sum })
          if (kind === 'measure') expect(row.histogram).toEqual(histogramOf(values))
          if (kind !== 'gauge') continue
          const lastMs = Math.max(...some.map((one) => one.timeMs))
          const last = Math.max(...some.filter((at) => at.timeMs === lastMs).map((at) => at.value))
          const [min, max] = [Math.min(...values), Math.max(...values)]
          expect(row).toMatchObject({ count: values.length, sum, min, max, last })
          expect(Date.parse(String(row.last_at))).toBe(lastMs)
        }
      }),
      { numRuns: 40 },
    )
  })

  test('cells that are merged twice are added twice, but a gauge keeps its extremes', async () => {
    await sql`truncate shelf.gauges_1m, shelf.counters_1m, shelf.histograms_1m`
    const at = { timeMs: START_MS, process: 'web', name: 'x', source: '' }
    const points: Point[] = [
      { ...at, kind: 'gauge', value: -3.5 },
      { ...at, kind: 'counter', value: 2 },
      { ...at, kind: 'measure', value: 0.004 },
    ]
    await mergePoints(points)
    await mergePoints(points)
    const [row] = await sql`
      select g.count, g.sum, g.min, g.max, g.last, c.sum as counted, h.histogram
      from shelf.gauges_1m g, shelf.counters_1m c, shelf.histograms_1m h`
    const gauge = { count: 2, sum: -7, min: -3.5, max: -3.5, last: -3.5 }
    expect(row).toMatchObject({ ...gauge, counted: 4 })
    const histogram = histogramFromText(row?.histogram)
    expect(histogram).toMatchObject({ counts: [2], min: 0.004, max: 0.004 })
    expect(Math.abs(histogram.sum - 0.008)).toBeLessThan(2 ** -23)
  })

  test('the newest sample is the last, also when it comes first; at one time the greater', async () => {
    await sql`truncate shelf.gauges_1m`
    const at = { kind: 'gauge' as const, process: 'web', name: 'x', source: '' }
    for (const [seconds, value] of [
      [40, 7],
      [20, 9],
      [40, 5],
      [40, 8],
      [0, 1],
    ] as const) {
      await mergePoints([{ ...at, timeMs: START_MS + seconds * 1000, value }])
    }
    const [row] = await sql`select last, last_at, count from shelf.gauges_1m`
    expect({ ...row }).toEqual({ last: 8, last_at: new Date(START_MS + 40_000), count: 5 })
  })

  test('the same line twice is one marker, and who did it stays known', async () => {
    await mergeMarkers([marker])
    await mergeMarkers([{ ...marker, by: '1b2c3d4e' }])
    await mergeMarkers([marker])
    const rows = await sql`select text, by from shelf.marker_lines where app = 'shop'`
    expect([...rows]).toEqual([{ text: '059375fe', by: '1b2c3d4e' }])
  })

  test('lines that differ in anything but who did it are several markers', async () => {
    await sql`truncate shelf.marker_lines`
    const restart: Marker = { ...marker, kind: 'restart', process: 'web', dyno: 'web.1', text: 'a' }
    await mergeMarkers([
      restart,
      { ...restart, kind: 'boot' },
      { ...restart, timeMs: START_MS + 1 },
      { ...restart, dyno: 'web.2' },
      { ...restart, process: 'worker' },
      { ...restart, text: 'b' },
    ])
    expect(await sql`select from shelf.marker_lines`).toHaveLength(6)
  })

  test('a text or a dyno too long for a key is cut, and is one marker still', async () => {
    await sql`truncate shelf.marker_lines`
    const random = seededRandom(2704)
    const noise = () => Array.from({ length: 3000 }, () => random().toString(36)).join('')
    const [text, tail] = [noise(), noise()]
    const long: Marker = { ...marker, kind: 'config', text, dyno: `web.${text}` }
    await mergeMarkers([long, { ...long, text: text.slice(0, 20_000) + tail }])
    await mergeMarkers([long])
    const [row] = await sql`
      select count(*) as lines, max(length(text)) as text, max(length(dyno)) as dyno
      from shelf.marker_lines`
    expect({ ...row }).toEqual({ lines: 1, text: 400, dyno: 100 })
    await merge((cells) =>
      cells.addDyno({
        app: 'long',
        dyno: text,
        instance: tail,
        firstMs: START_MS,
        lastMs: START_MS,
      }),
    )
  })

  test('an instance of a dyno was there from its first sighting to its last', async () => {
    for (const [firstMs, lastMs] of [
      [20, 40],
      [30, 90],
      [10, 15],
    ] as const) {
      await merge((cells) =>
        cells.addDyno({
          ...{ app: 'shop', dyno: 'web.1', instance: 'i1' },
          ...{ firstMs: START_MS + firstMs, lastMs: START_MS + lastMs },
        }),
      )
    }
    const [row] = await sql`select first_at, last_at from shelf.dynos where app = 'shop'`
    expect({ ...row }).toEqual({
      first_at: new Date(START_MS + 10),
      last_at: new Date(START_MS + 90),
    })
  })

  test('every count of the ledger has its column', async () => {
    const counts = Object.fromEntries(LEDGER_COUNTS.map((what, i) => [what, i + 1]))
    await merge((cells) => cells.addLedger('shop', START_MS, counts))
    await merge((cells) => cells.addLedger('shop', START_MS, { unreadable: 10, overLimit: 20 }))
    const [row] = await sql`select * from shelf.ledger_1m where app = 'shop'`
    const { app, bucket, ...columns } = { ...row }
    expect(Object.keys(columns)).toHaveLength(LEDGER_COUNTS.length)
    expect(columns).toMatchObject({ received: 1, dead_letters: 13 })
    expect(columns.unreadable + columns.over_limit).toBe(14 + 15 + 30)
  })

  test('more rows than fit a statement are all merged', async () => {
    await sql`truncate shelf.gauges_1m`
    const at = { kind: 'gauge' as const, timeMs: START_MS, process: 'web', source: '', value: 1 }
    const points = Array.from({ length: 1201 }, (_, i) => ({ ...at, name: `n${i}` }))
    await mergePoints(points)
    await mergePoints(points)
    const [row] = await sql`select count(*) as rows, sum(count)::bigint from shelf.gauges_1m`
    expect({ ...row }).toEqual({ rows: 1201, sum: 2402 })
  })

  test('those who merge the same rows at once do not wait in a ring', async () => {
    await sql`truncate shelf.gauges_1m, shelf.counters_1m`
    const at = { timeMs: START_MS, process: 'web', source: '', value: 1 }
    const points = Array.from({ length: 600 }, (_, i): Point[] => [
      { ...at, kind: 'gauge', name: `n${i}` },
      { ...at, kind: 'counter', name: `n${i}` },
    ]).flat()
    const workers = [points, points.toReversed(), points, points.toReversed()]
    await Promise.all(workers.flatMap((some) => [mergePoints(some), mergePoints(some)]))
    const [row] = await sql`
      select (select sum(count)::bigint from shelf.gauges_1m) as gauges,
        (select sum(sum) from shelf.counters_1m) as counters`
    expect({ ...row }).toEqual({ gauges: 4800, counters: 4800 })
  })
})
