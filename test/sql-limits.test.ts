/** Limits on names: first come, first served, the same in a replay as live. */
import { afterAll, beforeAll, beforeEach, expect, test } from 'bun:test'
import fc from 'fast-check'
import { limited } from '../batch/limited.ts'
import { migrate } from '../batch/migrate.ts'
import { Cells } from '../core/cell.ts'
import { connect, type Sql } from '../db/client.ts'
import { type LimitsMax, loadLimits } from '../db/limits.ts'
import { mergeCells } from '../db/merge-cells.ts'
import { onEachPostgres } from './sql-server.ts'

const BUCKET_MS = Date.UTC(2026, 10, 23, 10)
const MAX: LimitsMax = { processes: 2, names: 3 }
const at = { app: 'shop', bucketMs: BUCKET_MS }
const OTHER = { name: 'other', source: '' }

onEachPostgres((newDatabase) => {
  let sql: Sql

  beforeAll(async () => {
    const url = await newDatabase()
    await migrate(url)
    sql = connect(url, { max: 2 })
  })
  afterAll(() => sql.end())
  beforeEach(async () => {
    await sql`truncate shelf.gauges_1m, shelf.counters_1m, shelf.histograms_1m, shelf.requests_1m`
  })

  const load = (max = MAX, touched = [at]) =>
    sql.begin((transaction) => loadLimits(transaction, touched, max))

  /** Counters one after another, as persist writes them; returns where each went. */
  const count = (points: { process: string; name: string; source: string }[], max = MAX) =>
    sql.begin(async (transaction) => {
      const limits = await loadLimits(transaction, [at], max)
      const cells = new Cells()
      const went = points.map(({ process, name, source }) => {
        const metric = limits.name(at.app, BUCKET_MS, name, source)
        const cell = { ...at, ...metric, process: limits.process(at.app, BUCKET_MS, process) }
        cells.addCounter({ ...cell, sum: 1 })
        return `${cell.process} ${cell.name} ${cell.source}`
      })
      await mergeCells(transaction, cells)
      return went
    })

  test('a metric that is itself called other has no sources beyond the limit', async () => {
    const limits = await load({ processes: 2, names: 1 })
    const cells = new Cells()
    const went = ['a', 'b', 'c'].map((source) =>
      limited({ app: at.app, process: '', name: 'other', source }, BUCKET_MS, () => 1, {
        limits,
        cells,
      }),
    )
    expect(went.map(({ source }) => source)).toEqual(['a', '', ''])
    expect([...cells.ledger.values()].map(({ counts }) => counts)).toEqual([{ overLimit: 2 }])
  })

  test('names are let in as they come, and go on being let in', async () => {
    const limits = await load()
    const ask = (name: string, source = '') => limits.name('shop', BUCKET_MS, name, source)
    expect(ask('custom.a')).toEqual({ name: 'custom.a', source: '' })
    expect(ask('custom.a', 'shard1')).toEqual({ name: 'custom.a', source: 'shard1' })
    expect(ask('custom.b')).toEqual({ name: 'custom.b', source: '' })
    expect(ask('custom.c')).toEqual(OTHER)
    expect(ask('custom.b', 'shard1')).toEqual(OTHER)
    expect(ask('custom.a')).toEqual({ name: 'custom.a', source: '' })
    const processes = ['web', 'worker', 'clock', '', 'web', 'other'].map((process) =>
      limits.process('shop', BUCKET_MS, process),
    )
    expect(processes).toEqual(['web', 'worker', 'other', '', 'web', 'other'])
  })

  test('each app and minute has names of its own', async () => {
    const later = { app: 'shop', bucketMs: BUCKET_MS + 60_000 }
    const other = { app: 'other', bucketMs: BUCKET_MS }
    const limits = await load({ processes: 1, names: 1 }, [at, later, other])
    for (const { app, bucketMs } of [at, later, other]) {
      expect(limits.name(app, bucketMs, `custom.${app}`, '').name).toBe(`custom.${app}`)
      expect(limits.name(app, bucketMs, 'custom.more', '')).toEqual(OTHER)
      expect(limits.process(app, bucketMs, `${app}-web`)).toBe(`${app}-web`)
      expect(limits.process(app, bucketMs, 'more')).toBe('other')
    }
  })

  test("the platform's own names are never refused, and take no place", async () => {
    const own = ['R14', 'H12', 'L10', 'memory_rss', 'memory_quota', 'load_avg_15m', 'exit.137']
    await count(own.map((name) => ({ process: '', name, source: '' })))
    const limits = await load({ processes: 0, names: 1 })
    expect(limits.name('shop', BUCKET_MS, 'custom.a', '').name).toBe('custom.a')
    for (const name of own) expect(limits.name('shop', BUCKET_MS, name, '').name).toBe(name)
    // Names that only look like them: there may be any number.
    for (const name of ['R14x', 'xR14', 'memory_rss2', 'exit.custom', 'H1234', 'R14\n']) {
      expect(limits.name('shop', BUCKET_MS, name, '')).toEqual(OTHER)
    }
    expect(limits.name('shop', BUCKET_MS, 'R14', 'shard1')).toEqual(OTHER)
  })

  test('what the tables hold is in already, whichever table it is', async () => {
    const key = { ...at, source: '' }
    const cells = new Cells()
    const times = { count: 1, sum: 1, min: 1, max: 1, last: 1, lastMs: BUCKET_MS }
    cells.addGauge({ ...key, ...times, process: 'a', name: 'custom.gauge', source: 'x' })
    cells.addGauge({ ...key, ...times, process: 'a', name: 'other' })
    cells.addCounter({ ...key, process: 'a', name: 'custom.gauge', source: 'x', sum: 1 })
    cells.addCounter({ ...key, process: 'b', name: 'custom.counter', sum: 1 })
    const histogram = cells.requestCell('shop', 'c', BUCKET_MS).service
    cells.addMeasure({ ...key, process: 'd', name: 'custom.measure', histogram })
    await sql.begin((transaction) => mergeCells(transaction, cells))

    const limits = await load({ processes: 4, names: 3 })
    for (const process of ['a', 'b', 'c', 'd']) {
      expect(limits.process('shop', BUCKET_MS, process)).toBe(process)
    }
    expect(limits.process('shop', BUCKET_MS, 'e')).toBe('other')
    expect(limits.name('shop', BUCKET_MS, 'custom.new', '')).toEqual(OTHER)
    for (const name of ['custom.counter', 'custom.measure']) {
      expect(limits.name('shop', BUCKET_MS, name, '').name).toBe(name)
    }
    const gauge = { name: 'custom.gauge', source: 'x' }
    expect(limits.name('shop', BUCKET_MS, 'custom.gauge', 'x')).toEqual(gauge)
    expect(limits.name('shop', BUCKET_MS, 'custom.gauge', '')).toEqual(OTHER)
    // The same minute of another app has none of it.
    const fresh = await load(MAX, [{ app: 'fresh', bucketMs: BUCKET_MS }])
    expect(fresh.process('fresh', BUCKET_MS, 'e')).toBe('e')
  })

  test('a replay in one piece gives the rows of many small pieces', async () => {
    const point = fc.record({
      process: fc.constantFrom('web', 'worker', 'clock', 'run'),
      name: fc.constantFrom('custom.a', 'custom.b', 'custom.c', 'custom.d', 'R14'),
      source: fc.constantFrom('', 'x'),
    })
    const pieces = fc.array(fc.array(point, { maxLength: 8 }), { maxLength: 4 })
    await fc.assert(
      fc.asyncProperty(pieces, async (parts) => {
        const rows: string[][] = []
        for (const some of [parts, [parts.flat()]]) {
          await sql`truncate shelf.counters_1m`
          for (const part of some) await count(part)
          const found = await sql<{ row: string }[]>`
            select c::text as row from shelf.counters_1m c order by 1`
          rows.push(found.map(({ row }) => row))
        }
        expect(rows[0]).toEqual(rows[1] ?? [])
      }),
      { numRuns: 25 },
    )
  })

  test('limits that are lowered do not refuse what is there', async () => {
    const points = ['a', 'b', 'c'].map((name) => ({ process: name, name, source: '' }))
    await count(points, { processes: 9, names: 9 })
    expect(await count([...points, { process: 'd', name: 'd', source: '' }])).toEqual([
      'a a ',
      'b b ',
      'c c ',
      'other other ',
    ])
  })

  test('nothing touched needs no database', async () => {
    const limits = await load(MAX, [])
    expect(limits.process('shop', BUCKET_MS, 'web')).toBe('web')
  })
})
