/** The database that the migrations make, and how it gets its days. */
import { afterAll, beforeAll, expect, test } from 'bun:test'
import { is } from 'drizzle-orm'
import { getTableConfig, PgTable } from 'drizzle-orm/pg-core'
import { migrate } from '../batch/migrate.ts'
import { connect, type Sql } from '../db/client.ts'
import journal from '../db/migrations/meta/_journal.json' with { type: 'json' }
import * as schema from '../db/schema.ts'
import { onEachPostgres } from './sql-server.ts'

const ALL = journal.entries.map((entry) => entry.tag)

/** The tables of the 1m tier, each with a partition a day. */
const TABLES = ['counters_1m', 'gauges_1m', 'histograms_1m', 'ledger_1m', 'requests_1m']

test('migrations are in the order of their times, or the migrator would pass one over', () => {
  const times = journal.entries.map((entry) => entry.when)
  expect(times.toSorted((a, b) => a - b)).toEqual(times)
  expect(new Set(times).size).toBe(times.length)
})

onEachPostgres((newDatabase) => {
  let url: string
  let sql: Sql

  beforeAll(async () => {
    url = await newDatabase()
    await migrate(url)
    // Names print in full, also where the role is called like the schema.
    sql = connect(url, { settings: { search_path: 'public' } })
  })
  afterAll(() => sql.end())

  const partitions = async (like: string) => {
    const rows = await sql<{ name: string }[]>`
      select relname as name from pg_class
      where relnamespace = 'shelf'::regnamespace and relispartition and relkind = 'r'
        and relname like ${like} order by relname`
    return rows.map((row) => row.name)
  }

  /** Returns when a query with this text waits for a lock. */
  const waitsForLock = async (text: string) => {
    const deadline = Date.now() + 10_000
    for (;;) {
      const waiting = await sql`
        select from pg_stat_activity
        where wait_event_type = 'Lock' and strpos(query, ${text}) > 0`
      if (waiting.length > 0) return
      if (Date.now() > deadline) throw new Error(`nobody waits for a lock at ${text}`)
    }
  }

  test('a migration is applied once, however often and by however many', async () => {
    const fresh = await newDatabase()
    expect(await migrate(fresh, { dryRun: true })).toEqual(ALL)
    const applied = await Promise.all([1, 2, 3, 4].map(() => migrate(fresh)))
    expect(applied.filter((names) => names.length > 0)).toEqual([ALL])
    expect(await migrate(fresh)).toEqual([])
    expect(await migrate(fresh, { dryRun: true })).toEqual([])
  })

  test('a dry run changes nothing', async () => {
    const fresh = await newDatabase()
    await migrate(fresh, { dryRun: true })
    const other = connect(fresh, { max: 1 })
    expect(await other`select from pg_namespace where nspname = 'shelf'`).toHaveLength(0)
    await other.end()
  })

  test('a database of a newer version is refused and left alone', async () => {
    const newer = await newDatabase()
    await migrate(newer)
    const other = connect(newer, { max: 1 })
    await other`insert into shelf.migrations (hash, created_at) values ('later', 9000000000000)`
    await other.end()
    await expect(migrate(newer)).rejects.toThrow('newer version of Shelf')
  })

  test('the schema in TypeScript is the schema in the database', async () => {
    for (const table of Object.values(schema)) {
      if (!is(table, PgTable)) continue
      const { name, columns } = getTableConfig(table)
      const found = await sql`
        select attname as name, format_type(atttypid, atttypmod) as type, attnotnull as "notNull",
          atthasdef as "hasDefault"
        from pg_attribute
        where attrelid = ${`shelf.${name}`}::regclass and attnum > 0 and not attisdropped
        order by attnum`
      const declared = columns.map((column) => ({
        name: column.name,
        type: column.getSQLType(),
        notNull: column.notNull,
        hasDefault: column.hasDefault || column.generated !== undefined,
      }))
      expect({ name, columns: [...found] }).toEqual({ name, columns: declared })
    }
  })

  test('everything in the schema has a comment', async () => {
    const silent = await sql`
      select 'schema' as what, nspname::text as name from pg_namespace
      where nspname = 'shelf' and obj_description(oid, 'pg_namespace') is null
      union all
      select 'relation', oid::regclass::text from pg_class
      where relnamespace = 'shelf'::regnamespace and relkind not in ('i', 'I')
        and relkind <> 'c' and obj_description(oid, 'pg_class') is null
      union all
      select 'column', attrelid::regclass || '.' || attname
      from pg_attribute join pg_class c on c.oid = attrelid
      where c.relnamespace = 'shelf'::regnamespace and c.relkind in ('r', 'p', 'v', 'c')
        and not c.relispartition and attnum > 0 and not attisdropped
        and col_description(attrelid, attnum) is null
      union all
      select 'function', oid::regprocedure::text from pg_proc
      where pronamespace = 'shelf'::regnamespace and obj_description(oid, 'pg_proc') is null
      union all
      select 'type', t.oid::regtype::text from pg_type t
      left join pg_class c on c.oid = t.typrelid
      where t.typnamespace = 'shelf'::regnamespace and t.typelem = 0
        and (c.relkind is null or c.relkind = 'c') and obj_description(t.oid, 'pg_type') is null`
    expect([...silent]).toEqual([])
  })

  test('several sessions at once make each day once', async () => {
    const made = await Promise.all(
      [1, 2, 3, 4].map(() => sql`select shelf.make_partitions('2024-02-27', '2024-03-02') as n`),
    )
    expect(made.map(([row]) => row?.n).toSorted((a, b) => a - b)).toEqual([0, 0, 0, 20])
    const days = ['20240227', '20240228', '20240229', '20240301']
    expect(await partitions('%1m_2024%')).toEqual(
      TABLES.flatMap((table) => days.map((day) => `${table}_${day}`)),
    )
    const [again] = await sql`select shelf.make_partitions('2024-02-27', '2024-03-03') as n`
    expect(again?.n).toBe(TABLES.length)
  })

  test('a day is a UTC day, whatever the time zone of the session', async () => {
    const other = connect(url, { max: 1, settings: { TimeZone: 'Pacific/Auckland' } })
    await other`select shelf.make_partitions('2024-07-01', '2024-07-02')`
    await other.end()
    await sql`insert into shelf.ledger_1m (app, bucket) values
      ('a', '2024-06-30 23:59Z'), ('a', '2024-07-01 00:00Z'), ('a', '2024-07-01 23:59Z'),
      ('a', '2024-07-02 00:00Z')`
    const rows = await sql`
      select relname as place from shelf.ledger_1m l join pg_class c on c.oid = l.tableoid
      where app = 'a' order by bucket`
    const [outside, inside] = ['ledger_1m_default', 'ledger_1m_20240701']
    expect(rows.map((row) => row.place)).toEqual([outside, inside, inside, outside])
  })

  test('a partition is a day, week, month or year by its tier, in UTC', async () => {
    const other = connect(url, { max: 1, settings: { TimeZone: 'Pacific/Auckland' } })
    for (const tier of ['10m', '1h', '1d']) {
      const [row] = await other`
        select shelf.make_partitions('2024-03-01', '2024-04-01', ${tier}) as n`
      expect(row?.n).toBe(TABLES.length * (tier === '10m' ? 5 : 1))
    }
    await other.end()
    const weeks = ['20240226', '20240304', '20240311', '20240318', '20240325']
    expect(await partitions('ledger_10m_2024%')).toEqual(weeks.map((week) => `ledger_10m_${week}`))
    expect(await partitions('ledger_1h_2024%')).toEqual(['ledger_1h_20240301'])
    expect(await partitions('ledger_1d_2024%')).toEqual(['ledger_1d_20240101'])
    const bounds = await sql`
      select pg_get_expr(relpartbound, oid) as bound from pg_class
      where relname in ('ledger_10m_20240325', 'ledger_1h_20240301', 'ledger_1d_20240101')
      order by relname`
    expect(bounds.map((row) => row.bound)).toEqual([
      "FOR VALUES FROM ('2024-03-25 00:00:00+00') TO ('2024-04-01 00:00:00+00')",
      "FOR VALUES FROM ('2024-01-01 00:00:00+00') TO ('2025-01-01 00:00:00+00')",
      "FOR VALUES FROM ('2024-03-01 00:00:00+00') TO ('2024-04-01 00:00:00+00')",
    ])
  })

  test('rows that came before their partition move into it, also while others write', async () => {
    let isMade = false
    const write = async (app: string) => {
      let writes = 0
      while (!isMade || writes < 20) {
        await sql`
          insert into shelf.requests_1m (app, process, bucket, requests)
          values (${app}, 'web', '2024-09-01 12:00Z', 1), (${app}, 'web', '2024-09-02 12:00Z', 1)
          on conflict (app, process, bucket) do update
          set requests = requests_1m.requests + excluded.requests`
        writes++
      }
      return writes
    }
    const writers = ['b', 'c'].map(write)
    await sql`select shelf.make_partitions('2024-09-01', '2024-09-03')`
    isMade = true
    const [b, c] = await Promise.all(writers)
    const rows = await sql`
      select app, requests, relname as place
      from shelf.requests_1m r join pg_class c on c.oid = r.tableoid
      where app in ('b', 'c') order by app, bucket`
    const places = ['requests_1m_20240901', 'requests_1m_20240902']
    expect([...rows]).toEqual([
      ...places.map((place) => ({ app: 'b', requests: b, place })),
      ...places.map((place) => ({ app: 'c', requests: c, place })),
    ])
  })

  // Who holds one table and wants another, while make_partitions wants both.
  for (const [n, first, second] of [
    [1, 'select from shelf.counters_1m', 'select from shelf.requests_1m'],
    [2, 'select from shelf.requests_1m', 'select from shelf.counters_1m'],
    [3, 'select from shelf.ledger_1m', 'delete from shelf.gauges_1m'],
    [4, 'delete from shelf.gauges_1m', 'delete from shelf.ledger_1m'],
  ] as const) {
    test(`a day is made while another does ${first}, then ${second}: no deadlock`, async () => {
      const made = await sql.begin(async (transaction) => {
        await transaction.unsafe(first)
        const query = sql`
          select shelf.make_partitions(${`2024-10-0${n}`}, ${`2024-10-0${n + 1}`}) as n`.execute()
        await waitsForLock('make_partitions')
        await transaction.unsafe(second)
        return { query }
      })
      const [row] = await made.query
      expect(row?.n).toBe(TABLES.length)
    })
  }

  test('more than 400 days at once are refused, with words, and other tiers', async () => {
    const asked = sql`select shelf.make_partitions('2014-01-01', '2026-01-01')`.execute()
    await expect(asked).rejects.toThrow('make_partitions makes at most 400 days at once, not 4383')
    expect(await partitions('%1m_2014%')).toEqual([])
    const tier = sql`select shelf.make_partitions('2014-01-01', '2014-01-02', '5m')`.execute()
    await expect(tier).rejects.toThrow('there is no tier 5m')
  })
})
