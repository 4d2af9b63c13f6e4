/** Coarser tiers: each row is the one that the events themselves give, whatever comes late or dies. */
import { afterAll, beforeAll, beforeEach, expect, test } from 'bun:test'
import fc from 'fast-check'
import { migrate } from '../batch/migrate.ts'
import { deleteOldRows } from '../batch/retain-delete.ts'
import { dropTables, giveUp } from '../batch/retain-drop.ts'
import { connect, type Sql } from '../db/client.ts'
import { mergeCells } from '../db/merge-cells.ts'
import {
  COARSER_TIERS,
  type CoarserTier,
  closeTier,
  redoTier,
  unlessBusy,
  watermarkOf,
} from '../db/tiers.ts'
import { onEachPostgres } from './sql-server.ts'
import { cellsOf, type Event, rowsIn, rowsOf, STEP_MS, type Tier } from './tiers.ts'

const START_MS = Date.UTC(2026, 10, 20)
const HOUR_MS = 3_600_000
const RANGE_MS = 50 * HOUR_MS
const TIERS: Tier[] = ['1m', ...COARSER_TIERS]
const KINDS = ['counters', 'gauges', 'histograms', 'ledger', 'requests']

const YEARS_MS = 3 * 366 * 24 * HOUR_MS
const NEVER = new AbortController().signal

/** Near each other, so that many meet in a bucket, and far. */
const timeMs = fc.oneof(
  fc.integer({ min: START_MS, max: START_MS + 1_200_000 }),
  fc.integer({ min: START_MS, max: START_MS + RANGE_MS - 1 }),
  fc.integer({ min: START_MS, max: START_MS + YEARS_MS - 1 }),
)

const event: fc.Arbitrary<Event> = fc.record({
  app: fc.constantFrom('shop', 'demo'),
  process: fc.constantFrom('', 'web'),
  timeMs,
  serviceMs: fc.integer({ min: 0, max: 30_000 }),
  status: fc.constantFrom(200, 304, 503),
  bytes: fc.oneof(fc.nat(), fc.constant(2 ** 52 + 1)),
  name: fc.constantFrom('memory_rss', 'custom.a'),
  value: fc.double({ min: -1e6, max: 1e6, noNaN: true }).map((value) => value + 0),
})

const tier = fc.constantFrom(...COARSER_TIERS)

type Step =
  | { do: 'write'; events: Event[] }
  | { do: 'compact'; untilMs: number }
  | { do: 'close'; tier: CoarserTier; untilMs: number }
  | { do: 'redo' | 'die'; tier: CoarserTier; most: number }
  | { do: 'retain'; untilMs: number }
  | { do: 'giveUp'; untilMs: number }
  | { do: 'make'; tier: Tier; timeMs: number }

const most = fc.integer({ min: 1, max: 5 })

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('write' as const),
      events: fc.array(event, { minLength: 1, maxLength: 6 }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('compact' as const), untilMs: timeMs }) },
  fc.record({ do: fc.constant('close' as const), tier, untilMs: timeMs }),
  fc.record({ do: fc.constantFrom('redo' as const, 'die' as const), tier, most }),
  fc.record({ do: fc.constantFrom('retain' as const, 'giveUp' as const), untilMs: timeMs }),
  fc.record({ do: fc.constant('make' as const), tier: fc.constantFrom(...TIERS), timeMs }),
)

/** Groups of steps; those of a group run at the same time. */
const groups = fc.array(fc.array(step, { minLength: 1, maxLength: 5 }), { maxLength: 10 })

const at = (timeMs: number, more: Partial<Event> = {}): Event => ({
  ...{ app: 'shop', process: 'web', timeMs, serviceMs: 7, status: 200, bytes: 10 },
  ...{ name: 'memory_rss', value: 0.5, ...more },
})

