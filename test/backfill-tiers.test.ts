/** Backfill and the coarser tiers: those above are made again, and where minutes are gone, theirs. */
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'bun:test'
import { compactTiers } from '../batch/compact.ts'
import { liveSource } from '../batch/raw-source.ts'
import type { Sql } from '../db/client.ts'
import { Case, Databases } from './backfill-case.ts'
import { HOUR_MS, MINUTE_MS, meddled, richBurst } from './replay.ts'
import { onEachPostgres } from './sql-server.ts'
import { rowsIn, type Tier } from './tiers.ts'

const KINDS = ['counters', 'gauges', 'histograms', 'ledger', 'requests']
const TIERS: Tier[] = ['1m', '10m', '1h', '1d']

const never = new AbortController().signal

onEachPostgres((newDatabase) => {
  let databases: Databases
  let sql: Sql
  let run: Case

  beforeAll(async () => {
    databases = await Databases.create(newDatabase)
    sql = databases.sql
  })
  afterAll(() => databases.end())
  beforeEach(async () => {
    run = await Case.begin(databases, { hoursAgo: 30 })
  })
  afterEach(() => run.log.close())

  /** Two days of traffic at their ends, so that there is something to compact in each tier. */
  const days = async () => {
    await run.traffic(60)
    run.log.aheadMs += 26 * HOUR_MS
    await run.traffic(30)
  }

  /** As retention does it. */
  const dropMinutes = async (untilMs: number) => {
    const until = new Date(untilMs).toISOString()
    await sql`update shelf.tiers set dropped_until = ${until} where tier = '1m'`
    for (const kind of KINDS) {
      await sql.unsafe(`delete from shelf.${kind}_1m where bucket < '${until}'`)
    }
  }

  const bucketOf = (row: string): number => Number(JSON.parse(row)[2])

  /** Each tier as a replay and one compact give it; minutes only from when they are kept. */
  const expectTiers = async (keptMs = 0) => {
    await compactTiers(sql, never)
    await run.truth()
    const [row] = await sql<{ watermark: Date }[]>`select watermark from shelf.progress`
    await databases.truth`update shelf.progress set watermark = ${row?.watermark ?? null}`
    await compactTiers(databases.truth, never)
    for (const tier of TIERS) {
      const rows = await rowsIn(databases.truth, tier)
      const kept = tier === '1m' ? rows.filter((row) => bucketOf(row) >= keptMs) : rows
      expect(await rowsIn(sql, tier)).toEqual(kept)
      expect(kept.length).toBeGreaterThan(10)
    }
  }

  test('the tiers above are made again from what was replaced', async () => {
    await days()
    await run.live(run.wrong())
    await compactTiers(sql, never)
    await run.backfill()
    expect((await sql`select from shelf.dirty where tier = '1d'`).length).toBeGreaterThan(0)
    await expectTiers()
  })

  test('what is right is not marked', async () => {
    await days()
    await run.live()
    await compactTiers(sql, never)
    await run.backfill()
    expect(await sql`select from shelf.dirty`).toHaveLength(0)
  })

  test('where minutes were dropped, the rows of ten minutes are replaced, at both ends whole', async () => {
    await days()
    await run.live(run.wrong())
    await compactTiers(sql, never)
    const droppedMs = run.sinceMs + 30 * MINUTE_MS
    await dropMinutes(droppedMs)
    // Late data for what is dropped, and for what is not, before and in the middle of it.
    let late = 40_000
    const comes = async () => {
      const receivedAtMs = run.sinceMs + (late % 60) * MINUTE_MS
      await run.log.appendRaw(richBurst({ number: late, receivedAtMs, ageMs: 90_000 }))
      late += 7
    }
    await comes()
    await run.live()
    let going: Promise<unknown> = Promise.resolve()
    const busy = meddled(run.log, async () => {
      if (late > 40_100) return
      going = going.then(comes).then(() => run.live(run.log, databases.persist))
    })
    const sinceMs = run.sinceMs + 3 * MINUTE_MS
    const untilMs = run.sinceMs + 57 * MINUTE_MS
    await run.backfill({ sinceMs, untilMs, source: liveSource(busy) })
    await going
    expect(late).toBeGreaterThan(40_050)
    await expectTiers(droppedMs)
  })

  test('a range that ends where minutes are dropped is widened to whole rows, and no further', async () => {
    await days()
    await run.live(run.wrong(run.mistakes(run.sinceMs + 17 * MINUTE_MS)))
    await compactTiers(sql, never)
    await dropMinutes(run.sinceMs + HOUR_MS)
    const wrong = await rowsIn(sql, '10m')
    await run.backfill({ untilMs: run.sinceMs + 9 * MINUTE_MS })
    expect(await rowsIn(sql, '10m')).toEqual(wrong)
    await run.backfill({ untilMs: run.sinceMs + 11 * MINUTE_MS })
    await expectTiers(run.sinceMs + HOUR_MS)
  })

  test('minutes that are dropped in the middle of it: what is staged is given up, and made anew', async () => {
    await days()
    await run.live(run.wrong())
    await compactTiers(sql, never)
    let isDropped = false
    const dropping = meddled(run.log, async () => {
      if (isDropped || (await sql`select from shelf.counters_staged limit 1`).length === 0) return
      isDropped = true
      await dropMinutes(run.sinceMs + HOUR_MS)
    })
    const asked = { sinceMs: run.sinceMs + 3 * MINUTE_MS }
    const stopped = run.backfill({ ...asked, source: liveSource(dropping) })
    await expect(stopped).rejects.toThrow('start anew')
    expect(await sql`select from shelf.backfill`).toHaveLength(0)
    await run.backfill(asked)
    await expectTiers(run.sinceMs + HOUR_MS)
  })

  test('what no tier keeps is refused', async () => {
    await run.traffic(5)
    await run.live()
    await sql`update shelf.tiers set dropped_until = ${new Date(run.sinceMs + HOUR_MS).toISOString()}`
    await expect(run.backfill()).rejects.toThrow('no tier keeps anything of this range')
  })
})
