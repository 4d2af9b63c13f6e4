/** What is no longer kept goes, from under nobody; what comes late finds the tier that is kept. */
import { afterAll, beforeAll, beforeEach, expect, test } from 'bun:test'
import { migrate } from '../batch/migrate.ts'
import { makePartitionsAhead, missingPartitions } from '../batch/partitions.ts'
import { retainForever } from '../batch/retain.ts'
import { deleteOldRows } from '../batch/retain-delete.ts'
import { dropTables, giveUp } from '../batch/retain-drop.ts'
import { keepSettings } from '../batch/retain-settings.ts'
import { connect, type Sql, type Transaction } from '../db/client.ts'
import { loadLimits } from '../db/limits.ts'
import { mergeCells } from '../db/merge-cells.ts'
import { COARSER_TIERS, closeTier, redoTier, unlessBusy } from '../db/tiers.ts'
import { onEachPostgres } from './sql-server.ts'
import { cellsOf, type Event, rowsIn, rowsOf } from './tiers.ts'

const DAY_MS = 86_400_000
const KINDS = ['counters', 'gauges', 'histograms', 'ledger', 'requests']
const TODAY_MS = Math.floor(Date.now() / DAY_MS) * DAY_MS
/** Dropped in minutes by default, and kept in 10 minutes. */
const OLD_MS = TODAY_MS - 10 * DAY_MS
const NEVER = new AbortController().signal

const dayOf = (timeMs: number) => new Date(timeMs).toISOString().slice(0, 10)
const nameOf = (table: string, timeMs: number) => `${table}_${dayOf(timeMs).replaceAll('-', '')}`

const at = (timeMs: number, more: Partial<Event> = {}): Event => ({
  ...{ app: 'shop', process: 'web', timeMs, serviceMs: 7, status: 200, bytes: 10 },
  ...{ name: 'custom.a', value: 0.5, ...more },
})

