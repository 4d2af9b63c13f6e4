/** What SQL says of a histogram, against the sorted values that it stands for. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { migrate } from '../batch/migrate.ts'
import { binOf, fromSparse, quantile } from '../core/histogram.ts'
import { connect, type Sql } from '../db/client.ts'
import { histogramToText } from '../db/schema.ts'
import { allowedError, histogramOf, nearestRank } from './sql-reference.ts'
import { onEachPostgres } from './sql-server.ts'

const QUANTILES = [0, 0.001, 0.05, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 1]
const SIZES = [1, 2, 3, 10, 99, 1000, 20_000]

/** A generator of numbers in [0, 1) that starts the same each time (mulberry32). */
function randomFrom(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

const DATASETS: Record<string, (random: () => number) => number> = {
  'all the same': () => 137,
  'uniform whole ms': (random) => Math.floor(random() * 30_001),
  'uniform fractions': (random) => random() * 3,
  exponential: (random) => -Math.log(1 - random()) * 80,
  'log-normal whole ms': (random) =>
    Math.round(Math.exp(4 + Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(6.2832 * random()))),
  'heavy tail': (random) => 1 / (1 - random()) ** 2,
  'mostly zero': (random) => (random() < 0.7 ? 0 : Math.ceil(random() * 50)),
  'two far humps': (random) => (random() < 0.95 ? 3 + random() : 29_000 + random() * 1000),
}

function datasetOf(draw: (random: () => number) => number, size: number): number[] {
  const random = randomFrom(size)
  return Array.from({ length: size }, () => draw(random))
}

onEachPostgres((newDatabase) => {
  let sql: Sql

  beforeAll(async () => {
    const url = await newDatabase()
    await migrate(url)
    sql = connect(url, { max: 1 })
  })
  afterAll(() => sql.end())

  describe('a quantile of merged histograms is within 1.083 % of nearest rank', () => {
    for (const [name, draw] of Object.entries(DATASETS)) {
      test(name, async () => {
        for (const size of SIZES) {
          const values = datasetOf(draw, size)
          const parts = Array.from({ length: 7 }, (_, i) => values.filter((_, k) => k % 7 === i))
          const rows = await sql<{ q: number; found: number }[]>`
            select q, shelf.quantile(h, q) as found
            from (
              select shelf.merge(part::shelf.histogram) as h
              from unnest(${parts.map((part) => histogramToText(histogramOf(part)))}::text[]) part
            ) merged, unnest(${QUANTILES}::double precision[]) q`
          const far = rows.filter(({ q, found }) => {
            const truth = nearestRank(values, q)
            return !(Math.abs(found - truth) <= allowedError(truth))
          })
          expect({ size, rows: rows.length, far }).toEqual({ size, rows: 11, far: [] })
        }
      })
    }
  })

  test('the first and the last rank are exact', async () => {
    for (const draw of Object.values(DATASETS)) {
      const values = datasetOf(draw, 99)
      const [row] = await sql`
        select shelf.quantile(h, 0) as first, shelf.quantile(h, 1) as last
        from (select ${histogramToText(histogramOf(values))}::shelf.histogram as h) one`
      expect({ ...row }).toEqual({ first: Math.min(...values), last: Math.max(...values) })
    }
  })

  test('a summary has the same quantiles, whatever the number of bins', async () => {
    const sizes = [...Array(40).keys(), 300, 3000]
    const histograms = Object.values(DATASETS).flatMap((draw) =>
      sizes.map((size) => histogramToText(histogramOf(datasetOf(draw, size)))),
    )
    expect(
      await sql`
        select h, s.*
        from unnest(${histograms}::text[]) t, cast(t as shelf.histogram) h, shelf.summary(h) s
        where row(s.*) is distinct from row(shelf.count(h), shelf.quantile(h, 0.5),
          shelf.quantile(h, 0.95), shelf.quantile(h, 0.99), (h).max, shelf.mean(h))`,
    ).toHaveLength(0)
    const [none] = await sql`select * from shelf.summary(null)`
    expect({ ...none }).toEqual({
      count: 0,
      p50: null,
      p95: null,
      p99: null,
      max: null,
      mean: null,
    })
  })

  test('SQL and TypeScript give the same quantile', async () => {
    const histogram = histogramOf(datasetOf((random) => random() * 30_000, 1000))
    const rows = await sql<{ q: number; found: number }[]>`
      select q, shelf.quantile(${histogramToText(histogram)}::shelf.histogram, q) as found
      from unnest(${QUANTILES}::double precision[]) q`
    for (const { q, found } of rows) {
      expect(found / (quantile(fromSparse(histogram), q) ?? Number.NaN)).toBeCloseTo(1, 12)
    }
  })

  test('SQL and TypeScript put a value into the same bin', async () => {
    const rows = await sql<{ v: number; bin: number }[]>`
      select v, shelf.bin_of(v) as bin from (
        select v::double precision from generate_series(1, 20000) v
        union all select power(2::double precision, k) from generate_series(-1000, 1023) k
        union all select exp(k / 100.0::double precision) from generate_series(-1000, 1000) k
      ) numbers`
    expect(rows.filter(({ v, bin }) => bin !== binOf(v))).toEqual([])
    const [none] = await sql`
      select shelf.bin_of(0) as zero, shelf.bin_of(-1) as negative,
        shelf.bin_of('infinity') as infinite, shelf.bin_of('nan') as nan`
    expect({ ...none }).toEqual({ zero: null, negative: null, infinite: null, nan: null })
  })

  test('a bin ends at its upper bound and begins behind its lower one', async () => {
    expect(
      await sql`
        select bin from generate_series(-3200, 3200) bin
        where shelf.bin_of(shelf.lower_bound(bin + 1)) <> bin
          or shelf.bin_of(shelf.lower_bound(bin) * (1 + 1e-12)) <> bin
          or shelf.bin_value(bin) not between shelf.lower_bound(bin) and shelf.lower_bound(bin + 1)`,
    ).toHaveLength(0)
  })

  test('an empty histogram has no quantile, mean or share, and a count of 0', async () => {
    const [row] = await sql`
      select shelf.quantile(h, 0.5) as quantile, shelf.mean(h) as mean, shelf.count(h) as count,
        shelf.fraction_at_most(h, 1) as fraction, shelf.count(null) as none
      from (select '(0,{},{},0,,)'::shelf.histogram as h) empty`
    const nothing = { quantile: null, mean: null, fraction: null }
    expect({ ...row }).toEqual({ ...nothing, count: 0, none: 0 })
  })

  test('a quantile outside 0 to 1 is null', async () => {
    const rows = await sql`
      select shelf.quantile('(0,{0},{3},4.5,1.5,1.5)', q) as found
      from unnest(array[-0.1, 1.1, 'nan', 'infinity', null]::double precision[]) q`
    expect(rows.map((row) => row.found)).toEqual([null, null, null, null, null])
  })

  test('count and mean are exact', async () => {
    for (const draw of Object.values(DATASETS)) {
      const values = datasetOf(draw, 1000)
      const histogram = histogramOf(values)
      const [row] = await sql`
        select shelf.count(h) as count, shelf.mean(h) as mean
        from (select ${histogramToText(histogram)}::shelf.histogram as h) one`
      expect({ ...row }).toEqual({ count: 1000, mean: histogram.sum / 1000 })
    }
  })

  test('a fraction is exact at the bounds of bins and beyond min and max', async () => {
    for (const draw of Object.values(DATASETS)) {
      const values = datasetOf(draw, 999)
      const rows = await sql<{ v: number; found: number }[]>`
        select v, shelf.fraction_at_most(h, v) as found
        from (select ${histogramToText(histogramOf(values))}::shelf.histogram as h) one,
          lateral (
            select shelf.lower_bound(bin) as v from generate_series(-200, 600) bin
            union all select unnest(array[-1, 0, (h).min * 0.999, (h).max, 1e9, 'infinity'])
          ) asked`
      const wrong = rows.filter(
        ({ v, found }) => found !== values.filter((value) => value <= v).length / 999,
      )
      expect(wrong).toEqual([])
    }
  })

  test('inside a bin a fraction grows from the share below to the share within', async () => {
    const rows = await sql<{ found: number }[]>`
      select shelf.fraction_at_most(
        row(1, array[32, 33], array[2, 1], 8, 0, 2.06)::shelf.histogram,
        power(2::double precision, 1 + step / 320::double precision)
      ) as found
      from generate_series(0, 10) step order by step`
    const found = rows.map((row) => row.found)
    expect(found.at(0)).toBe(1 / 4)
    expect(found.at(5)).toBeCloseTo(2 / 4, 10)
    expect(found.at(-1)).toBe(3 / 4)
    expect(found.toSorted((a, b) => a - b)).toEqual(found)
  })
})
