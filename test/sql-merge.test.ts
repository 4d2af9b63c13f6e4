/** The algebra of merging in SQL: in any order and grouping, the histogram of all values. */
import { afterAll, beforeAll, expect, test } from 'bun:test'
import fc from 'fast-check'
import { migrate } from '../batch/migrate.ts'
import type { SparseHistogram } from '../core/histogram.ts'
import { connect, type Sql } from '../db/client.ts'
import { histogramFromText, histogramToText } from '../db/schema.ts'
import { histogramOf } from './sql-reference.ts'
import { onEachPostgres } from './sql-server.ts'

const EMPTY: SparseHistogram = { zero: 0, bins: [], counts: [], sum: 0, min: null, max: null }

/** Whole ms, as the router prints them: their sums are exact in any order. */
const wholeMs = fc.array(fc.integer({ min: 0, max: 60_000 }), { maxLength: 60 })
const statuses = fc.dictionary(
  fc.constantFrom('200', '304', '404', '500', '503'),
  fc.integer({ min: 1, max: 1_000_000 }),
)

onEachPostgres((newDatabase) => {
  let sql: Sql

  beforeAll(async () => {
    const url = await newDatabase()
    await migrate(url)
    sql = connect(url, { max: 1 })
  })
  afterAll(() => sql.end())

  test('merge is associative and commutative and gives the histogram of all values', async () => {
    await fc.assert(
      fc.asyncProperty(wholeMs, wholeMs, wholeMs, async (a, b, c) => {
        const [x, y, z] = [a, b, c].map((part) => histogramToText(histogramOf(part)))
        const [row] = await sql`
          select shelf.merge(shelf.merge(a, b), c)::text as left,
            shelf.merge(a, shelf.merge(b, c))::text as right,
            shelf.merge(shelf.merge(c, a), b)::text as turned,
            shelf.merge_all(array[b, c, a])::text as all
          from (select ${x ?? ''}::shelf.histogram as a, ${y ?? ''}::shelf.histogram as b,
            ${z ?? ''}::shelf.histogram as c) parts`
        const whole = histogramOf([...a, ...b, ...c])
        for (const text of Object.values({ ...row })) {
          expect(histogramFromText(String(text))).toEqual(whole)
        }
      }),
    )
  })

  test('nulls are empty to merge, as an argument, a row or a field', async () => {
    const one = '(1,{5},{2},2.5,0,1.15)'
    const [row] = await sql`
      select shelf.merge(h, null)::text as a, shelf.merge(null, h)::text as b,
        shelf.merge(h, row(null, null, null, null, null, null)::shelf.histogram)::text as c,
        (select shelf.merge(x)::text from unnest(array[null, h, null]) x) as d
      from (select ${one}::shelf.histogram as h) one`
    for (const text of Object.values({ ...row })) expect(String(text)).toBe(one)

    const [nothing] = await sql`
      select shelf.merge(null::shelf.histogram, null)::text as a,
        (select shelf.merge(h)::text from (select null::shelf.histogram as h where false) none) as b,
        (select shelf.merge(h)::text from (select null::shelf.histogram as h) one) as c`
    for (const text of Object.values({ ...nothing })) {
      expect(histogramFromText(String(text))).toEqual(EMPTY)
    }
  })

  test('a merge that several processes share gives the same histogram', async () => {
    await sql`create table many as
      select row(k % 3, array[k % 50, 60 + k % 400], array[1 + k % 7, 2], k % 1000, 0, k)
        ::shelf.histogram as h from generate_series(1, 20000) k`
    const alone = 'select shelf.merge(h)::text as h from many'
    const shared = await sql.begin(async (transaction) => {
      await transaction`set local parallel_setup_cost = 0`
      await transaction`set local parallel_tuple_cost = 0`
      await transaction`set local min_parallel_table_scan_size = 0`
      const plan = await transaction.unsafe(`explain (costs off) ${alone}`)
      expect(plan.map((line) => line['QUERY PLAN']).join('\n')).toContain('Partial Aggregate')
      return await transaction.unsafe(alone)
    })
    await sql`set max_parallel_workers_per_gather = 0`
    expect([...shared]).toEqual([...(await sql.unsafe(alone))])
  })

  test('an upsert merges into the row that is there', async () => {
    await sql`create table rows (id integer primary key, h shelf.histogram, status jsonb)`
    for (const values of [[1, 2, 3], [0, 3, 7029], []]) {
      await sql`
        insert into rows
        values (1, ${histogramToText(histogramOf(values))}::shelf.histogram, '{"200": 3}')
        on conflict (id) do update set h = shelf.merge(rows.h, excluded.h),
          status = shelf.add_counts(rows.status, excluded.status)`
    }
    const [row] = await sql`select h, status from rows`
    expect(histogramFromText(row?.h)).toEqual(histogramOf([1, 2, 3, 0, 3, 7029]))
    expect(row?.status).toEqual({ '200': 9 })
  })

  test('status counts add up by key, in any order', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(statuses, { minLength: 2, maxLength: 5 }), async (maps) => {
        const sum: Record<string, number> = {}
        for (const map of maps) {
          for (const [code, n] of Object.entries(map)) sum[code] = (sum[code] ?? 0) + n
        }
        const texts = maps.map((map) => JSON.stringify(map))
        const [row] = await sql`
          select (select shelf.add_counts(map::jsonb) from unnest(${texts}::text[]) map) as all,
            shelf.add_counts(${texts[0] ?? ''}::text::jsonb, ${texts[1] ?? ''}::text::jsonb) as ab,
            shelf.add_counts(${texts[1] ?? ''}::text::jsonb, ${texts[0] ?? ''}::text::jsonb) as ba`
        expect(row?.all).toEqual(sum)
        expect(row?.ab).toEqual(row?.ba)
      }),
    )
    const [nothing] = await sql`
      select shelf.add_counts(null::jsonb, null) as two, shelf.add_counts('{"200": 1}', null) as one,
        (select shelf.add_counts(map) from (select null::jsonb as map) nulls) as nulls`
    expect({ ...nothing }).toEqual({ two: {}, one: { '200': 1 }, nulls: {} })
  })

  test('a histogram is the same after its way to Postgres and back', async () => {
    const values = fc.array(fc.double({ min: 0, max: 1e12, noNaN: true }), { maxLength: 30 })
    await fc.assert(
      fc.asyncProperty(values, async (some) => {
        const histogram = histogramOf(some.map((value) => value + 0))
        const [row] = await sql`select ${histogramToText(histogram)}::shelf.histogram as h`
        expect(histogramFromText(row?.h)).toEqual(histogram)
      }),
    )
    expect(() => histogramFromText('(0,{},{},0,)')).toThrow(TypeError)
  })

  test('a bigint beyond 2^53 is an error, not a rounded number', async () => {
    const [row] = await sql`select 9007199254740991::bigint as n`
    expect(row?.n).toBe(9007199254740991)
    const beyond =
      sql`select n from generate_series(9007199254740992, 9007199254740999) n`.execute()
    await expect(beyond).rejects.toThrow(RangeError)
    expect([...(await sql`select 7::bigint as n`)]).toEqual([{ n: 7 }])
  })
})
