/** A generated day goes the whole way, and SQL tells what its generator knows to be true. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { deliver } from '../batch/deliver.ts'
import { type DemoDay, demoDay } from '../batch/demo-day.ts'
import { addMessage, emptyTruth, truthKey } from '../batch/demo-truth.ts'
import { drainUrl } from '../batch/drains.ts'
import { migrate } from '../batch/migrate.ts'
import { decodeBurst } from '../core/burst.ts'
import { burstToJson } from '../core/burst-json.ts'
import { RELATIVE_ERROR_MAX } from '../core/histogram.ts'
import { LEDGER_COUNTS, MINUTE_MS } from '../core/ledger.ts'
import { connect, type Sql } from '../db/client.ts'
import { onEachPostgres } from './sql-server.ts'
import { caughtUp, KEY, Restarted, type Stack, startStack } from './stack.ts'

const APP = 'shop'

/** Long enough that what happens in a day happens one after the other. */
const DAY_MS = 90 * MINUTE_MS
const SEED = 20261123

/** Sums are of values rounded to 2^-24, so they are off by half of that each, at most. */
const SUM_ERROR_MAX = 2 ** -25

const PERCENTILES = [0.5, 0.95, 0.99]

/** The value of nearest rank. */
function quantileOf(values: readonly number[], q: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.max(0, Math.ceil(q * sorted.length) - 1)] ?? Number.NaN
}

const startMs = Math.floor(Date.now() / MINUTE_MS) * MINUTE_MS - DAY_MS
const day: DemoDay = demoDay({ seed: SEED, startMs, dayMs: DAY_MS, rate: 3 })
const truth = emptyTruth()
const messages = Array.from(day.messages, (message) => {
  addMessage(truth, message)
  return Buffer.from(message.text)
})

async function sendDay(drain: string): Promise<void> {
  const sent = await deliver(drain, messages, new AbortController().signal)
  expect(sent).toMatchObject({ messages: messages.length, dropped: 0 })
}

interface HistogramRow {
  count: number
  sum: number
  min: number | null
  max: number | null
  quantiles: (number | null)[]
}

/** The columns of a HistogramRow, of a column of type shelf.histogram. */
const histogramColumns = (column: string): string => `jsonb_build_object(
  'count', shelf.count(${column}), 'sum', (${column}).sum,
  'min', (${column}).min, 'max', (${column}).max,
  'quantiles', jsonb_build_array(${PERCENTILES.map((q) => `shelf.quantile(${column}, ${q})`)}))`

function expectHistogram(row: HistogramRow | undefined, values: readonly number[]): void {
  expect(row?.count).toBe(values.length)
  if (row === undefined || values.length === 0) return
  expect(row.min).toBe(Math.min(...values))
  expect(row.max).toBe(Math.max(...values))
  expectSum(row.sum, values)
  PERCENTILES.forEach((q, index) => {
    const wanted = quantileOf(values, q)
    const error = Math.abs((row.quantiles[index] ?? Number.NaN) - wanted)
    expect(error).toBeLessThanOrEqual(wanted * RELATIVE_ERROR_MAX * (1 + 1e-9))
  })
}

function expectSum(sum: number, values: readonly number[]): void {
  const wanted = values.reduce((total, value) => total + value, 0)
  const error = values.length * SUM_ERROR_MAX + Math.abs(wanted) * 1e-12
  expect(Math.abs(sum - wanted)).toBeLessThanOrEqual(error)
}

interface MetricRow {
  bucket: Date
  process: string
  name: string
  source: string
}

const keyOf = ({ bucket, process, name, source }: MetricRow): string =>
  truthKey(bucket.getTime(), process, name, source)

const byKey = <Row extends MetricRow>(rows: readonly Row[]): Map<string, Row> =>
  new Map(rows.map((row) => [keyOf(row), row]))

const keys = (rows: Map<string, unknown>): string[] => [...rows.keys()].sort()

