/** Where a backfill reads from: whether that reaches back so far, and has all that the rows have. */
import { afterAll, afterEach, beforeAll, expect, test } from 'bun:test'
import { archiveSource } from '../batch/archive-source.ts'
import { locateArchive } from '../batch/archive-store.ts'
import type { Sql } from '../db/client.ts'
import { archived, temporaryFolder } from './archive-places.ts'
import { Case, Databases } from './backfill-case.ts'
import { aggregateAll, HOUR_MS, MINUTE_MS, versions } from './replay.ts'
import { onEachPostgres } from './sql-server.ts'
import { allRows } from './stack.ts'

const cleanups: (() => unknown)[] = []
afterEach(() => {
  for (const cleanup of cleanups.splice(0).reverse()) cleanup()
})

onEachPostgres((newDatabase) => {
  let databases: Databases
  let sql: Sql

  beforeAll(async () => {
    databases = await Databases.create(newDatabase)
    sql = databases.sql
  })
  afterAll(() => databases.end())

  const begin = async (options: Parameters<typeof Case.begin>[1] = {}) => {
    const run = await Case.begin(databases, options)
    cleanups.push(() => run.log.close())
    return run
  }
  const newStore = () => {
    const { folder, remove } = temporaryFolder()
    cleanups.push(remove)
    return locateArchive({ SHELF_ARCHIVE: folder })
  }
  const refused = async (backfill: () => Promise<unknown>, words: string) => {
    const before = await versions(sql)
    await expect(backfill()).rejects.toThrow(words)
    expect(await versions(sql)).toEqual(before)
    expect(await sql`select from shelf.backfill`).toHaveLength(0)
  }
  const latest = (run: Case) => run.log.offsetAt('raw', 0, 'latest')

  test('what the log does not hold any more is refused, and it is said from when on it can be', async () => {
    const run = await begin({ hoursAgo: 5 })
    await run.traffic(190)
    await run.live(run.wrong(run.mistakes(run.sinceMs + 150 * MINUTE_MS)))
    const truth = await run.truth()
    run.log.truncate('raw', await run.log.offsetAt('raw', 0, run.sinceMs + HOUR_MS + 10))
    const from = new Date(run.sinceMs + 121 * MINUTE_MS).toISOString()
    await refused(() => run.backfill(), `--since ${from} or later`)
    await run.backfill({ sinceMs: Date.parse(from), untilMs: run.sinceMs + 4 * HOUR_MS })
    expect(await allRows(sql)).toEqual(truth)
  })

  test('what a log held that was replaced is refused; what is behind it is made', async () => {
    const run = await begin({ hoursAgo: 5 })
    await run.traffic(10)
    await run.live()
    run.log.recreate('raw')
    const begunMs = run.log.nowMs
    await run.traffic(100)
    await run.close()
    await aggregateAll(run.log)
    // Twice: who finds the log replaced appends a tick.
    await run.live()
    const right = await allRows(sql)
    expect(right.filter((row) => row.startsWith('ledger ("",')).length).toBeGreaterThan(0)
    await refused(() => run.backfill(), 'raw begins at')
    await refused(
      () => run.backfill({ sinceMs: begunMs + HOUR_MS - MINUTE_MS, untilMs: run.log.nowMs }),
      'raw begins at',
    )
    const asked = { sinceMs: begunMs + HOUR_MS + MINUTE_MS, untilMs: run.log.nowMs }
    const before = await versions(sql)
    await run.backfill(asked)
    expect(await versions(sql)).toEqual(before)
    await sql`
      update shelf.requests_1m set requests = requests + 1
      where bucket >= ${new Date(asked.sinceMs + MINUTE_MS).toISOString()}`
    await run.backfill(asked)
    expect(await allRows(sql)).toEqual(right)
  })

  test('a log that was recreated, and of which nobody knows yet, changes nothing', async () => {
    const run = await begin()
    await run.traffic(10)
    await run.live()
    run.log.recreate('raw')
    await run.traffic(20)
    await refused(() => run.backfill(), 'raw begins at')
  })

  test('the archive has what the log does not have any more, with what follows in the log', async () => {
    const run = await begin({ hoursAgo: 5 })
    await run.traffic(190)
    await run.live(run.wrong())
    const truth = await run.truth()
    const store = newStore()
    expect((await archived(run.log, store)).length).toBeGreaterThan(2)
    run.log.truncate('raw', await run.log.offsetAt('raw', 0, run.sinceMs + 2 * HOUR_MS))
    await refused(() => run.backfill(), '--from archive')
    await run.backfill({ source: archiveSource(store, run.log) })
    expect(await allRows(sql)).toEqual(truth)
  })

  test('of two logs in the archive, one after the other, the rows are those of both', async () => {
    const run = await begin({ hoursAgo: 7 })
    await run.traffic(70)
    // What is in the last hour of the log is archived before it is replaced.
    run.log.aheadMs += HOUR_MS
    await run.live()
    const store = newStore()
    await archived(run.log, store)
    run.log.recreate('raw')
    await run.traffic(130)
    await run.close()
    await aggregateAll(run.log)
    await run.live()
    await archived(run.log, store)
    const right = await allRows(sql)
    const before = await versions(sql)
    const source = archiveSource(store, run.log)
    const asked = { sinceMs: run.sinceMs - HOUR_MS, untilMs: run.log.nowMs, source }
    await run.backfill(asked)
    expect(await versions(sql)).toEqual(before)
    await sql`update shelf.requests_1m set requests = requests + 1`
    await sql`update shelf.ledger_1m set received = received + 1, repartitioned = 5`
    await run.backfill(asked)
    expect(await allRows(sql)).toEqual(right)
  })

  test('a log that was replaced before all of it was archived is no source', async () => {
    const run = await begin({ hoursAgo: 5 })
    await run.traffic(70)
    await run.live()
    const store = newStore()
    await archived(run.log, store)
    run.log.recreate('raw')
    await run.traffic(70)
    await run.close()
    await aggregateAll(run.log)
    await run.live()
    const source = archiveSource(store, run.log)
    await refused(() => run.backfill({ source }), 'of the log before it was replaced the offsets')
  })

  test('what lacks in the archive, but not in the rows, is refused; what lacks in both stays lost', async () => {
    const run = await begin({ hoursAgo: 8 })
    const store = newStore()
    await run.traffic(105)
    run.log.aheadMs += HOUR_MS
    await run.live()
    await archived(run.log, store)
    // Deleted before anybody aggregated it.
    await run.traffic(20)
    run.log.truncate('raw', await latest(run))
    await run.traffic(125)
    await run.live()
    await archived(run.log, store)
    const [lost] = await sql`select sum(lost_log)::int as lost from shelf.ledger_1m`
    expect(lost?.lost).toBeGreaterThan(50)
    const asked = { untilMs: run.log.nowMs, source: archiveSource(store, run.log) }
    const before = await versions(sql)
    await run.backfill(asked)
    expect(await versions(sql)).toEqual(before)

    await sql`update shelf.ledger_1m set lost_log = lost_log - 1 where lost_log > 1`
    await refused(() => run.backfill(asked), 'lacks the offsets')
  })
})
