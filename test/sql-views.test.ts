/** The views that people reach for, on rows worked out by hand. */
import { afterAll, beforeAll, beforeEach, expect, test } from 'bun:test'
import { migrate } from '../batch/migrate.ts'
import { Cells } from '../core/cell.ts'
import { record } from '../core/histogram.ts'
import type { Point } from '../core/point.ts'
import { connect, type Sql } from '../db/client.ts'
import { mergeCells } from '../db/merge-cells.ts'
import { allowedError, nearestRank } from './sql-reference.ts'
import { onEachPostgres } from './sql-server.ts'

const START_MS = Date.UTC(2026, 10, 23, 10)
const MINUTE_MS = 60_000
const TABLES =
  'requests_1m, ledger_1m, gauges_1m, counters_1m, histograms_1m, marker_lines, dynos'.split(', ')

onEachPostgres((newDatabase) => {
  let sql: Sql

  beforeAll(async () => {
    const url = await newDatabase()
    await migrate(url)
    sql = connect(url, { max: 1 })
    await sql`select shelf.make_partitions('2026-11-20', '2026-11-25')`
  })
  afterAll(() => sql.end())
  beforeEach(async () => {
    await sql.unsafe(`truncate ${TABLES.map((table) => `shelf.${table}`).join()}`)
  })

  const merge = (fill: (cells: Cells) => void) => {
    const cells = new Cells()
    fill(cells)
    return sql.begin((transaction) => mergeCells(transaction, cells))
  }
  const mergePoints = (...points: [Point['kind'], string, string, number, number?][]) =>
    merge((cells) =>
      cells.addSignals('shop', {
        points: points.map(([kind, process, name, value, minute = 0]) => ({
          ...{ kind, process, name, value, source: '' },
          timeMs: START_MS + minute * MINUTE_MS,
        })),
        markers: [],
        dynos: [],
      }),
    )
  const isoOf = (minute: number) => new Date(START_MS + minute * MINUTE_MS)

  test('errors are the codes of the platform by minute, with their levels', async () => {
    await mergePoints(
      ['counter', 'web', 'H12', 1],
      ['counter', 'web', 'H12', 2],
      ['counter', '', 'H80', 1],
      ['counter', 'web', 'H27', 1],
      ['counter', 'worker', 'R14', 1, 1],
      ['counter', 'web', 'exit.137', 1],
      ['counter', 'web', 'custom.H12', 1],
      ['counter', 'web', 'H12x', 1],
    )
    const rows = await sql`
      select process, bucket, code, errors, level from shelf.errors
      where app = 'shop' order by bucket, process, code`
    expect([...rows]).toEqual([
      { process: '', bucket: isoOf(0), code: 'H80', errors: 1, level: 'warning' },
      { process: 'web', bucket: isoOf(0), code: 'H12', errors: 3, level: 'critical' },
      { process: 'web', bucket: isoOf(0), code: 'H27', errors: 1, level: 'info' },
      { process: 'worker', bucket: isoOf(1), code: 'R14', errors: 1, level: 'critical' },
    ])
  })

  test("each error has the level of Heroku's own command line", async () => {
    const levels = {
      critical:
        'H10 H11 H12 H13 H14 H18 H19 H20 H21 H22 H23 H24 H25 H26 H31 H99 R10 R14 R15 L13 H34',
      warning: 'H15 H16 H17 H28 H80 R12 R13 R16 R99 R151 L10 L11 L12 H83 R17',
      info: 'H27 H81 H82',
    }
    for (const [level, codes] of Object.entries(levels)) {
      for (const code of codes.split(' ')) {
        const [row] = await sql`select shelf.error_level(${code}) as level`
        expect([code, row?.level]).toEqual([code, level])
      }
    }
  })

  test('memory is mean and maximum over dynos and samples, and a share of the quota', async () => {
    await mergePoints(
      ['gauge', 'web', 'memory_total', 100],
      ['gauge', 'web', 'memory_total', 300],
      ['gauge', 'web', 'memory_rss', 90],
      ['gauge', 'web', 'memory_rss', 270],
      ['gauge', 'web', 'memory_swap', 0],
      ['gauge', 'web', 'memory_quota', 250],
      ['gauge', 'web', 'memory_quota', 250],
      ['gauge', 'web', 'memory_cache', 7],
      // Before about 2016 the platform did not tell the quota.
      ['gauge', 'worker', 'memory_total', 50],
    )
    const rows = await sql`select * from shelf.memory where app = 'shop' order by process`
    const [web, worker] = rows
    expect({ ...web }).toEqual({
      ...{ app: 'shop', process: 'web', bucket: isoOf(0) },
      ...{ total_mean: 200, total_max: 300, rss_mean: 180, rss_max: 270, swap_max: 0, quota: 250 },
      ...{ share_max: 1.2, share_mean: 0.8 },
    })
    expect(worker).toMatchObject({ total_mean: 50, quota: null, share_max: null, rss_mean: null })
    expect(rows).toHaveLength(2)
  })

  test('load is mean and maximum, and null where a young dyno has no average', async () => {
    await mergePoints(
      ['gauge', 'web', 'load_avg_1m', 0.5],
      ['gauge', 'web', 'load_avg_1m', 1.5],
      ['gauge', 'web', 'load_avg_5m', 0.25],
    )
    const rows = await sql`select * from shelf.load where app = 'shop'`
    expect([...rows]).toEqual([
      {
        ...{ app: 'shop', process: 'web', bucket: isoOf(0) },
        ...{ load_1m_mean: 1, load_1m_max: 1.5, load_5m_mean: 0.25, load_15m_mean: null },
      },
    ])
  })

  test('completeness is what request_stats says of the same minute', async () => {
    await merge((cells) => {
      const counts = { received: 110, kept: 80, ignoredOutput: 15, malformed: 5, duplicates: 10 }
      cells.addLedger('shop', START_MS, { ...counts, lostL10: 40, lostL12: 30, lostL13: 20 })
      cells.addLedger('shop', START_MS, { lostLog: 6, deadLetters: 4, unreadable: 9, overLimit: 9 })
      cells.addLedger('shop', START_MS + MINUTE_MS, { received: 4, duplicates: 4 })
      cells.requestCell('shop', 'web', START_MS).requests = 1
    })
    const rows = await sql`select * from shelf.completeness where app = 'shop' order by bucket`
    expect(rows.map(({ received, read, lost }) => [received, read, lost])).toEqual([
      [100, 95, 100],
      [0, 0, 0],
    ])
    const [stats] = await sql`
      select completeness from shelf.request_stats('shop', ${isoOf(0)}, ${isoOf(9)}, '1 minute')`
    expect(stats?.completeness).toBe(0.475)
    expect(rows.map((row) => row.completeness)).toEqual([0.475, null])
  })

  test('where our own log lost records, nobody knows how complete any app is', async () => {
    await merge((cells) => {
      for (const minute of [0, 1]) {
        cells.addLedger('shop', START_MS + minute * MINUTE_MS, { received: 4, kept: 4 })
        cells.requestCell('shop', 'web', START_MS + minute * MINUTE_MS).requests = 4
      }
      cells.addLedger('', START_MS, { lostLog: 1 })
    })
    const rows = await sql`
      select completeness from shelf.completeness where app = 'shop' order by bucket`
    const stats = await sql`
      select completeness from shelf.request_stats('shop', ${isoOf(0)}, ${isoOf(9)}, '1 minute')`
    for (const found of [rows, stats]) {
      expect(found.map((row) => row.completeness)).toEqual([null, 1])
    }
  })

  /** A request a minute and value, of web and api in turn; those of 500 ms failed. */
  const mergeRequests = (minutes: [minute: number, serviceMs: number[]][]) =>
    merge((cells) => {
      for (const [minute, values] of minutes) {
        for (const [i, value] of values.entries()) {
          const process = i % 2 === 0 ? 'web' : 'api'
          const cell = cells.requestCell('shop', process, START_MS + minute * MINUTE_MS)
          cell.requests += 1
          const status = value === 500 ? 503 : 200
          cell.status.set(status, (cell.status.get(status) ?? 0) + 1)
          record(cell.service, value)
        }
      }
    })
  const change = (kind: string, text: string, minute: number, seconds = 0) => sql`
    insert into shelf.marker_lines (app, time, kind, text)
    values ('shop', ${new Date(START_MS + minute * MINUTE_MS + seconds * 1000)}, ${kind}, ${text})`

  test('a release is seen in the 30 full minutes before and after it, of all processes', async () => {
    await change('deploy', '059375fe', 60, 20)
    await change('release', 'v42', 60, 20)
    const before = Array.from({ length: 30 }, (_, i) => [10 + i, 20 + 3 * i])
    const after = Array.from({ length: 30 }, (_, i) => [100 + i, i % 10 === 0 ? 500 : 40])
    await mergeRequests([
      [29, [9000]],
      ...before.map((values, i): [number, number[]] => [30 + i, values]),
      [60, [9000, 9000]],
      ...after.map((values, i): [number, number[]] => [61 + i, values]),
      [91, [9000]],
    ])
    const rows = await sql`select * from shelf.release_impact where app = 'shop'`
    expect(rows).toHaveLength(1)
    const [row] = rows
    expect(row).toMatchObject({
      ...{ kind: 'deploy', text: '059375fe', version: 'v42', time: new Date(isoOf(60.333333)) },
      ...{ requests_before: 60, requests_after: 60, error_rate_before: 0, error_rate_after: 0.05 },
    })
    for (const [name, values] of [
      ['before', before.flat()],
      ['after', after.flat()],
    ] as const) {
      for (const q of [50, 95, 99]) {
        const truth = nearestRank(values, q / 100)
        const found: number = row?.[`p${q}_${name}`]
        expect(Math.abs(found - truth)).toBeLessThanOrEqual(allowedError(truth))
      }
    }
  })

  test('a change without requests around it is there, with nulls; an add-on if it released', async () => {
    await change('rollback', 'v1', 0)
    await change('config', 'set FOO', 10)
    await change('addon', 'attach LOGDNA', 20)
    await change('addon', 'attach CACHE', 30)
    await change('release', 'v5', 30)
    await change('release', 'v6', 40)
    await change('scale', '2', 50)
    const rows = await sql`
      select kind, version, requests_before, requests_after, error_rate_before, p99_after
      from shelf.release_impact where app = 'shop' order by time`
    const none = { requests_before: 0, requests_after: 0, error_rate_before: null, p99_after: null }
    expect([...rows]).toEqual([
      { kind: 'rollback', version: null, ...none },
      { kind: 'config', version: null, ...none },
      { kind: 'addon', version: 'v5', ...none },
      { kind: 'release', version: 'v6', ...none },
    ])
  })

  for (const [view, column] of [
    ['errors', 'bucket'],
    ['memory', 'bucket'],
    ['load', 'bucket'],
    ['completeness', 'bucket'],
    ['release_impact', 'time'],
  ] as const) {
    test(`of ${view} only the app and time asked for are read`, async () => {
      const plan = await sql.begin(async (transaction) => {
        // Tables as small as these are read whole otherwise.
        await transaction`set local enable_seqscan = off`
        await transaction`set local enable_bitmapscan = off`
        return await transaction.unsafe(`
          explain (costs off) select * from shelf.${view}
          where app = 'shop' and ${column} >= '2026-11-23Z' and ${column} < '2026-11-24Z'`)
      })
      const text = plan.map((line) => line['QUERY PLAN']).join('\n')
      const name = column === 'time' ? '"time"' : column
      expect(text).toMatch(new RegExp(`Index Cond: \\(\\(app = 'shop'::text\\) AND .*${name} >=`))
      // Before whatever is looked up for single rows.
      const [rows = ''] = text.split('SubPlan')
      if (column === 'bucket') expect(rows).not.toMatch(/_1m_(?!20261123)\d+/)
      // But the four rows of shelf.tiers.
      expect(text).not.toMatch(/Seq Scan on (?!tiers)/)
    })
  }
})
