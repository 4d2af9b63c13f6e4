/** Readers: whatever tiers are made, stale or gone, the answer is the one that the events give. */
import { afterAll, beforeAll, expect, test } from 'bun:test'
import fc from 'fast-check'
import { migrate } from '../batch/migrate.ts'
import { connect, type Sql } from '../db/client.ts'
import { mergeCells } from '../db/merge-cells.ts'
import { COARSER_TIERS, type CoarserTier, closeTier, redoTier } from '../db/tiers.ts'
import { onEachPostgres } from './sql-server.ts'
import { cellsOf, type Event, rowsFrom, rowsOfStep, STEP_MS, type Tier } from './tiers.ts'

/** A Sunday, and the last of a month: a day, a week and a month begin within the range. */
const START_MS = Date.UTC(2027, 0, 31)
const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS
const DAY_MS = 24 * HOUR_MS
const RANGE_MS = 50 * HOUR_MS
const TIERS: Tier[] = ['1m', ...COARSER_TIERS]
const KINDS = ['counters', 'gauges', 'histograms', 'ledger', 'requests']
const METRICS = ['counters', 'gauges', 'histograms']

/** Around the first midnight, and anywhere. */
const anyMs = fc.oneof(
  fc.integer({ min: START_MS + 23 * HOUR_MS, max: START_MS + 25 * HOUR_MS }),
  fc.integer({ min: START_MS, max: START_MS + RANGE_MS - 1 }),
)

/** On bounds of buckets, near them, and elsewhere. */
const timeMs = fc.oneof(
  anyMs,
  fc
    .tuple(anyMs, fc.constantFrom(...Object.values(STEP_MS)), fc.constantFrom(-1, 0, 0, 0, 1))
    .map(([ms, stepMs, off]) => Math.max(Math.floor(ms / stepMs) * stepMs + off, START_MS)),
)

