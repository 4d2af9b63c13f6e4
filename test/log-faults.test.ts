import { afterEach, describe, expect, test } from 'bun:test'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { aggregateLog } from '../batch/aggregate.ts'
import { parseAggregate } from '../batch/aggregate-tail.ts'
import { migrate } from '../batch/migrate.ts'
import { persistLog } from '../batch/persist.ts'
import { EmbeddedLog } from '../broker/embedded.ts'
import { connect, type Sql } from '../db/client.ts'
import { rawBurst } from './bursts.ts'
import { onEachPostgres } from './sql-server.ts'
import { until } from './stack.ts'

const MINUTE_MS = Math.floor(Date.now() / 60_000) * 60_000

/** A burst of one request of `app`, as the raw topic holds it. */
const burst = (app: string, number: number, bytes = 10): string =>
  rawBurst({ app, number, bytes, receivedAtMs: MINUTE_MS })

const folders: string[] = []
const stops: (() => Promise<void>)[] = []

/** A log of one or two partitions in a folder of its own, or in that of another. */
function openLog(options: { folder?: string; retentionMs?: number; wallMs?: () => number } = {}) {
  const folder = options.folder ?? mkdtempSync(join(tmpdir(), 'shelf-faults-'))
  folders.push(folder)
  const topic = { partitions: 2, ...(options.retentionMs && { retentionMs: options.retentionMs }) }
  const clock = options.wallMs && { wallMs: options.wallMs, elapsedMs: options.wallMs }
  return new EmbeddedLog({
    folder,
    topics: { raw: topic, aggregates: { partitions: 2 }, 'dead-letter': { partitions: 2 } },
    ...clock,
  })
}

/** Runs the batch programs until the test ends, or `stop`. */
function start(work: (signal: AbortSignal) => Promise<void>): () => Promise<void> {
  const controller = new AbortController()
  const running = work(controller.signal)
  const stop = async (): Promise<void> => {
    controller.abort()
    await running
  }
  stops.push(stop)
  return stop
}

afterEach(async () => {
  for (const stop of stops.splice(0)) await stop()
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true })
})

