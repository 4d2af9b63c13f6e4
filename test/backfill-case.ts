/** What the tests of backfill share: a log, the rows that live programs make of it, and the truth. */
import { expect } from 'bun:test'
import { migrate } from '../batch/migrate.ts'
import type { Log } from '../broker/log.ts'
import { type AggregateRecord, aggregateRecordSchema } from '../core/aggregate-record.ts'
import { connect, type Sql } from '../db/client.ts'
import { ChangingLog, type ChangingLogOptions } from './changing-log.ts'
import {
  type Asked,
  aggregateAll,
  backfilled,
  HOUR_MS,
  MINUTE_MS,
  persistAll,
  placesOf,
  replay,
  richBurst,
} from './replay.ts'
import { allRows } from './stack.ts'

export const APPS = ['shop', 'till', 'blog']
const KINDS = ['counters', 'gauges', 'histograms', 'ledger', 'requests']
const TABLES = KINDS.flatMap((kind) => ['1m', '10m', '1h', '1d'].map((tier) => `${kind}_${tier}`))

/** Two databases, and connections for programs that go on while the backfill holds them up. */
export class Databases {
  private constructor(
    readonly url: string,
    readonly sql: Sql,
    readonly persist: Sql,
    readonly truth: Sql,
  ) {}

  static async create(newDatabase: () => Promise<string>): Promise<Databases> {
    const [live, other] = [await newDatabase(), await newDatabase()]
    for (const url of [live, other]) await migrate(url)
    const of = (url: string, max: number) => connect(url, { max })
    return new Databases(live, of(live, 8), of(live, 2), of(other, 4))
  }

  async end(): Promise<void> {
    await Promise.all([this.sql, this.persist, this.truth].map((each) => each.end()))
  }
}

async function empty(sql: Sql): Promise<void> {
  const all = [...TABLES, 'marker_lines', 'dynos', 'progress', 'dirty', 'backfill']
  await sql.unsafe(`truncate ${all.map((name) => `shelf.${name}`).join()}`)
  await sql`
    update shelf.tiers set dropped_until = null,
      closed_until = case when tier <> '1m' then '-infinity'::timestamptz end,
      compacted_until = case when tier <> '1m' then '-infinity'::timestamptz end`
}

export class Case {
  private numbers = 0

  private constructor(
    private readonly databases: Databases,
    readonly log: ChangingLog,
    readonly partitions: number,
    /** The start of an hour, when the log begins, Unix ms. */
    readonly sinceMs: number,
  ) {}

  /** An empty log that begins some hours ago, and empty databases. */
  static async begin(
    databases: Databases,
    { hoursAgo = 3, ...options }: ChangingLogOptions & { hoursAgo?: number } = {},
  ): Promise<Case> {
    await Promise.all([empty(databases.sql), empty(databases.truth)])
    const log = new ChangingLog({ aheadMs: 0, ...options })
    log.aheadMs = -hoursAgo * HOUR_MS - (log.nowMs % HOUR_MS)
    return new Case(databases, log, options.partitions ?? 1, log.nowMs)
  }

  /** A burst of each app in turn, every 20 s of log time, until so many minutes have passed. */
  async traffic(minutes: number): Promise<void> {
    const { log, partitions } = this
    const endMs = log.nowMs + minutes * MINUTE_MS
    while (log.nowMs < endMs) {
      const number = this.numbers++
      const at = number % APPS.length
      const value = richBurst({
        ...{ number, receivedAtMs: log.nowMs },
        ...{ app: APPS[at] ?? '', ageMs: 90_000 },
      })
      await log.append('raw', [{ value, partition: at % partitions }])
      log.aheadMs += 20_000
    }
  }

  /** Closes the last chunk. */
  async close(): Promise<void> {
    this.log.aheadMs += 3000
    const ticks = Array.from({ length: this.partitions }, (_, partition) => ({
      value: '',
      partition,
    }))
    await this.log.append('raw', ticks)
  }

  /** All that was logged becomes rows. */
  async live(through: Log = this.log, sql = this.databases.sql): Promise<void> {
    await this.close()
    await aggregateAll(this.log, this.partitions)
    await persistAll(through, sql, this.partitions)
  }

  /** The rows that a full replay of the log gives, up to where persist is. */
  async truth(): Promise<string[]> {
    const { sql, truth } = this.databases
    await empty(truth)
    await replay(this.log, truth, await placesOf(sql))
    return await allRows(truth)
  }

  async expectTruth(): Promise<void> {
    expect(await allRows(this.databases.sql)).toEqual(await this.truth())
  }

  backfill(asked: Partial<Asked> = {}): Promise<object[]> {
    const range = { sinceMs: this.sinceMs, untilMs: this.sinceMs + HOUR_MS }
    return backfilled(this.log, this.databases.url, this.databases.sql, { ...range, ...asked })
  }

  /** The log, with what aggregate wrote changed on its way to persist. */
  wrong(change: (record: AggregateRecord) => void = this.mistakes()): Log {
    const { log } = this
    return {
      ...{ topics: log.topics, offsetAt: log.offsetAt, append: log.append },
      createTopics: (wanted) => log.createTopics(wanted),
      async read(topic, ...place) {
        const records = await log.read(topic, ...place)
        if (topic !== 'aggregates') return records
        return records.map((record) => {
          const aggregate = aggregateRecordSchema.parse(JSON.parse(String(record.value)))
          change(aggregate)
          return { ...record, value: JSON.stringify(aggregate) }
        })
      },
    }
  }

  /** In the rows of one minute each kind of mistake. */
  mistakes(minuteMs = this.sinceMs + 7 * MINUTE_MS): (record: AggregateRecord) => void {
    const minute = new Date(minuteMs).toISOString()
    return (record) => {
      record.cells = record.cells.flatMap((cell): typeof record.cells => {
        if (cell.kind === 'marker') {
          return cell.time.slice(0, 16) === minute.slice(0, 16) ? [] : [cell]
        }
        if (cell.kind === 'dyno' || cell.bucket !== minute) return [cell]
        if (cell.kind === 'requests') return [{ ...cell, requests: cell.requests + 1 }]
        if (cell.kind === 'gauge') return []
        if (cell.kind === 'counter') return [{ ...cell, app: 'ghost' }]
        return [{ ...cell, histogram: { ...cell.histogram, sum: 99 } }]
      })
      for (const row of record.ledger) if (row.bucket === minute) row.app = 'ghost'
    }
  }
}
