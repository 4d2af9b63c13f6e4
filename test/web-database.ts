/** A database with the log of lifelike apps in it, for tests of the dashboard. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type DemoOptions, demoDay } from '../batch/demo-day.ts'
import type { DemoMessage } from '../batch/demo-line.ts'
import { migrate } from '../batch/migrate.ts'
import { PartitionAggregator } from '../core/aggregate.ts'
import { encodeBurst } from '../core/burst.ts'
import type { Cells } from '../core/cell.ts'
import { connect, type Sql } from '../db/client.ts'
import { mergeCells } from '../db/merge-cells.ts'
import { startPostgres } from '../db/server.ts'
import { herokuBurst } from '../edge/drains/heroku.ts'
import { addToken, newToken } from '../web/access.ts'
import { freePort } from './sql-server.ts'

/** Messages a burst. */
const BURST_MESSAGES = 100
/** A chunk never crosses a multiple of it: the next one closes it. */
const CHUNK_OFFSETS = 4096

const MINUTE_MS = 60_000

export interface EmptyDatabase {
  url: string
  sql: Sql
  stop(): Promise<void>
}

export interface WebDatabase {
  url: string
  sql: Sql
  /** A time of whole hours in which `shop` has data, from before its first. */
  since: string
  until: string
  /** `all` may see all apps, the others the app of their name. */
  tokens: Record<'all' | 'shop' | 'billing', string>
  stop(): Promise<void>
}

/** A PostgreSQL of its own, with nothing in it but our tables. */
export async function startEmptyDatabase(): Promise<EmptyDatabase> {
  const folder = mkdtempSync(join(tmpdir(), 'shelf-web-'))
  const where = { dataDir: join(folder, 'data'), port: await freePort(), password: 'test' }
  const server = await startPostgres({ ...where, settings: { fsync: 'off' } })
  await migrate(server.url)
  const sql = connect(server.url, { max: 1 })
  return {
    url: server.url,
    sql,
    async stop() {
      await sql.end()
      await server.stop()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** Apps shop (three hours, until now) and billing (an hour, until three hours ago). */
export async function startWebDatabase(): Promise<WebDatabase> {
  const { url, sql, stop } = await startEmptyDatabase()
  const nowMs = Date.now()
  const startMs = Math.floor(nowMs / MINUTE_MS) * MINUTE_MS - 180 * MINUTE_MS
  await fill(sql, 'shop', { seed: 1, rate: 4, startMs, dayMs: nowMs - startMs })
  await fill(sql, 'billing', {
    seed: 2,
    rate: 1,
    startMs: startMs - 60 * MINUTE_MS,
    dayMs: 60 * MINUTE_MS,
  })
  const tokens = { all: newToken(), shop: newToken(), billing: newToken() }
  await addToken(sql, tokens.all, undefined)
  await addToken(sql, tokens.shop, ['shop'])
  await addToken(sql, tokens.billing, ['billing'])
  const hourMs = 60 * MINUTE_MS
  return {
    url,
    sql,
    since: new Date(Math.floor(startMs / hourMs) * hourMs).toISOString(),
    until: new Date(Math.floor(nowMs / hourMs) * hourMs).toISOString(),
    tokens,
    stop,
  }
}

/** Puts a day of an app into the tables, by the way that its log takes, without the log. */
export async function fill(sql: Sql, app: string, options: DemoOptions): Promise<void> {
  const aggregator = new PartitionAggregator()
  let offset = 0
  const push = async (messages: readonly DemoMessage[]): Promise<void> => {
    const last = messages.at(-1)
    if (last === undefined) return
    const frames = messages.map(({ text }) => `${new TextEncoder().encode(text).length} ${text}`)
    const body = new TextEncoder().encode(frames.join(''))
    const headers = { frameId: `${app}-${offset}`, drainToken: 'd.web', messages: messages.length }
    const burst = await herokuBurst(app, headers, body, last.timeMs, async () => 'a1b2c3d4')
    const value = encodeBurst(burst).toBase64()
    await store(sql, aggregator.push({ offset: offset++, timestamp: 0, key: app, value })?.cells)
  }
  let waiting: DemoMessage[] = []
  for (const message of demoDay(options).messages) {
    waiting.push(message)
    if (waiting.length < BURST_MESSAGES) continue
    await push(waiting)
    waiting = []
  }
  await push(waiting)
  const closing = Math.ceil((offset + 1) / CHUNK_OFFSETS) * CHUNK_OFFSETS
  await store(sql, aggregator.push({ offset: closing, timestamp: 0, key: null, value: '' })?.cells)
}

async function store(sql: Sql, cells: Cells | undefined): Promise<void> {
  if (cells !== undefined) await sql.begin((transaction) => mergeCells(transaction, cells))
}