const event: fc.Arbitrary<Event> = fc.record({
  app: fc.constantFrom('shop', 'demo', ''),
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
  | { do: 'redo'; tier: CoarserTier; most: number }
  | { do: 'giveUp'; days: number }
  | { do: 'sweep' }

const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({
    do: fc.constant('write' as const),
    events: fc.array(event, { minLength: 1, maxLength: 20 }),
  }),
  fc.record({ do: fc.constant('compact' as const), untilMs: timeMs }),
  fc.record({ do: fc.constant('compact' as const), untilMs: timeMs }),
  fc.record({ do: fc.constant('close' as const), tier, untilMs: timeMs }),
  fc.record({ do: fc.constant('redo' as const), tier, most: fc.integer({ min: 1, max: 5 }) }),
  // Minutes are kept for 7 days, 10 minutes for 30, hours for 400.
  fc.record({ do: fc.constant('giveUp' as const), days: fc.constantFrom(8, 9, 31, 401) }),
  fc.record({ do: fc.constant('sweep' as const) }),
)

interface Query {
  apps: string[] | null
  names: string[] | null
  sinceMs: number
  untilMs: number
  /** Minutes; null for none. */
  step: number | null
}

const query: fc.Arbitrary<Query> = fc.record({
  apps: fc.constantFrom(['shop'], ['demo', ''], ['shop', 'demo', ''], [], null),
  names: fc.constantFrom(['memory_rss'], null),
  sinceMs: fc.oneof(timeMs, fc.constant(Number.NEGATIVE_INFINITY)),
  untilMs: fc.oneof(timeMs, timeMs, fc.constant(Number.POSITIVE_INFINITY)),
  step: fc.constantFrom(1, 7, 10, 30, 60, 90, 360, 1440, 10_080, null),
})

const scenario = fc.record({
  events: fc.array(event, { minLength: 10, maxLength: 40 }),
  steps: fc.array(step, { maxLength: 6 }),
  queries: fc.array(query, { minLength: 12, maxLength: 12 }),
})

const timeOf = (ms: number) =>
  Number.isFinite(ms) ? new Date(ms).toISOString() : ms > 0 ? 'infinity' : '-infinity'

/** The step that is picked where none is asked. */
function picked({ sinceMs, untilMs }: Query): number {
  const of = (stepMs: number) => (untilMs - sinceMs) / stepMs >= 120
  return [DAY_MS, HOUR_MS, 10 * MINUTE_MS].find(of) ?? MINUTE_MS
}

onEachPostgres((newDatabase) => {
  let sql: Sql

  beforeAll(async () => {
    const url = await newDatabase()
    await migrate(url)
    sql = connect(url, { max: 2 })
    for (const tier of TIERS) {
      await sql`select shelf.make_partitions('2027-01-31', '2027-02-03', ${tier})`
    }
  })
  afterAll(() => sql.end())

  const each = (statement: (kind: string, tier: Tier) => string) =>
    sql.unsafe(TIERS.flatMap((tier) => KINDS.map((kind) => statement(kind, tier))).join(';'))

  const reset = async () => {
    await each((kind, tier) => `delete from shelf.${kind}_${tier}`)
    await sql.unsafe(`delete from shelf.dirty;
      update shelf.tiers set dropped_until = null;
      update shelf.tiers set closed_until = '-infinity', compacted_until = '-infinity'
      where tier <> '1m'`)
  }

  const run = async (step: Step) => {
    if (step.do === 'write') {
      await sql.begin((transaction) => mergeCells(transaction, cellsOf(step.events)))
    } else if (step.do === 'compact') {
      for (const tier of COARSER_TIERS) {
        await closeTier(sql, tier, step.untilMs)
        while ((await redoTier(sql, tier, 100)) > 0);
      }
    } else if (step.do === 'close') await closeTier(sql, step.tier, step.untilMs)
    else if (step.do === 'redo') await redoTier(sql, step.tier, step.most)
    else if (step.do === 'giveUp') {
      await sql`select shelf.give_up(${new Date(START_MS + step.days * DAY_MS)})`
    } else {
      // What is given up is dropped some time later.
      await each(
        (kind, tier) => `delete from shelf.${kind}_${tier} where bucket < (
          select dropped_until from shelf.tiers where tier = '${tier}')`,
      )
    }
  }

  /** The length of the buckets in which a time is kept at finest, ms. */
  const granularity = async () => {
    const tiers = await sql<{ tier: Tier; droppedMs: number | null }[]>`
      select tier, (1000 * extract(epoch from dropped_until))::float8 as "droppedMs"
      from shelf.tiers order by step`
    return (ms: number) => {
      const finest = tiers.find(({ droppedMs }) => droppedMs === null || droppedMs <= ms)
      return STEP_MS[finest?.tier ?? '1d']
    }
  }

  const argumentsOf = ({ apps, names, sinceMs, untilMs, step }: Query, hasNames: boolean) => sql`
    ${apps}::text[], ${hasNames ? sql`${names}::text[],` : sql``}
    ${timeOf(sinceMs)}::text::timestamptz, ${timeOf(untilMs)}::text::timestamptz,
    ${step === null ? null : `${step} minutes`}::interval`

  const ask = (query: Query) =>
    rowsFrom(
      sql,
      (kind) =>
        sql`from ${sql.unsafe(`shelf.${kind}_at`)}(${argumentsOf(query, METRICS.includes(kind))})`,
    )

  const expectTruth = async (events: readonly Event[], query: Query) => {
    const { apps, names, sinceMs, untilMs } = query
    const keptMs = await granularity()
    const stepMs = query.step === null ? picked(query) : query.step * MINUTE_MS
    const isServed = stepMs % keptMs(sinceMs) === 0 || sinceMs >= untilMs
    if (query.step !== null && !isServed) {
      await expect(ask(query)).rejects.toMatchObject({ code: '22023' })
      return
    }
    const inside = events.filter(({ app, timeMs }) => {
      const bucketMs = Math.floor(timeMs / keptMs(timeMs)) * keptMs(timeMs)
      return bucketMs >= sinceMs && bucketMs < untilMs && (apps?.includes(app) ?? true)
    })
    const truth = rowsOfStep(inside, Math.max(stepMs, keptMs(sinceMs))).filter((row) => {
      const [kind, , , , name] = JSON.parse(row)
      return !METRICS.includes(kind) || (names?.includes(name) ?? true)
    })
    expect(await ask(query)).toEqual(truth)
  }

  test('rows of any apps, range and step are those of the events, whichever tier serves them', async () => {
    await fc.assert(
      fc.asyncProperty(scenario, async ({ events: first, steps, queries }) => {
        await reset()
        const events: Event[] = []
        for (const step of [{ do: 'write' as const, events: first }, ...steps]) {
          await run(step)
          if (step.do === 'write') events.push(...step.events)
        }
        for (const query of queries) await expectTruth(events, query)
      }),
      { numRuns: 40 },
    )
  })
})