onEachPostgres((newDatabase) => {
  const database = async (): Promise<{ url: string; sql: Sql }> => {
    const url = await newDatabase()
    await migrate(url)
    const sql = connect(url, { max: 4 })
    stops.unshift(() => sql.end())
    return { url, sql }
  }

  const requestsOf = async (sql: Sql, app: string): Promise<number> => {
    const [row] = await sql<{ n: number }[]>`
      select coalesce(sum(requests), 0)::bigint as n from shelf.requests_1m where app = ${app}`
    return row?.n ?? 0
  }

  describe('faults of a log', () => {
    test('counts that a sender makes huge end at 2^53 - 1, and other apps go on', async () => {
      const log = openLog()
      const { sql } = await database()
      start((signal) => aggregateLog(log, signal))
      start((signal) => persistLog(log, sql, signal))
      const huge = 2 ** 48 - 2
      for (let round = 0; round < 3; round++) {
        const records = Array.from({ length: 60 }, (_, i) => ({
          value: burst('greedy', round * 100 + i, huge),
          partition: 0,
        }))
        await log.append('raw', records)
      }
      await log.append('raw', [{ value: burst('modest', 9999), partition: 0 }])
      await until('the modest app', async () => (await requestsOf(sql, 'modest')) === 1)
      const [row] = await sql`select requests, bytes from shelf.requests_1m where app = 'greedy'`
      expect(row).toEqual({ requests: 180, bytes: Number.MAX_SAFE_INTEGER })
    })

    test('a record that is no burst goes to dead-letter and is counted, the others go on', async () => {
      const log = openLog()
      const { sql } = await database()
      start((signal) => aggregateLog(log, signal))
      start((signal) => persistLog(log, sql, signal))
      const value = `${Buffer.from([99]).toString('base64')}AAAA`
      await log.append('raw', [
        { value, key: 'shop', partition: 0 },
        { value: burst('shop', 1), partition: 0 },
      ])
      await until('the good one', async () => (await requestsOf(sql, 'shop')) === 1)
      const [letter] = await log.read('dead-letter', 0, 0)
      const [other] = await log.read('dead-letter', 1, 0)
      expect(JSON.parse(String((letter ?? other)?.value))).toMatchObject({
        partition: 0,
        offset: 0,
        value,
      })
      const [row] = await sql`
        select sum(dead_letters)::int as n from shelf.ledger_1m where app = 'shop'`
      expect(row?.n).toBe(1)
    })

    test('a partition whose cells Postgres refuses does not stop the other', async () => {
      const log = openLog()
      const { sql } = await database()
      await sql`alter table shelf.requests_1m add constraint no_poison check (app <> 'poison')`
      start((signal) => aggregateLog(log, signal))
      start((signal) => persistLog(log, sql, signal))
      await log.append('raw', [{ value: burst('poison', 1), partition: 0 }])
      await log.append('raw', [{ value: burst('shop', 2), partition: 1 }])
      await until('the other partition', async () => (await requestsOf(sql, 'shop')) === 1)
      await log.append('raw', [{ value: burst('shop', 3), partition: 1 }])
      await until('the other partition', async () => (await requestsOf(sql, 'shop')) === 2)
    })

    test('raw records deleted before they were aggregated are a row in the ledger', async () => {
      let aheadMs = 0
      const log = openLog({ retentionMs: 3_600_000, wallMs: () => Date.now() + aheadMs })
      const { sql } = await database()
      for (let i = 0; i < 5; i++)
        await log.append('raw', [{ value: burst('shop', i), partition: 0 }])
      aheadMs += 2 * 3_600_000
      await log.retain()
      await log.append('raw', [{ value: burst('shop', 100), partition: 0 }])
      start((signal) => aggregateLog(log, signal))
      start((signal) => persistLog(log, sql, signal))
      await until('what is left', async () => (await requestsOf(sql, 'shop')) === 1)
      const rows = await sql`select app, lost_log from shelf.ledger_1m where lost_log > 0`
      expect(rows).toEqual([{ app: '', lost_log: 5 }] as never)
    })

    test('another log, with nothing that explains it, is refused, not passed over', async () => {
      const before = openLog()
      const { sql } = await database()
      const stops = [
        start((signal) => aggregateLog(before, signal)),
        start((signal) => persistLog(before, sql, signal)),
      ]
      await before.append('raw', [{ value: burst('shop', 1), partition: 0 }])
      await until('the row', async () => (await requestsOf(sql, 'shop')) === 1)
      for (const stop of stops) await stop()

      const after = openLog()
      for (let i = 0; i < 20; i++)
        await after.append('raw', [{ value: burst('shop', i + 50), partition: 0 }])
      const said: string[] = []
      const write = process.stderr.write
      process.stderr.write = (text) => said.push(String(text)) > 0
      try {
        start((signal) => aggregateLog(after, signal))
        start((signal) => persistLog(after, sql, signal))
        await until('a word of it', async () =>
          said.some((line) => line.includes('is not the log')),
        )
      } finally {
        process.stderr.write = write
      }
      expect(said.join('')).toContain('persist 0: stuck')
      expect(await requestsOf(sql, 'shop')).toBe(1)
    })

    test('an aggregator that died between the parts of a chunk writes it anew, counted once', async () => {
      // So many apps that their cells need more than one record of 1 MB.
      const apps = Array.from({ length: 3500 }, (_, i) => `app-${i}`)
      const values = apps.map((app, i) => ({ value: burst(app, i), partition: 0 }))
      const log = openLog()
      const stop = start((signal) => aggregateLog(log, signal))
      await log.append('raw', values)
      const [record] = await until('a chunk', async () => {
        const records = await log.read('aggregates', 0, 0)
        return records.length > 1 && records
      })
      await stop()
      const part = record && parseAggregate(record)
      expect(part).toMatchObject({ from: 0, to: apps.length, part: 0, parts: 2 })

      // The same raw log, of whose chunk only the first part was written.
      const torn = openLog()
      const [appended] = await torn.append('raw', values)
      const watermark = new Date(appended?.timestamp ?? 0).toISOString()
      await torn.append('aggregates', [
        { partition: 0, value: JSON.stringify({ ...part, watermark }) },
      ])
      const { sql } = await database()
      start((signal) => aggregateLog(torn, signal))
      start((signal) => persistLog(torn, sql, signal))
      await until('all apps', async () => {
        const [row] = await sql`select count(*)::int as apps from shelf.requests_1m`
        return row?.apps === apps.length
      })
      const [row] =
        await sql`select sum(requests)::int as n, max(requests)::int as most from shelf.requests_1m`
      expect(row).toEqual({ n: apps.length, most: 1 })
    })
  })
})