onEachPostgres((newDatabase) => {
  let url: string
  let sql: Sql

  beforeAll(async () => {
    url = await newDatabase()
    await migrate(url)
    sql = connect(url, { max: 4 })
  })
  afterAll(() => sql.end())

  beforeEach(async () => {
    const tiers = ['1m', ...COARSER_TIERS]
    await sql.unsafe(
      `${tiers.flatMap((tier) => KINDS.map((kind) => `delete from shelf.${kind}_${tier};`)).join('')}
      delete from shelf.dirty; delete from shelf.progress;
      update shelf.tiers set dropped_until = null, kept = (
        array['7 days', '30 days', '400 days', null]::interval[]
      )[array_position('{1m,10m,1h,1d}', tier)];
      update shelf.tiers set closed_until = '-infinity', compacted_until = '-infinity'
      where tier <> '1m'`,
    )
    await sql`select shelf.make_partitions(${dayOf(OLD_MS)}::date, ${dayOf(OLD_MS)}::date + 1)`
  })

  const write = (...events: Event[]) =>
    sql.begin((transaction) => mergeCells(transaction, cellsOf(events)))

  const redo = async () => {
    for (const tier of COARSER_TIERS) {
      while ((await redoTier(sql, tier, 100)) > 0);
    }
  }

  const compact = async (untilMs = TODAY_MS) => {
    for (const tier of COARSER_TIERS) await closeTier(sql, tier, untilMs)
    await redo()
  }

  const droppedUntil = async () => {
    const rows = await sql<{ tier: string; until: Date | null }[]>`
      select tier, dropped_until as until from shelf.tiers where dropped_until is not null
      order by step`
    return Object.fromEntries(rows.map(({ tier, until }) => [tier, until?.getTime()]))
  }

  const marks = async () => {
    const rows = await sql<{ tier: string }[]>`select tier from shelf.dirty order by tier`
    return rows.map(({ tier }) => tier)
  }

  const tables = async (like: string) => {
    const rows = await sql<{ name: string }[]>`
      select relname as name from pg_class
      where relnamespace = 'shelf'::regnamespace and relispartition and relkind = 'r'
        and relname like ${like} order by relname`
    return rows.map(({ name }) => name)
  }
  const oldTables = KINDS.map((kind) => nameOf(`${kind}_1m`, OLD_MS))
  const areThere = async () => (await tables(`%${nameOf('1m', OLD_MS)}`)).length === KINDS.length

  const shelf = (args: string[], env: Record<string, string> = {}) => {
    const child = Bun.spawn([process.execPath, 'batch/shelf.ts', ...args], {
      cwd: new URL('..', import.meta.url).pathname,
      env: { ...process.env, DATABASE_URL: url, ...env },
      stderr: 'pipe',
    })
    return Promise.all([
      child.exited,
      new Response(child.stdout).text(),
      new Response(child.stderr).text(),
    ]).then(([code, stdout, stderr]) => ({ code, stdout, stderr }))
  }

  /** Returns when a session is as `condition` on pg_stat_activity says. */
  const seen = async (condition: string) => {
    const deadline = Date.now() + 20_000
    for (;;) {
      const found = await sql.unsafe(
        `select from pg_stat_activity where datname = current_database() and ${condition}`,
      )
      if (found.length > 0) return
      if (Date.now() > deadline) throw new Error(`no session is as ${condition}`)
    }
  }

  test('a tier is given up only as far as the coarser one is made of it', async () => {
    await write(at(OLD_MS), at(OLD_MS - 2 * DAY_MS), at(OLD_MS + 3_600_000))
    await giveUp(sql)
    expect(await droppedUntil()).toEqual({})
    await closeTier(sql, '10m', OLD_MS + 3_600_000)
    await redo()
    await giveUp(sql)
    expect(await droppedUntil()).toEqual({ '1m': OLD_MS })
    await closeTier(sql, '10m', TODAY_MS)
    await giveUp(sql)
    expect(await droppedUntil()).toEqual({ '1m': OLD_MS })
    await redo()
    await giveUp(sql)
    expect(await droppedUntil()).toEqual({ '1m': TODAY_MS - 7 * DAY_MS })
  })

  test('no tier is given up where a finer one is kept', async () => {
    await sql`update shelf.tiers set kept = '0 days' where tier <> '1m'`
    await compact()
    await giveUp(sql, new Date(OLD_MS + 7 * DAY_MS + 1))
    const { '1m': minutes, ...coarser } = await droppedUntil()
    expect(minutes).toBe(OLD_MS)
    const starts = ['10m', '1h', '1d'].map((tier) => coarser[tier] ?? 0)
    expect(starts[0]).toBeLessThanOrEqual(OLD_MS)
    expect(starts.toSorted((a, b) => b - a)).toEqual(starts)
    expect(new Date(starts[0] ?? 0).getUTCDay()).toBe(1)
    expect(new Date(starts[1] ?? 0).getUTCDate()).toBe(1)
    expect(dayOf(starts[2] ?? 0)).toEndWith('-01-01')
  })

  test('what was given up stays so, however long it is to be kept later', async () => {
    await compact()
    await giveUp(sql)
    const before = await droppedUntil()
    await sql`update shelf.tiers set kept = null`
    await giveUp(sql)
    await giveUp(sql, new Date(OLD_MS))
    expect(await droppedUntil()).toEqual(before)
  })

  test('rows go with their partitions, and from the default partition; coarser ones stay', async () => {
    const events = [at(OLD_MS), at(OLD_MS - 2 * DAY_MS), at(TODAY_MS - 3 * DAY_MS)]
    await write(...events)
    await compact()
    await giveUp(sql)
    expect(await dropTables(sql, NEVER)).toEqual({ dropped: oldTables, left: [] })
    expect(await deleteOldRows(sql, NEVER)).toBe(KINDS.length)
    expect(await rowsIn(sql, '1m')).toEqual(rowsOf(events.slice(2), '1m'))
    for (const tier of COARSER_TIERS) expect(await rowsIn(sql, tier)).toEqual(rowsOf(events, tier))
    await sql`select shelf.make_partitions(${dayOf(OLD_MS)}::date, ${dayOf(OLD_MS)}::date + 1)`
    expect(await areThere()).toBe(false)
  })

  test('late minutes are merged into the 10 minutes that hold them, and on from there', async () => {
    const events = [at(OLD_MS), at(OLD_MS + 60_000, { bytes: 2 ** 52 + 1 })]
    await write(...events)
    await compact()
    await giveUp(sql)
    await dropTables(sql, NEVER)
    const late = [1, 2, 2, 15].map((minute) => at(OLD_MS + minute * 60_000, { value: minute }))
    const live = at(TODAY_MS)
    await write(...late, live)
    expect(await marks()).toEqual(['1d', '1h'])
    expect(await rowsIn(sql, '1m')).toEqual(rowsOf([live], '1m'))
    expect(await rowsIn(sql, '10m')).toEqual(rowsOf([...events, ...late], '10m'))
    await redo()
    for (const tier of COARSER_TIERS) {
      expect(await rowsIn(sql, tier)).toEqual(rowsOf([...events, ...late], tier))
    }
  })

  test('what no tier keeps is passed over, and counted', async () => {
    await sql`update shelf.tiers set kept = '1 day'`
    await compact()
    await giveUp(sql)
    const old = at(Date.UTC(2001, 0, 1))
    expect(await write(old, at(TODAY_MS))).toBe(KINDS.length)
    expect(await rowsIn(sql, '1d')).toEqual([])
    expect(await rowsIn(sql, '1m')).toEqual(rowsOf([at(TODAY_MS)], '1m'))
    expect(await marks()).toEqual([])
  })

  test('names are limited by the rows that they will stand in', async () => {
    await write(at(OLD_MS, { name: 'custom.a' }), at(OLD_MS + 60_000, { name: 'custom.b' }))
    await compact()
    const ask = () =>
      sql.begin(async (transaction) => {
        const minutes = [1, 2].map((n) => ({ app: 'shop', bucketMs: OLD_MS + n * 60_000 }))
        const limits = await loadLimits(transaction, minutes, { processes: 1, names: 2 })
        return minutes.map(({ bucketMs }) => limits.name('shop', bucketMs, 'custom.c', '').name)
      })
    expect(await ask()).toEqual(['custom.c', 'custom.c'])
    await giveUp(sql)
    expect(await ask()).toEqual(['other', 'other'])
  })

  test('partitions are made a week ahead, and for rows that stand in default partitions', async () => {
    await write(at(TODAY_MS - 3 * DAY_MS))
    await sql`insert into shelf.ledger_1d (app, bucket) values ('shop', '2020-02-29 00:00Z')`
    await makePartitionsAhead(sql)
    expect(await missingPartitions(sql)).toEqual([])
    const days = [-3, 0, 1, 2, 3, 4, 5, 6, 7]
    const made = await tables('requests_1m_2%')
    for (const day of days) expect(made).toContain(nameOf('requests_1m', TODAY_MS + day * DAY_MS))
    expect(made).not.toContain(nameOf('requests_1m', TODAY_MS + 9 * DAY_MS))
    expect(await tables('%_1d_2020%')).toEqual(KINDS.map((kind) => `${kind}_1d_20200101`))
    expect(await sql`select from only shelf.ledger_1d_default`).toHaveLength(0)
    expect(await sql`select from shelf.ledger_1d_20200101`).toHaveLength(1)
  })

  test('a writer at work keeps a tier from being given up, and others go on', async () => {
    await compact()
    await sql.begin(async (writing) => {
      await mergeCells(writing, cellsOf([at(OLD_MS)]))
      await expect(giveUp(sql)).rejects.toThrow('lock timeout')
      await write(at(OLD_MS, { app: 'demo' }))
    })
    await giveUp(sql)
    expect((await droppedUntil())['1m']).toBe(OLD_MS)
  })

  test('a writer that falls silent is ended after a minute: it would keep all from going on', async () => {
    const limit = async (sql: Sql | Transaction) => {
      const name = 'idle_in_transaction_session_timeout'
      const [row] = await sql<{ is: string }[]>`select current_setting(${name}) as is`
      return row?.is
    }
    const writing = await sql.begin(async (writing) => {
      await mergeCells(writing, cellsOf([at(TODAY_MS)]))
      return await limit(writing)
    })
    expect(writing).toBe('1min')
    expect(await limit(sql)).toBe('0')
  })

  test('who looked before a tier was given up finds its rows until it ends', async () => {
    await write(at(OLD_MS))
    await compact()
    await sql.begin('isolation level repeatable read', async (reading) => {
      await reading`select from shelf.tiers`
      await giveUp(sql)
      const { dropped, left } = await dropTables(sql, AbortSignal.timeout(300))
      expect({ dropped, left }).toEqual({ dropped: [], left: oldTables })
      expect(await reading`select from shelf.requests_1m`).toHaveLength(1)
    })
    expect((await dropTables(sql, NEVER)).dropped).toEqual(oldTables)
  })

  test('a table that is read for long is left, and nobody queues behind', async () => {
    await write(at(OLD_MS))
    await compact()
    await giveUp(sql)
    const stop = new AbortController()
    await sql.begin(async (reading) => {
      await reading.unsafe(`lock table shelf.requests_1m in access share mode`)
      const dropping = dropTables(sql, stop.signal)
      while ((await tables(`counters_1m_${dayOf(OLD_MS).replaceAll('-', '')}`)).length > 0);
      for (let n = 0; n < 5; n++) {
        await write(at(TODAY_MS))
        expect(await sql`select from shelf.requests_1m where bucket >= now()`).toHaveLength(0)
      }
      stop.abort()
      const { dropped, left } = await dropping
      expect(dropped).toEqual(oldTables.slice(0, -1))
      expect(left).toEqual(oldTables.slice(-1))
    })
    expect((await dropTables(sql, NEVER)).dropped).toEqual(oldTables.slice(-1))
  })

  test('days are made and dropped side by side, under writers', async () => {
    await compact()
    await giveUp(sql)
    const live = [1, 2, 3, 4, 5, 6].map((hour) => at(TODAY_MS - hour * 3_600_000))
    await Promise.all([
      dropTables(sql, NEVER),
      // Under writers it may be told to come again, as shelf run does.
      unlessBusy(() => makePartitionsAhead(sql)),
      ...live.map((event) => write(event)),
      ...[0, 1].map(
        () => sql`select shelf.make_partitions(${dayOf(OLD_MS)}::date, ${dayOf(TODAY_MS)}::date)`,
      ),
    ])
    await dropTables(sql, NEVER)
    expect(await areThere()).toBe(false)
    expect(await rowsIn(sql, '1m')).toEqual(rowsOf(live, '1m'))
  })

  test('markers and dynos are kept as long as hours', async () => {
    await sql`
      insert into shelf.marker_lines (app, time, kind) values
        ('shop', now() - interval '500 days', 'deploy'), ('shop', now(), 'deploy')`
    await sql`
      insert into shelf.dynos (app, dyno, instance, first_at, last_at) values
        ('shop', 'web.1', 'a', now() - interval '500 days', now() - interval '499 days'),
        ('shop', 'web.1', 'b', now() - interval '500 days', now())`
    await giveUp(sql)
    expect(await deleteOldRows(sql, NEVER)).toBe(0)
    await compact()
    await giveUp(sql)
    expect(await deleteOldRows(sql, NEVER)).toBe(2)
    expect(
      await sql`select time > now() - interval '1 hour' as "isNew" from shelf.marker_lines`,
    ).toEqual([{ isNew: true }] as never)
    expect([...(await sql`select instance from shelf.dynos`)]).toEqual([{ instance: 'b' }])
  })

  test('shelf retain does what its dry run says, and then has nothing to do', async () => {
    await write(at(OLD_MS), at(OLD_MS - 2 * DAY_MS))
    await compact()
    await makePartitionsAhead(sql)
    const next = nameOf('ledger_1m', TODAY_MS + 5 * DAY_MS)
    await sql.unsafe(`drop table shelf.${next}; analyze shelf.${oldTables[0]}`)
    const { code, stdout, stderr } = await shelf(['retain', '--dry-run'])
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(stdout.split('\n')).toEqual([
      `make ${next}`,
      ...oldTables.map((name, n) =>
        expect.stringMatching(
          new RegExp(`^drop ${name} ~${n === 0 ? '1' : '\\d+|\\?'} rows [1-9]\\d+ bytes$`),
        ),
      ),
      ...KINDS.map((kind) => `delete ${kind}_1m_default 1 rows`),
      '',
    ])
    expect(await areThere()).toBe(true)
    expect(await droppedUntil()).toEqual({})
    expect(await shelf(['retain'])).toEqual({
      ...{ code: 0, stdout: '' },
      stderr: 'retain: 1 tables made, 5 dropped, 5 rows deleted\n',
    })
    expect(await shelf(['retain', '--dry-run'])).toEqual({ code: 0, stdout: '', stderr: '' })
    expect(await shelf(['retain'])).toEqual({ code: 0, stdout: '', stderr: '' })
  })

  test('shelf retain exits with 75 where compact has yet to come, or a writer is in the way', async () => {
    await makePartitionsAhead(sql)
    await write(at(OLD_MS))
    const early = await shelf(['retain'])
    expect(early.code).toBe(75)
    expect(early.stderr).toContain(
      `before shelf compact has made coarser rows of it, ${oldTables[0]}`,
    )
    await compact()
    const busy = await sql.begin(async (writing) => {
      await mergeCells(writing, cellsOf([at(TODAY_MS)]))
      return await shelf(['retain'])
    })
    expect(busy.code).toBe(75)
    expect(busy.stderr).toContain('a transaction that writes rows takes too long')
    expect((await shelf(['retain'])).code).toBe(0)
  })

  test('one at a time retains: who comes second says so and leaves it', async () => {
    await makePartitionsAhead(sql)
    await compact()
    const first = await sql.begin(async (holding) => {
      await holding`select pg_advisory_xact_lock(hashtextextended('shelf.retain', 0))`
      return await shelf(['retain'])
    })
    expect(first).toEqual({ code: 0, stdout: '', stderr: 'another session is at it\n' })
    expect(await areThere()).toBe(true)
  })

  test('who is ended in the middle leaves the rest to the next', async () => {
    await write(at(OLD_MS))
    await compact()
    const ended = await sql.begin('isolation level repeatable read', async (reading) => {
      await reading`select from shelf.tiers`
      const ended = shelf(['retain'])
      await seen(`application_name = 'shelf retain' and strpos(query, 'backend_xmin') > 0`)
      expect((await droppedUntil())['1m']).toBe(TODAY_MS - 7 * DAY_MS)
      await sql`
        select pg_terminate_backend(pid) from pg_stat_activity
        where application_name = 'shelf retain'`
      return await ended
    })
    expect(ended.code).toBe(75)
    expect(await areThere()).toBe(true)
    expect((await shelf(['retain'])).code).toBe(0)
    expect(await areThere()).toBe(false)
  })

  test('settings are noted in the database, and stay there', async () => {
    const keep = { SHELF_KEEP_1M: '9 days', SHELF_KEEP_1D: '500 days' }
    const kept = async () => [
      ...(await sql`select kept::text from shelf.tiers order by step`.values()),
    ]
    const planned = await shelf(['retain', '--dry-run'], { ...keep, SHELF_KEEP_1H: 'forever' })
    expect(planned.stderr).toContain(
      'SHELF_KEEP_1D must be as long as SHELF_KEEP_1H at least: forever',
    )
    expect(planned.code).toBe(2)
    await shelf(['retain', '--dry-run'], keep)
    expect(await kept()).toEqual([['7 days'], ['30 days'], ['400 days'], [null]])
    await shelf(['retain'], keep)
    await shelf(['retain'])
    expect(await kept()).toEqual([['9 days'], ['30 days'], ['400 days'], ['500 days']])
    await shelf(['retain'], { SHELF_KEEP_1D: 'forever' })
    const wrong = await shelf(['retain'], { SHELF_KEEP_10M: '8 days' })
    expect(wrong.stderr).toContain(
      'SHELF_KEEP_10M must be as long as SHELF_KEEP_1M at least: 9 days',
    )
    expect(wrong.code).toBe(2)
    expect(await kept()).toEqual([['9 days'], ['30 days'], ['400 days'], [null]])
  })

  test('shelf run retains, and so many at once do no harm', async () => {
    await write(at(OLD_MS))
    await compact()
    const stop = new AbortController()
    const running = [1, 2, 3].map(() => retainForever(url, {}, stop.signal))
    while (await areThere()) await Bun.sleep(20)
    stop.abort()
    await Promise.all(running)
    expect(await rowsIn(sql, '10m')).toEqual(rowsOf([at(OLD_MS)], '10m'))
  })

  test('compact alone makes the partitions that it writes to', async () => {
    const fresh = await newDatabase()
    await migrate(fresh)
    expect((await shelf(['compact'], { DATABASE_URL: fresh })).code).toBe(0)
    const other = connect(fresh, { max: 1 })
    expect(await missingPartitions(other)).toEqual([])
    await other.end()
  })
})

test.each(['7', '0 days', '7 hours', '-1 days', '40000 days', 'for ever', '1.5 days'])(
  'a setting of %j is refused, with words',
  (text) => {
    expect(() => keepSettings({ SHELF_KEEP_10M: text })).toThrow(
      `SHELF_KEEP_10M must be like "30 days", from 1 on, or "forever", not "${text}"`,
    )
  },
)

test('settings are days, or for ever; what is not set is not changed', () => {
  const env = { SHELF_KEEP_1M: '1 day', SHELF_KEEP_10M: ' 30 days', SHELF_KEEP_1H: 'forever' }
  expect(keepSettings({ ...env, SHELF_KEEP_1D: '' })).toEqual({
    ...{ '1m': 1, '10m': 30, '1h': Number.POSITIVE_INFINITY },
  })
})