onEachPostgres((newDatabase) => {
  let url: string
  let sql: Sql

  beforeAll(async () => {
    url = await newDatabase()
    await migrate(url)
    sql = connect(url, { max: 6 })
  })
  afterAll(() => sql.end())

  const reset = async () => {
    await sql.unsafe(
      `${TIERS.flatMap((tier) => KINDS.map((kind) => `delete from shelf.${kind}_${tier};`)).join('')}
      delete from shelf.dirty; delete from shelf.progress;
      update shelf.tiers set dropped_until = null, kept = '0 days';
      update shelf.tiers set closed_until = '-infinity', compacted_until = '-infinity'
      where tier <> '1m'`,
    )
    await sql`select shelf.make_partitions('2026-11-20', '2026-11-22')`
  }
  beforeEach(reset)

  const write = (events: readonly Event[]) =>
    sql.begin((transaction) => mergeCells(transaction, cellsOf(events)))

  const close = async (untilMs = START_MS + RANGE_MS) => {
    for (const tier of COARSER_TIERS) await closeTier(sql, tier, untilMs)
  }

  const redoAll = async (most = 100) => {
    let made = 0
    for (const tier of COARSER_TIERS) {
      for (let redone = -1; redone !== 0; made += redone) redone = await redoTier(sql, tier, most)
    }
    return made
  }

  const marks = async () => {
    const rows = await sql<{ tier: CoarserTier; app: string; bucket: Date }[]>`
      select tier, app, bucket from shelf.dirty order by tier, app, bucket`
    return rows.map(({ tier, app, bucket }) => `${tier} ${app} ${bucket.toISOString()}`)
  }

  const closedUntil = async (tier: CoarserTier) => {
    const [row] =
      await sql`select closed_until::text as until from shelf.tiers where tier = ${tier}`
    return row?.until
  }

  const giveUpAt = (untilMs: number) => unlessBusy(() => giveUp(sql, new Date(untilMs)))

  /** Drops and deletes what was given up, by whoever. */
  const sweep = async () => {
    await dropTables(sql, NEVER)
    await deleteOldRows(sql, NEVER)
  }

  /** Until when a tier was dropped, Unix ms. */
  const droppedMs = async (tier: Tier) => {
    const [row] = await sql<{ untilMs: number }[]>`
      select coalesce(1000 * extract(epoch from dropped_until), 0)::float8 as "untilMs"
      from shelf.tiers where tier = ${tier}`
    return row?.untilMs ?? 0
  }

  /** What readers may take as it is, is as the events are. */
  const expectNothingStale = async (events: readonly Event[]) => {
    const dirty = new Set(await marks())
    for (const tier of COARSER_TIERS) {
      const [row] = await sql<{ untilS: number }[]>`
        select extract(epoch from compacted_until)::float8 as "untilS" from shelf.tiers
        where tier = ${tier}`
      const keptMs = await droppedMs(tier)
      const ready = events.filter(({ app, timeMs }) => {
        const bucketMs = Math.floor(timeMs / STEP_MS[tier]) * STEP_MS[tier]
        const mark = `${tier} ${app} ${new Date(bucketMs).toISOString()}`
        return bucketMs >= keptMs && bucketMs < (row?.untilS ?? 0) * 1000 && !dirty.has(mark)
      })
      expect(await rowsIn(sql, tier, true)).toEqual(rowsOf(ready, tier))
    }
  }

  const expectAll = async (events: readonly Event[]) => {
    for (const tier of TIERS) {
      const keptMs = await droppedMs(tier)
      const kept = events.filter(({ timeMs }) => timeMs >= keptMs)
      expect(await rowsIn(sql, tier)).toEqual(rowsOf(kept, tier))
    }
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
  const waitsForLock = (text: string) =>
    seen(`wait_event_type = 'Lock' and strpos(query, '${text}') > 0`)
  const sleeps = (name: string) => seen(`application_name = '${name}' and wait_event = 'PgSleep'`)

  const died = new Error('died')
  const ignoreBusy = (error: unknown) => {
    const code = error instanceof Error && 'code' in error ? error.code : undefined
    if (error !== died && code !== '55P03') throw error
  }

  const run = (step: Step): Promise<unknown> => {
    if (step.do === 'write') return write(step.events)
    if (step.do === 'compact') {
      return close(step.untilMs)
        .catch(ignoreBusy)
        .then(() => redoAll((step.untilMs % 5) + 1))
    }
    if (step.do === 'close') return closeTier(sql, step.tier, step.untilMs).catch(ignoreBusy)
    if (step.do === 'redo') return redoTier(sql, step.tier, step.most)
    if (step.do === 'make') {
      const day = new Date(step.timeMs).toISOString().slice(0, 10)
      return sql`select shelf.make_partitions(${day}::date, ${day}::date + 1, ${step.tier})`
    }
    if (step.do === 'giveUp') return giveUpAt(step.untilMs)
    if (step.do === 'retain') return giveUpAt(step.untilMs).then(sweep)
    return sql
      .begin(async (transaction) => {
        await transaction`select shelf.redo_buckets(${step.tier}, ${step.most})`
        throw died
      })
      .catch(ignoreBusy)
  }

  test('in any order, late, side by side, and after deaths, rows are those of the events', async () => {
    await fc.assert(
      fc.asyncProperty(groups, async (groups) => {
        await reset()
        const events: Event[] = []
        for (const steps of groups) {
          await Promise.all(steps.map(run))
          for (const step of steps) if (step.do === 'write') events.push(...step.events)
          await expectNothingStale(events)
        }
        await close(START_MS + YEARS_MS + 366 * 24 * HOUR_MS)
        await Promise.all([redoAll(3), redoAll(3)])
        await redoAll()
        await sweep()
        expect(await marks()).toEqual([])
        await expectAll(events)
      }),
      { numRuns: 30 },
    )
  })

  test('a second run changes nothing', async () => {
    const events = [0, 1, 15, 90, 3000].map((minute) => at(START_MS + minute * 60_000))
    await write(events)
    await close()
    expect(await redoAll()).toBe(3 + 2 + 1)
    const versions = () => sql`select xmin::text, * from shelf.requests_10m order by bucket`
    const before = await versions()
    await close()
    expect(await redoAll()).toBe(0)
    expect([...(await versions())]).toEqual([...before])
  })

  test('a late minute redoes the buckets of its app, and no other', async () => {
    const events = [at(START_MS), at(START_MS, { app: 'demo' }), at(START_MS + HOUR_MS)]
    await write(events)
    await close()
    await redoAll()
    const late = at(START_MS + 300_000)
    await write([late])
    const day = '2026-11-20T00:00:00.000Z'
    expect(await marks()).toEqual([`10m shop ${day}`, `1d shop ${day}`, `1h shop ${day}`])
    await redoAll()
    await expectAll([...events, late])
  })

  test('live minutes mark nothing, and an open day is not made', async () => {
    await write([at(START_MS)])
    await close(START_MS + 25 * 60_000)
    await redoAll()
    const live = [at(START_MS + 20 * 60_000), at(START_MS + HOUR_MS)]
    await write(live)
    expect(await marks()).toEqual([])
    expect(await rowsIn(sql, '10m')).toEqual(rowsOf([at(START_MS)], '10m'))
    expect(await rowsIn(sql, '1h')).toEqual([])
    expect(await closedUntil('1d')).toBe('2026-11-20 00:00:00+00')
  })

  test('what is closed stays closed, and no tier is ahead of the finer one', async () => {
    await closeTier(sql, '1h', START_MS + RANGE_MS)
    expect(await closedUntil('1h')).toBe('-infinity')
    await closeTier(sql, '10m', START_MS + 95 * 60_000)
    expect(await closedUntil('10m')).toBe('2026-11-20 01:30:00+00')
    await closeTier(sql, '1h', START_MS + RANGE_MS)
    expect(await closedUntil('1h')).toBe('2026-11-20 01:00:00+00')
    await closeTier(sql, '10m', START_MS)
    expect(await closedUntil('10m')).toBe('2026-11-20 01:30:00+00')
    const endless = sql`select shelf.close_buckets('10m', 'infinity')`.execute()
    await expect(endless).rejects.toThrow('buckets are closed until a time, not infinity')
  })

  test('what is written to a bucket while it is redone is not lost', async () => {
    await write([at(START_MS)])
    await close()
    const late = [at(START_MS + 1), at(START_MS + 60_000)]
    const { writing } = await sql.begin(async (redoing) => {
      await redoing`select shelf.redo_buckets('10m', 10)`
      const writing = write(late)
      await waitsForLock('mark_dirty')
      return { writing }
    })
    await writing
    expect((await marks())[0]).toBe('10m shop 2026-11-20T00:00:00.000Z')
    await redoAll()
    await expectAll([at(START_MS), ...late])
  })

  test('a redo leaves alone what a writer is at', async () => {
    await write([at(START_MS)])
    await close()
    const late = at(START_MS + 1)
    await sql.begin(async (writing) => {
      await mergeCells(writing, cellsOf([late]))
      expect(await redoAll()).toBe(0)
    })
    await redoAll()
    await expectAll([at(START_MS), late])
  })

  test('a bucket is not closed under a writer that is still at it, and others go on', async () => {
    await sql.begin(async (writing) => {
      await mergeCells(writing, cellsOf([at(START_MS)]))
      await expect(closeTier(sql, '10m', START_MS + RANGE_MS)).rejects.toThrow('lock timeout')
      expect(await closedUntil('10m')).toBe('-infinity')
      await write([at(START_MS, { app: 'demo' })])
    })
    await close()
    await redoAll()
    await expectAll([at(START_MS), at(START_MS, { app: 'demo' })])
  })

  test('who writes between closing and marking marks its buckets itself', async () => {
    await write([at(START_MS)])
    await sql`select shelf.close_buckets('10m', '2026-11-21')`
    await write([at(START_MS + 1)])
    expect(await marks()).toEqual(['10m shop 2026-11-20T00:00:00.000Z'])
    expect(await redoTier(sql, '10m', 10)).toBe(1)
    await sql`select shelf.mark_closed('10m')`
    await close()
    await redoAll()
    await expectAll([at(START_MS), at(START_MS + 1)])
  })

  test('a session that is ended in the middle of a redo leaves it to the next', async () => {
    const events = [at(START_MS), at(START_MS + HOUR_MS)]
    await write(events)
    await close()
    const before = await marks()
    const doomed = connect(url, { max: 1, settings: { application_name: 'doomed' } })
    const redoing = doomed
      .unsafe(`select shelf.redo_buckets('10m', 10); select pg_sleep(600)`)
      .execute()
      .catch((error) => error)
    await sleeps('doomed')
    expect(await redoTier(sql, '10m', 10)).toBe(0)
    await sql`
      select pg_terminate_backend(pid, 10000) from pg_stat_activity
      where application_name = 'doomed'`
    expect(await redoing).toBeInstanceOf(Error)
    await doomed.end({ timeout: 1 })
    expect(await marks()).toEqual(before)
    expect(await rowsIn(sql, '10m')).toEqual([])
    await redoAll()
    await expectAll(events)
  })

  test('shelf compact makes what the watermark allows, and says before what it would', async () => {
    const compact = async (...args: string[]) => {
      const child = Bun.spawn([process.execPath, 'batch/shelf.ts', 'compact', ...args], {
        cwd: new URL('..', import.meta.url).pathname,
        env: { ...process.env, DATABASE_URL: url },
        stderr: 'pipe',
      })
      const [stdout, stderr] = await Promise.all([
        new Response(child.stdout).text(),
        new Response(child.stderr).text(),
      ])
      return { code: await child.exited, stdout, stderr }
    }
    const events = [at(START_MS), at(START_MS, { app: 'demo' }), at(START_MS + 15 * 60_000)]
    await write([...events, at(START_MS + HOUR_MS)])
    const nothing = ['10m', '1h', '1d'].map(
      (tier) => `${tier} 0 buckets until the first is closed\n`,
    )
    expect(await compact('--dry-run')).toEqual({ code: 0, stdout: nothing.join(''), stderr: '' })
    expect(await compact()).toEqual({ code: 0, stdout: '', stderr: '0 buckets made\n' })
    await sql`
      insert into shelf.progress (partition, watermark)
      values (0, '2026-11-20 01:03Z'), (1, null), (2, '2026-11-20 02:00Z')`
    const planned = {
      code: 0,
      stdout:
        '10m 3 buckets until 2026-11-20T01:00:00.000Z\n' +
        '1h 2 buckets until 2026-11-20T01:00:00.000Z\n' +
        '1d 0 buckets until 2026-11-20T00:00:00.000Z\n',
      stderr: '',
    }
    expect(await compact('--dry-run')).toEqual(planned)
    expect(await compact('--dry-run')).toEqual(planned)
    expect(await compact()).toEqual({ code: 0, stdout: '', stderr: '5 buckets made\n' })
    expect(await rowsIn(sql, '1h')).toEqual(rowsOf(events, '1h'))

    await sql`update shelf.progress set watermark = '2026-11-20 03:00Z'`
    const { code, stderr } = await sql.begin(async (writing) => {
      await mergeCells(writing, cellsOf([at(START_MS + 2 * HOUR_MS)]))
      return await compact()
    })
    expect(code).toBe(75)
    expect(stderr).toContain('a transaction that writes rows takes too long')
    expect((await compact()).code).toBe(0)
  })

  test('a partition that is quiet or stuck is waited for, but no longer than an hour', async () => {
    const now = Date.now()
    const watermark = async (...agoMinutes: (number | null)[]) => {
      await sql`delete from shelf.progress`
      for (const [partition, ago] of agoMinutes.entries()) {
        const time = ago === null ? null : new Date(now - ago * 60_000)
        await sql`insert into shelf.progress (partition, watermark) values (${partition}, ${time})`
      }
      const at = await watermarkOf(sql)
      return at === undefined ? undefined : Math.round((now - at) / 60_000) + 0
    }
    expect(await watermark()).toBe(undefined)
    expect(await watermark(null, null)).toBe(undefined)
    expect(await watermark(100, null)).toBe(100)
    expect(await watermark(100, 130, null)).toBe(130)
    expect(await watermark(100, 5000, 130)).toBe(160)
    // A clock that is ahead closes no bucket that is still open.
    expect(await watermark(-5000, -6000)).toBe(0)
  })

  test('rows that are gone from the finer tier go from the coarser one', async () => {
    await write([at(START_MS), at(START_MS + HOUR_MS)])
    await close()
    await redoAll()
    for (const kind of KINDS) {
      await sql.unsafe(`delete from shelf.${kind}_1m where bucket < '2026-11-20 01:00Z'`)
    }
    await sql`select shelf.mark_dirty('{shop}', '{2026-11-20 00:00Z}')`
    await redoAll()
    await expectAll([at(START_MS + HOUR_MS)])
  })
})