onEachPostgres((newDatabase) => {
  describe('a generated day, the whole way to SQL', () => {
    let stack: Stack
    let drain: string
    let sql: Sql
    let url: string

    beforeAll(async () => {
      stack = await startStack()
      drain = await drainUrl(stack.edge.url, KEY, { id: 'd1', app: APP })
      await sendDay(drain)
      url = await newDatabase()
      await migrate(url)
      const worker = new Restarted(['run'], stack.env(url))
      await caughtUp(stack.log, url)
      await worker.stop()
      sql = connect(url, { max: 2 })
    })
    afterAll(async () => {
      await sql.end()
      await stack.stop()
    })

    test('requests: counts, status, bytes, and the percentiles of their times', async () => {
      const rows = await sql<
        {
          bucket: Date
          process: string
          requests: number
          status: Record<string, number>
          bytes: number
          service: HistogramRow
          connect: HistogramRow
        }[]
      >`
        select bucket, process, requests, status, bytes,
          ${sql.unsafe(histogramColumns('service'))} as service,
          ${sql.unsafe(histogramColumns('connect'))} as connect
        from shelf.requests_1m where app = ${APP}`
      const found = new Map(
        rows.map((row) => [truthKey(row.bucket.getTime(), row.process), row] as const),
      )
      expect(keys(found)).toEqual(keys(truth.requests))
      for (const [key, { requests, status, bytes, serviceMs, connectMs }] of truth.requests) {
        const row = found.get(key)
        expect(row).toMatchObject({ requests, bytes })
        expect(row?.status).toEqual(status)
        expectHistogram(row?.service, serviceMs)
        expectHistogram(row?.connect, connectMs)
      }
    })

    test('gauges: memory and load of dynos, add-ons, and the samples of the app', async () => {
      const found = byKey(
        await sql<(MetricRow & { count: number; sum: number; min: number; max: number })[]>`
          select bucket, process, name, source, count, sum, min, max
          from shelf.gauges_1m where app = ${APP}`,
      )
      expect(keys(found)).toEqual(keys(truth.gauges))
      for (const [key, { count, sum, min, max }] of truth.gauges) {
        const row = found.get(key)
        expect(row).toMatchObject({ count, min, max })
        const error = count * SUM_ERROR_MAX + Math.abs(sum) * 1e-12
        expect(Math.abs((row?.sum ?? Number.NaN) - sum)).toBeLessThanOrEqual(error)
      }
    })

    test('counters: errors by code, exits, and the counts of the app', async () => {
      const found = byKey(
        await sql<(MetricRow & { sum: number })[]>`
          select bucket, process, name, source, sum from shelf.counters_1m where app = ${APP}`,
      )
      const told = new Map([...found].map(([key, { sum }]) => [key, sum]))
      expect([...told].sort()).toEqual([...truth.counters].sort())
    })

    test('errors: every code of the platform, as its view tells them', async () => {
      const rows = await sql<{ bucket: Date; process: string; code: string; errors: number }[]>`
        select bucket, process, code, errors from shelf.errors where app = ${APP}`
      const told = rows.map(({ bucket, process, code, errors }): [string, number] => [
        truthKey(bucket.getTime(), process, code),
        errors,
      ])
      const isError = ([key]: [string, number]): boolean => / [HRL]\d+$/.test(key)
      expect(told.sort()).toEqual([...truth.counters].filter(isError).sort())
      const codes = new Set(rows.map(({ code }) => code))
      for (const code of ['H10', 'H12', 'H27', 'H80', 'R14', 'R15', 'L10', 'L12']) {
        expect(codes).toContain(code)
      }
    })

    test('histograms: the measurements of the app, in seconds', async () => {
      const found = byKey(
        await sql<(MetricRow & { histogram: HistogramRow })[]>`
          select bucket, process, name, source,
            ${sql.unsafe(histogramColumns('histogram'))} as histogram
          from shelf.histograms_1m where app = ${APP}`,
      )
      expect(keys(found)).toEqual(keys(truth.measures))
      for (const [key, values] of truth.measures) expectHistogram(found.get(key)?.histogram, values)
    })

    test('markers: what was done is one row each, in order, and nothing else is', async () => {
      const rows = await sql<
        { time: Date; kind: string; process: string; text: string; by: string; detail: object }[]
      >`
        select time, kind, process, text, by, detail from shelf.markers where app = ${APP}
        order by time, kind, process`
      const timeOf = (kind: string, timeMs: number): string =>
        // A maintenance is known from the minutes in which requests met it.
        kind === 'maintenance' ? truthKey(timeMs) : new Date(timeMs).toISOString()
      const told = rows.map(({ time, kind, process }) =>
        [timeOf(kind, time.getTime()), kind, process].join(' '),
      )
      const done = day.markers.map(({ timeMs, kind, process }) =>
        [timeOf(kind, timeMs), kind, process].join(' '),
      )
      expect(told.sort()).toEqual(done.sort())

      const users = new Map<string, string>()
      for (const { timeMs, kind, process, words, email } of day.markers) {
        const [row, ...others] = rows.filter(
          (row) =>
            row.kind === kind &&
            row.process === process &&
            timeOf(kind, row.time.getTime()) === timeOf(kind, timeMs),
        )
        expect(others).toEqual([])
        const all = `${row?.text} ${JSON.stringify(row?.detail)}`
        for (const word of words) expect(all).toContain(word)
        expect(row?.by).toMatch(email === undefined ? /^$/ : /^[0-9a-f]{8}$/)
        if (email === undefined) continue
        expect(users.get(email) ?? row?.by).toBe(row?.by ?? '')
        users.set(email, row?.by ?? '')
      }
      expect(new Set(users.values()).size).toBe(users.size)
      expect(users.size).toBe(4)
    })

    test('the deploy is one row, with its release and the process types that it restarted', async () => {
      const rows = await sql<{ kind: string; detail: Record<string, unknown> }[]>`
        select kind, detail from shelf.markers
        where app = ${APP} and kind in ('deploy', 'config') order by time`
      expect(rows.map(({ kind }) => kind)).toEqual(['deploy', 'config'])
      expect(rows[0]?.detail).toMatchObject({ version: 'v42', restarted: ['web', 'worker'] })
      expect(rows[1]?.detail).toMatchObject({ version: 'v43', restarted: ['web', 'worker'] })
    })

    test('the ledger: each message has one place, and what was lost is known', async () => {
      const rows = await sql<({ bucket: Date } & Record<string, number>)[]>`
        select * from shelf.ledger_1m where app = ${APP}`
      const found = new Map(
        rows.map((row) => [
          truthKey(row.bucket.getTime()),
          Object.fromEntries(
            LEDGER_COUNTS.map((what) => [what, row[columnOf(what)] ?? Number.NaN]),
          ),
        ]),
      )
      const none = Object.fromEntries(LEDGER_COUNTS.map((what) => [what, 0]))
      const wanted = new Map(
        [...truth.ledger].map(([key, counts]) => [key, { ...none, ...counts }]),
      )
      expect([...found].sort(byText)).toEqual([...wanted].sort(byText))
      await expectBalance(sql)
    })

    test('nothing that identifies a person is in the database, the log or the aggregates', async () => {
      const haystack = `${await databaseText(sql)}\n${await logText(stack)}`
      expect(haystack).toContain('custom.db.latency')
      expect(haystack).toContain('FEATURE_CART')
      expect(day.personalData.filter((secret) => haystack.includes(secret))).toEqual([])
      const sent = messages.map(String).join('')
      expect(day.personalData.filter((secret) => !sent.includes(secret))).toEqual([])
      const requestIds = new Set(sent.match(/(?<=request_id=)\S+/g))
      expect(requestIds.size).toBeGreaterThan(10_000)
      const ids = new Set(haystack.match(/[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/g))
      expect([...ids].filter((id) => requestIds.has(id))).toEqual([])
      expect(haystack).not.toMatch(/@example|%40|tok_|usr_|sk_live|shop\.example/)
    })

    test('the same day sent again changes nothing but the count of duplicates', async () => {
      const rowsBefore = await databaseText(sql)
      const [before] = await sql`select sum(duplicates)::int as duplicates from shelf.ledger_1m`
      const worker = new Restarted(['run'], stack.env(url))
      await sendDay(drain)
      await caughtUp(stack.log, url)
      await worker.stop()
      const [after] = await sql`
        select sum(duplicates)::int as duplicates from shelf.ledger_1m where app = ${APP}`
      expect(after?.duplicates - before?.duplicates).toBe(messages.length)
      expect(await databaseText(sql)).toBe(rowsBefore)
      await expectBalance(sql)
    })
  })
})

/** ignoredOutput is ignored_output, lostL10 lost_l10. */
const columnOf = (what: string): string =>
  what.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)

