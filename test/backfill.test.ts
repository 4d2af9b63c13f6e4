/** Backfill: afterwards the rows are those of a full replay, and nothing else has changed. */
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'bun:test'
import { z } from 'zod'
import { persistRecords } from '../batch/persist-records.ts'
import { TryAgainError } from '../batch/program.ts'
import { liveSource } from '../batch/raw-source.ts'
import { aggregateRecordSchema } from '../core/aggregate-record.ts'
import { ABSENT, encodeBurst, requestColumns } from '../core/burst.ts'
import { emptySignals } from '../core/signals.ts'
import { clear } from '../db/backfill-job.ts'
import type { Sql } from '../db/client.ts'
import { APPS, Case, Databases } from './backfill-case.ts'
import type { ChangingLog } from './changing-log.ts'
import {
  aggregateAll,
  HOUR_MS,
  MINUTE_MS,
  meddled,
  persistAll,
  placesOf,
  richBurst,
  versions,
  wideBurst,
} from './replay.ts'
import { onEachPostgres } from './sql-server.ts'
import { allRows } from './stack.ts'

onEachPostgres((newDatabase) => {
  let databases: Databases
  let sql: Sql
  let run: Case
  let log: ChangingLog
  let sinceMs: number

  beforeAll(async () => {
    databases = await Databases.create(newDatabase)
    sql = databases.sql
  })
  afterAll(() => databases.end())
  beforeEach(async () => {
    run = await Case.begin(databases)
    log = run.log
    sinceMs = run.sinceMs
  })
  afterEach(() => log.close())

  test('what was aggregated wrongly is put right, and nothing else is written', async () => {
    await run.traffic(60)
    await run.live(run.wrong())
    const before = await versions(sql)
    const wrongRows = await allRows(sql)
    await run.backfill()
    await run.expectTruth()
    const right = new Set(await allRows(sql))
    const after = new Set(await versions(sql))
    const kept = wrongRows.filter((row) => right.has(row)).length
    // Beside the place of the partition and the four tiers.
    expect(before.filter((row) => after.has(row)).length).toBe(kept + 5)
    expect(wrongRows.length - kept).toBe(10)
    expect(await sql`select from shelf.counters_staged`).toHaveLength(0)
    expect(await sql`select from shelf.backfill`).toHaveLength(0)
  })

  test('an app of which no row is left, of any kind, has all of them again', async () => {
    await run.traffic(10)
    await run.live()
    const tables = ['counters_1m', 'gauges_1m', 'histograms_1m', 'ledger_1m', 'requests_1m']
    for (const table of [...tables, 'marker_lines', 'dynos']) {
      await sql.unsafe(`delete from shelf.${table} where app = 'till'`)
    }
    await run.backfill({ sinceMs: sinceMs - HOUR_MS })
    await run.expectTruth()
    expect((await sql`select from shelf.dynos where app = 'till'`).length).toBeGreaterThan(0)
  })

  test('a burst of which one thing only lies in the range is not passed over', async () => {
    await run.traffic(30)
    const at = { timeMs: sinceMs + 5 * MINUTE_MS + 1000 }
    const marker = { ...at, kind: 'release' as const, process: '', dyno: '', text: 'v1', by: '' }
    const dyno = { ...at, dyno: 'web.1', instance: 'only' }
    const point = { ...at, kind: 'gauge' as const, process: '', source: '', name: 'only', value: 1 }
    const requests = requestColumns(1)
    requests.timeMs[0] = at.timeMs
    requests.code[0] = ABSENT
    const none = { requests: requestColumns(0), signals: emptySignals() }
    const counts = { received: 1, kept: 1 }
    const outsideMs = sinceMs + 9 * MINUTE_MS
    const bursts = [
      { ...none, ledger: new Map([[sinceMs + 5 * MINUTE_MS, counts]]) },
      { ...none, requests: { ...requests, processes: ['web'] } },
      { ...none, signals: { ...emptySignals(), points: [point] } },
      { ...none, signals: { ...emptySignals(), markers: [marker] } },
      { ...none, signals: { ...emptySignals(), dynos: [dyno] } },
    ]
    const values = bursts.map((burst, number) => {
      const id = (800 + number).toString(16).padStart(32, '0')
      const head = { id, app: `only-${number}`, drain: 'heroku', receivedAtMs: log.nowMs }
      const ledger = new Map([[outsideMs, counts]])
      return encodeBurst({ ...head, ledger, ...burst }).toBase64()
    })
    await log.appendRaw(...values)
    // Sent again so late that it takes a look back to know them.
    log.aheadMs += 2 * HOUR_MS
    await log.appendRaw(...values)
    await run.live()
    const rows = await allRows(sql)
    for (const table of ['gauges_1m', 'ledger_1m', 'requests_1m', 'marker_lines', 'dynos']) {
      const time = { marker_lines: 'time', dynos: 'last_at' }[table] ?? 'bucket'
      const lost = await sql.unsafe(
        `delete from shelf.${table} where app like 'only-%' and ${time} < $1 returning 1`,
        [new Date(sinceMs + 6 * MINUTE_MS).toISOString()],
      )
      expect(lost).toHaveLength(1)
    }
    const asked = { sinceMs: sinceMs + 5 * MINUTE_MS, untilMs: sinceMs + 6 * MINUTE_MS }
    expect(await run.backfill({ ...asked, isDry: true })).toHaveLength(4)
    await run.backfill(asked)
    expect(await allRows(sql)).toEqual(rows)
  })

  test('where the rows are right, nothing is written', async () => {
    await run.traffic(30)
    await run.live()
    const before = await versions(sql)
    await run.backfill()
    expect(await versions(sql)).toEqual(before)
    await run.expectTruth()
  })

  test('of apps that are named only their rows are replaced, and no others', async () => {
    await run.traffic(30)
    await run.live(run.wrong())
    const wrongRows = await allRows(sql)
    await run.backfill({ apps: ['till', 'ghost'] })
    const rows = await allRows(sql)
    const of = (all: string[], isOne: boolean) =>
      all.filter((row) => /^\w+ \((till|ghost),/.test(row) === isOne)
    expect(of(rows, true)).toEqual(of(await run.truth(), true))
    expect(of(rows, false)).toEqual(of(wrongRows, false))
    expect(of(rows, true)).not.toEqual(of(wrongRows, true))
    await run.backfill({ apps: ['nobody'] })
    expect(await allRows(sql)).toEqual(rows)
  })

  test('a dry run changes nothing, and says exactly what then changes', async () => {
    await run.traffic(30)
    await run.live(run.wrong())
    const before = await versions(sql)
    const lines = await run.backfill({ isDry: true })
    expect(await versions(sql)).toEqual(before)
    expect(await sql`select from shelf.counters_staged`).toHaveLength(0)
    const rowsBefore = new Set(await allRows(sql))
    await run.backfill()
    const rows = await allRows(sql)
    const changes = (of: string) => lines.filter((line) => 'change' in line && line.change === of)
    const [added, changed, removed] = ['added', 'changed', 'removed'].map(changes)
    expect(rows.filter((row) => !rowsBefore.has(row))).toHaveLength(
      (added?.length ?? 0) + (changed?.length ?? 0),
    )
    const gone = [...rowsBefore].filter((row) => !rows.includes(row))
    expect(gone).toHaveLength((removed?.length ?? 0) + (changed?.length ?? 0))
    expect(removed?.every((line) => 'app' in line && line.app === 'ghost')).toBe(true)
    for (const line of changed ?? []) {
      if (!('table' in line && line.table === 'requests_1m')) continue
      expect(line).toMatchObject({ app: expect.any(String), process: expect.any(String) })
      const counts = z.object({ requests: z.number() }).strict()
      const columns = z.looseObject({ bucket: z.coerce.date(), before: counts, after: counts })
      const { bucket, before, after } = columns.parse(line)
      expect(bucket.getTime()).toBe(sinceMs + 7 * MINUTE_MS)
      expect(before.requests).toBeGreaterThan(after.requests)
    }
    expect(await run.backfill({ isDry: true })).toEqual([])
  })

  test('what lies a minute outside the range stays as it is, at both ends', async () => {
    await run.traffic(20)
    await run.live(run.wrong())
    const before = await versions(sql)
    const minuteMs = sinceMs + 7 * MINUTE_MS
    await run.backfill({ sinceMs: sinceMs - HOUR_MS, untilMs: minuteMs })
    await run.backfill({ sinceMs: minuteMs + MINUTE_MS, untilMs: log.nowMs + HOUR_MS })
    expect(await versions(sql)).toEqual(before)
    await run.backfill({ sinceMs: minuteMs, untilMs: minuteMs + MINUTE_MS })
    await run.expectTruth()
  })

  test('a range from before the log into the far future is made like any other', async () => {
    await run.traffic(20)
    await run.live(run.wrong())
    await run.backfill({ sinceMs: 0, untilMs: Date.UTC(9999, 0) })
    await run.expectTruth()
  })

  test('the open minute is made, and goes on as if nothing had been', async () => {
    await run.traffic(8)
    await run.live(run.wrong())
    const minuteMs = Math.floor(log.nowMs / MINUTE_MS) * MINUTE_MS
    await run.backfill({ untilMs: minuteMs + MINUTE_MS })
    await run.traffic(2)
    await run.live()
    await run.expectTruth()
  })

  test('a range in which nothing is, or of a log that has nothing, is done at once', async () => {
    await run.backfill()
    await run.traffic(5)
    await run.live()
    const before = await versions(sql)
    await run.backfill({ sinceMs: sinceMs - 9 * HOUR_MS, untilMs: sinceMs - 8 * HOUR_MS })
    expect(await versions(sql)).toEqual(before)
  })

  test('late data, resends, and names over the limit are as in a replay', async () => {
    await run.traffic(10)
    for (const number of [900, 901, 902, 903]) {
      const name = (i: number) => `custom.${number}.${i}`
      await log.appendRaw(wideBurst({ number, receivedAtMs: log.nowMs, names: 300, name }))
    }
    await run.traffic(5)
    log.aheadMs += 2 * HOUR_MS
    const receivedAtMs = sinceMs + 5 * MINUTE_MS
    // Spooled: some came before, some did not; and one comes twice.
    for (const number of [15, 16, 2000, 2001, 2001]) {
      await log.appendRaw(richBurst({ number, receivedAtMs, app: 'till', ageMs: 90_000 }))
    }
    await log.appendRaw('AQ==')
    await run.live(run.wrong())
    await run.backfill()
    await run.expectTruth()
    const [ledger] = await sql`
      select sum(over_limit)::int as over, sum(duplicates)::int as duplicates from shelf.ledger_1m`
    expect(ledger?.over).toBeGreaterThan(100)
    expect(ledger?.duplicates).toBe(24)
  })

  test('data that comes late in the middle of it counts once, whatever moment it comes in', async () => {
    await run.traffic(60)
    await run.live(run.wrong())
    let late = 5000
    let going: Promise<unknown> = Promise.resolve()
    // While the backfill reads, live programs go on: it does not wait for them.
    const busy = meddled(log, async () => {
      if (late >= 5060) return
      const app = APPS[late % APPS.length] ?? ''
      const receivedAtMs = sinceMs + (late % 60) * MINUTE_MS
      log.aheadMs += 2500
      await log.appendRaw(richBurst({ number: late++, receivedAtMs, app, ageMs: 90_000 }), '')
      going = going.then(() => aggregateAll(log)).then(() => persistAll(log, databases.persist))
    })
    await run.backfill({ source: liveSource(busy) })
    await going
    await run.live()
    expect(late).toBeGreaterThan(5020)
    await run.expectTruth()
  })

  test('interrupted at every step, and resumed by the same call, it comes to the same', async () => {
    await run.traffic(40)
    await run.live(run.wrong())
    let isDone = false
    let tries = 0
    for (; !isDone; tries++) {
      let calls = 0
      const dying = meddled(log, async () => {
        if (calls++ >= tries) throw Object.assign(new Error('gone'), { code: 'ECONNRESET' })
      })
      try {
        await run.backfill({ source: liveSource(dying) })
        isDone = true
      } catch (error) {
        expect(error).toBeInstanceOf(TryAgainError)
      }
      // Late data for the range.
      const receivedAtMs = sinceMs + tries * MINUTE_MS
      await log.appendRaw(richBurst({ number: 7000 + tries, receivedAtMs, ageMs: 90_000 }))
      await run.live()
    }
    expect(tries).toBeGreaterThan(5)
    await run.expectTruth()
  })

  test('a place of persist in the middle of a chunk is counted to the part', async () => {
    await run.traffic(3)
    log.aheadMs += 2000 - (log.nowMs % 2000)
    for (let number = 100; number < 106; number++) {
      const name = (i: number) => `custom.${'n'.repeat(200)}.${number}.${i}`
      await log.appendRaw(wideBurst({ number, receivedAtMs: log.nowMs, names: 1000, name }))
    }
    await run.close()
    await run.traffic(3)
    await run.close()
    await aggregateAll(log)
    const records = (await log.all('aggregates')).map(({ value }) => {
      const record = aggregateRecordSchema.parse(JSON.parse(String(value)))
      run.mistakes(run.sinceMs + 2 * MINUTE_MS)(record)
      return record
    })
    const cut = records.findIndex(({ parts }) => parts > 2)
    expect(cut).toBeGreaterThan(0)
    await sql`insert into shelf.progress (partition) values (0)`
    const asked = { sinceMs: sinceMs - HOUR_MS, untilMs: sinceMs + HOUR_MS }
    for (const count of [cut + 1, cut + 2]) {
      await persistRecords(sql, 0, records.slice(0, count), { ifLeased: 'wait' })
      expect((await placesOf(sql)).get(0)).toMatchObject({ part: count - cut })
      await sql`update shelf.requests_1m set requests = requests + 1`
      await sql`delete from shelf.gauges_1m where name like '%7'`
      await run.backfill({ ...asked, apps: [...APPS, 'ghost'] })
      await run.expectTruth()
    }
    // What was staged at a part goes on from there.
    await sql`update shelf.requests_1m set requests = requests + 1`
    const stop = new AbortController()
    const dying = meddled(log, async () => {
      const [at] = await sql`select from shelf.backfill_progress where next_part > 0`
      if (at !== undefined) stop.abort()
    })
    const stopping = { ...asked, source: liveSource(dying), signal: stop.signal }
    await expect(run.backfill(stopping)).rejects.toThrow('the same command goes on')
    await persistAll(log, sql)
    await run.backfill(asked)
    await run.expectTruth()
  })

  test('while one is at work, another one is told to try again', async () => {
    await run.traffic(5)
    await run.live()
    let second: unknown
    const slow = meddled(log, async () => {
      second ??= await run.backfill().catch((error) => error)
    })
    await run.backfill({ source: liveSource(slow) })
    expect(second).toBeInstanceOf(TryAgainError)
    expect(String(second)).toContain('another backfill is running')
    await run.backfill()
  })

  test('who is taken over, or loses what was staged, stops and has replaced nothing wrongly', async () => {
    await run.traffic(40)
    await run.live(run.wrong())
    const before = await versions(sql)
    for (const lose of [() => sql`update shelf.backfill set run = 'another'`, () => clear(sql)]) {
      let isLost = false
      const losing = meddled(log, async () => {
        if (isLost || (await sql`select from shelf.counters_staged limit 1`).length === 0) return
        isLost = true
        await lose()
      })
      const stopped = run.backfill({ source: liveSource(losing) })
      await expect(stopped).rejects.toThrow('start it again')
      expect(await versions(sql)).toEqual(before)
    }
    await run.backfill()
    await run.expectTruth()
  })

  test('another range throws away what was staged, and begins anew', async () => {
    await run.traffic(30)
    await run.live(run.wrong())
    const stop = new AbortController()
    const stopping = meddled(log, async () => {
      if ((await sql`select from shelf.counters_staged limit 1`).length > 0) stop.abort()
    })
    const stopped = run.backfill({
      ...{ sinceMs, untilMs: sinceMs + 30 * MINUTE_MS },
      ...{ source: liveSource(stopping), signal: stop.signal },
    })
    await expect(stopped).rejects.toThrow('stopped')
    expect((await sql`select from shelf.counters_staged`).length).toBeGreaterThan(0)
    await run.backfill({ sinceMs: sinceMs + 5 * MINUTE_MS, untilMs: sinceMs + HOUR_MS })
    await run.expectTruth()
  })
})