const byText = ([a]: [string, unknown], [b]: [string, unknown]): number => (a < b ? -1 : 1)

async function expectBalance(sql: Sql): Promise<void> {
  const unbalanced = await sql`
    select * from shelf.ledger_1m
    where received <> kept + ignored_output + ignored_unknown + malformed + duplicates`
  expect([...unbalanced]).toEqual([])
}

/**
 * All rows of all tables of the schema, and of its views of markers, but for counts of receipt, and
 * what moves as time goes on: places in the log, and the coarser tiers (see sql-tiers.test.ts).
 */
async function databaseText(sql: Sql): Promise<string> {
  const tables = await sql<{ name: string }[]>`
    select c.relname as name from pg_class c
    where c.relnamespace = 'shelf'::regnamespace and c.relkind in ('r', 'p')
      and not c.relispartition
      and c.relname not in ('ledger_1m', 'progress', 'check_progress', 'tiers', 'dirty')
      and c.relname !~ '_(10m|1h|1d)$'
    union all select 'markers'
    order by 1`
  const texts: string[] = []
  for (const { name } of tables) {
    const rows = await sql<{ row: string }[]>`select t::text as row from shelf.${sql(name)} t`
    texts.push(name, ...rows.map(({ row }) => row).sort())
  }
  return texts.join('\n')
}

/** All records of the log, as they are and decoded. */
async function logText({ log }: Stack): Promise<string> {
  const texts: string[] = []
  for (const [topic, partitions] of Object.entries(await log.topics())) {
    for (let partition = 0; partition < partitions; partition++) {
      let at = 0
      for (;;) {
        const records = await log.read(topic, partition, at)
        if (records.length === 0) break
        for (const { offset, key, value } of records) {
          at = offset + 1
          texts.push(`${key}`, Buffer.from(value).toString('latin1'))
          if (topic === 'raw' && value.length > 0) {
            texts.push(JSON.stringify(burstToJson(decodeBurst(value))))
          }
        }
      }
    }
  }
  return texts.join('\n')
}
