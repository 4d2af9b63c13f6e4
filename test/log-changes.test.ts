/** The log changes under the programs: each case once, said in words. */
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'bun:test'
import { aggregateLog } from '../batch/aggregate.ts'
import { AggregatePartitions } from '../batch/aggregate-partitions.ts'
import { parseAggregate } from '../batch/aggregate-tail.ts'
import { AggregateWorker } from '../batch/aggregate-worker.ts'
import { patiently } from '../batch/loop.ts'
import { migrate } from '../batch/migrate.ts'
import { migrateTopics } from '../batch/migrate-topics.ts'
import { persistLog } from '../batch/persist.ts'
import { PersistWorker } from '../batch/persist-worker.ts'
import { LogError } from '../broker/error.ts'
import type { Log } from '../broker/log.ts'
import { DEDUPE_OFFSETS } from '../core/dedupe.ts'
import { connect, type Sql } from '../db/client.ts'
import { rawBurst } from './bursts.ts'
import { ChangingLog } from './changing-log.ts'
import { onEachPostgres } from './sql-server.ts'
import { until } from './stack.ts'

const MINUTE_MS = 60_000
const HOUR_MS = 3_600_000
const signal = new AbortController().signal

let log: ChangingLog

afterEach(() => log.close())

/** The time of a minute's start, as PostgreSQL gives it. */
const minuteOf = (timeMs: number): Date => new Date(Math.floor(timeMs / MINUTE_MS) * MINUTE_MS)

async function appendBurst(number: number, receivedAtMs = log.nowMs, lostL10 = 0) {
  const [at] = await log.appendRaw(rawBurst({ number, receivedAtMs, lostL10 }))
  return at?.offset ?? -1
}

/** Closes the last chunk. */
async function tick(): Promise<void> {
  log.aheadMs += 2000
  await log.appendRaw('')
}

const startAggregator = () => AggregateWorker.start(log, 0)

async function readAll(worker: { step(signal: AbortSignal, idleMs: number): Promise<number> }) {
  while ((await worker.step(signal, 0)) > 0);
}

/** Closes the last chunk and aggregates it, by a worker that knows nothing but the log. */
async function aggregated(): Promise<void> {
  await tick()
  await readAll(await startAggregator())
}

const chunks = async () =>
  (await log.all('aggregates')).flatMap((record) => parseAggregate(record) ?? [])

onEachPostgres((newDatabase) => {
  let sql: Sql

  beforeAll(async () => {
    const url = await newDatabase()
    await migrate(url)
    sql = connect(url, { max: 4 })
    return () => sql.end()
  })
  beforeEach(async () => {
    await sql`truncate shelf.requests_1m, shelf.ledger_1m, shelf.progress`
    log = new ChangingLog()
  })

  const persisted = async (): Promise<void> => readAll(await PersistWorker.start(log, sql, 0))

  const requests = async (): Promise<number> => {
    const [row] = await sql`select coalesce(sum(requests), 0)::int as n from shelf.requests_1m`
    return row?.n
  }

  /** Sums of the ledger that are not 0. */
  const ledger = async (): Promise<Record<string, number>> => {
    const [row = {}] = await sql<Record<string, number>[]>`
      select sum(received)::int as received, sum(duplicates)::int as duplicates,
        sum(lost_l10)::int as "lostL10", sum(lost_log)::int as "lostLog",
        sum(log_replaced)::int as "logReplaced", sum(repartitioned)::int as repartitioned
      from shelf.ledger_1m`
    return Object.fromEntries(Object.entries(row).filter(([, n]) => n > 0))
  }

  test.each(['lost_log', 'log_replaced', 'repartitioned'])(
    'completeness is not known in a minute with %s under no app',
    async (column) => {
      await sql`insert into shelf.requests_1m (app, process, bucket, requests)
        select 'shop', 'web', bucket, 1 from generate_series(
          '2026-11-23 10:00Z'::timestamptz, '2026-11-23 10:01Z', '1 minute') bucket`
      await sql`insert into shelf.ledger_1m (app, bucket, received, kept) values
        ('shop', '2026-11-23 10:00Z', 1, 1), ('shop', '2026-11-23 10:01Z', 1, 1)`
      await sql`insert into shelf.ledger_1m (app, bucket, ${sql(column)})
        values ('', '2026-11-23 10:01Z', 1)`
      const expected = [{ completeness: 1 }, { completeness: null }]
      const stats = await sql`select completeness from shelf.request_stats(
        'shop', '2026-11-23 10:00Z', '2026-11-23 10:02Z', '1 minute') order by bucket`
      expect([...stats]).toEqual(expected)
      const view = await sql`
        select completeness from shelf.completeness where app = 'shop' order by bucket`
      expect([...view]).toEqual(expected)
    },
  )

  test('completeness is not known of an app whose bursts may count twice; of others it is', async () => {
    await sql`insert into shelf.requests_1m (app, process, bucket, requests) values
      ('shop', 'web', '2026-11-23 10:00Z', 1), ('till', 'web', '2026-11-23 10:00Z', 1)`
    await sql`insert into shelf.ledger_1m (app, bucket, received, kept, repartitioned) values
      ('shop', '2026-11-23 10:00Z', 1, 1, 1), ('till', '2026-11-23 10:00Z', 1, 1, 0)`
    for (const [app, completeness] of [['shop', null] as const, ['till', 1] as const]) {
      const [stats] = await sql`select completeness from shelf.request_stats(
        ${app}, '2026-11-23 10:00Z', '2026-11-23 10:01Z', '1 minute')`
      expect(stats?.completeness).toBe(completeness)
      const [view] = await sql`select completeness from shelf.completeness where app = ${app}`
      expect(view?.completeness).toBe(completeness)
    }
  })

  describe('bursts that come late', () => {
    test('count once, though their first try was written hours ago', async () => {
      const receivedAtMs = log.nowMs
      await appendBurst(1, receivedAtMs)
      await aggregated()
      log.aheadMs += 5 * HOUR_MS
      await appendBurst(1, receivedAtMs + 10_000)
      await appendBurst(2, receivedAtMs)
      await aggregated()
      await persisted()
      expect(await requests()).toBe(2)
      expect(await ledger()).toEqual({ received: 3, duplicates: 1 })
    })

    test('count once, though the spool was drained twice, hours apart', async () => {
      const receivedAtMs = log.nowMs
      const aggregator = await startAggregator()
      for (let hours = 1; hours <= 3; hours++) {
        log.aheadMs += HOUR_MS
        await appendBurst(1, receivedAtMs, hours * 10)
        await readAll(aggregator)
      }
      await aggregated()
      await persisted()
      expect(await requests()).toBe(1)
      expect(await ledger()).toEqual({ received: 3, duplicates: 2, lostL10: 30 })
    })

    test.each([
      ['up to a minute before its receipt: clocks differ', 60_000, 1],
      ['not from more than a minute before its receipt', 60_001, 2],
    ])('are looked for %s', async (_where, skewMs, count) => {
      await appendBurst(1)
      const receivedAtMs = log.nowMs + skewMs
      await aggregated()
      log.aheadMs += HOUR_MS
      await appendBurst(1, receivedAtMs)
      await aggregated()
      await persisted()
      expect(await requests()).toBe(count)
    })

    test('what was no burst that counted is no first try', async () => {
      const receivedAtMs = log.nowMs
      const whole = rawBurst({ number: 1, receivedAtMs })
      await log.appendRaw(Buffer.from(whole, 'base64').subarray(0, -1).toString('base64'))
      log.aheadMs += HOUR_MS
      await log.appendRaw(whole)
      await aggregated()
      await persisted()
      expect(await requests()).toBe(1)
    })
  })

  describe('a raw topic that was recreated', () => {
    test('is gone on with, and the ledger says so', async () => {
      for (let number = 0; number < 5; number++) await appendBurst(number)
      await aggregated()
      await persisted()
      log.recreate('raw')
      log.aheadMs += 1000
      const replacedAtMs = log.nowMs
      await readAll(await startAggregator())
      for (let number = 10; number < 30; number++) await appendBurst(number)
      await aggregated()
      await persisted()
      expect(await requests()).toBe(25)
      expect(await ledger()).toEqual({ received: 25, logReplaced: 1 })
      const rows = await sql`select app, bucket from shelf.ledger_1m where log_replaced > 0`
      expect([...rows]).toEqual([{ app: '', bucket: minuteOf(replacedAtMs) }])
      const [stats] = await sql`
        select completeness from shelf.completeness
        where app = 'shop' and bucket = ${minuteOf(replacedAtMs)}`
      expect(stats?.completeness).toBeNull()
      const [minute] = await sql`
        select completeness from shelf.request_stats('shop', ${minuteOf(replacedAtMs)},
          ${minuteOf(replacedAtMs + MINUTE_MS)}, interval '1 minute')`
      expect(minute?.completeness).toBeNull()
    })

    test('is noticed by a worker that runs, also if the new log is longer already', async () => {
      const aggregator = await startAggregator()
      await appendBurst(1)
      await tick()
      await readAll(aggregator)
      log.recreate('raw')
      log.aheadMs += 1000
      for (let number = 10; number < 30; number++) await appendBurst(number)
      await expect(readAll(aggregator)).rejects.toMatchObject({ code: 'replaced', retryable: true })
      await aggregated()
      await persisted()
      expect(await requests()).toBe(21)
    })

    test('twice: each new log counts, and of each the ledger says so', async () => {
      for (let round = 0; round < 3; round++) {
        await appendBurst(round)
        await aggregated()
        await persisted()
        log.recreate('raw')
        log.aheadMs += 1000
      }
      await aggregated()
      await aggregated()
      await persisted()
      expect(await requests()).toBe(3)
      expect(await ledger()).toEqual({ received: 3, logReplaced: 3 })
      const [row] = await sql`select epoch from shelf.progress`
      expect(row?.epoch).toBe(3)
    })

    test('records of a slower worker, from the log before, count no more', async () => {
      await appendBurst(1)
      await aggregated()
      const [old] = await log.all('aggregates')
      log.recreate('raw')
      log.aheadMs += 1000
      await readAll(await startAggregator())
      await appendBurst(2)
      await aggregated()
      await persisted()
      const late = { ...JSON.parse(String(old?.value)), from: 1000, to: 1001 }
      await log.append('aggregates', [{ partition: 0, value: JSON.stringify(late) }])
      await appendBurst(3)
      await aggregated()
      await persisted()
      expect(await requests()).toBe(3)
      expect(await ledger()).toEqual({ received: 3, logReplaced: 1 })
    })
  })

  describe('a raw topic whose end was cut off', () => {
    test('is gone on with from there: what is left of it does not count again', async () => {
      for (let number = 0; number < 8; number++) await appendBurst(number)
      await aggregated()
      await persisted()
      log.cutEnd('raw', 5)
      log.aheadMs += 1000
      // A burst that was left comes again, within the window.
      await appendBurst(3)
      await appendBurst(20)
      await aggregated()
      await aggregated()
      await persisted()
      expect(await requests()).toBe(9)
      expect(await ledger()).toEqual({ received: 10, duplicates: 1, logReplaced: 1 })
    })
  })

  describe('raw records that were deleted', () => {
    test.each([
      ['just before the place: nothing is lost', 0, 0],
      ['one of them behind the place', 1, 1],
      ['all of them behind the place', 3, 3],
    ])('%s', async (_where, beyond, lost) => {
      for (const isRunning of [false, true]) {
        await sql`truncate shelf.requests_1m, shelf.ledger_1m, shelf.progress`
        log.close()
        log = new ChangingLog()
        const aggregator = isRunning ? await startAggregator() : undefined
        await appendBurst(1)
        await tick()
        if (aggregator) await readAll(aggregator)
        else await readAll(await startAggregator())
        // Who runs has read the tick; who starts anew goes on from it.
        const place = isRunning ? 2 : 1
        for (let number = 2; number < 6; number++) await appendBurst(number)
        log.truncate('raw', place + beyond)
        await tick()
        await readAll(aggregator ?? (await startAggregator()))
        await aggregated()
        await persisted()
        const { lostLog = 0 } = await ledger()
        expect(lostLog).toBe(lost)
        expect(await requests()).toBe(5 - Math.max(0, place + beyond - 2))
      }
    })

    test('all of them, with none after: the ledger says so without waiting for one', async () => {
      await appendBurst(1)
      await aggregated()
      const place = await log.offsetAt('raw', 0, 'latest')
      await appendBurst(2)
      await appendBurst(3)
      log.truncate('raw', place + 2)
      const aggregator = await startAggregator()
      await readAll(aggregator)
      await readAll(aggregator)
      await persisted()
      // Both, and the tick before them, which nobody had closed.
      expect(await ledger()).toEqual({ received: 1, lostLog: 3 })
    })
  })

  describe('the topic aggregates', () => {
    test('recreated, is made again from raw, and nothing counts twice', async () => {
      for (let number = 0; number < 5; number++) {
        await appendBurst(number)
        await aggregated()
      }
      await persisted()
      const aggregator = await startAggregator()
      log.recreate('aggregates')
      await appendBurst(5)
      await tick()
      await expect(readAll(aggregator)).rejects.toMatchObject({ code: 'replaced' })
      await readAll(await startAggregator())
      await persisted()
      expect(await requests()).toBe(6)
      expect(await ledger()).toEqual({ received: 6 })
    })

    test('recreated, after raw was replaced, is refused until told what it is', async () => {
      await appendBurst(1)
      await aggregated()
      await persisted()
      log.recreate('raw')
      log.aheadMs += 1000
      await readAll(await startAggregator())
      await appendBurst(2)
      await aggregated()
      await persisted()
      log.recreate('aggregates')
      await appendBurst(3)
      await aggregated()
      const refusal = await persisted().catch((error: Error) => error.message)
      expect(refusal).toContain('has epoch 0, the database 1')
      const [, command = ''] = /still the same: (update .*)$/.exec(String(refusal)) ?? []
      await sql.unsafe(command)
      await persisted()
      expect(await requests()).toBe(3)
      expect(await ledger()).toEqual({ received: 3, logReplaced: 1 })
    })

    test('cut off at its end, is written again', async () => {
      for (let number = 0; number < 5; number++) {
        await appendBurst(number)
        await aggregated()
      }
      await persisted()
      log.cutEnd('aggregates', 2)
      await aggregated()
      await persisted()
      await appendBurst(5)
      await aggregated()
      await persisted()
      expect(await requests()).toBe(6)
      expect(await ledger()).toEqual({ received: 6 })
    })

    test('that lost records before they were persisted: both ends of the hole say so', async () => {
      await appendBurst(0)
      await aggregated()
      await persisted()
      const knownMs = log.nowMs - 2000
      log.aheadMs += 10 * MINUTE_MS
      const [place] = await sql`select next_from as "from" from shelf.progress`
      await appendBurst(1)
      await aggregated()
      const end = await log.offsetAt('aggregates', 0, 'latest')
      await appendBurst(2)
      await aggregated()
      log.truncate('aggregates', end)
      await persisted()
      const [first] = await chunks()
      expect(await requests()).toBe(2)
      const lost = (first?.from ?? 0) - place?.from
      expect(await ledger()).toEqual({ received: 2, lostLog: lost })
      const rows = await sql`
        select bucket, lost_log::int as n from shelf.ledger_1m where lost_log > 0 order by bucket`
      expect([...rows]).toEqual([
        { bucket: minuteOf(knownMs), n: 1 },
        { bucket: minuteOf(log.nowMs), n: lost - 1 },
      ])
    })

    test('of which a worker was told a wrong offset: what is there is read', async () => {
      await appendBurst(0)
      await aggregated()
      await persisted()
      await appendBurst(1)
      await aggregated()
      await appendBurst(2)
      await aggregated()
      await sql`update shelf.progress set next_offset = next_offset + 1`
      await persisted()
      expect(await requests()).toBe(3)
      expect(await ledger()).toEqual({ received: 3 })
    })
  })

  describe('more partitions', () => {
    test('are worked on by programs that run, and the ledger says so', async () => {
      const stop = new AbortController()
      const programs = [aggregateLog(log, stop.signal), persistLog(log, sql, stop.signal)]
      await appendBurst(1)
      log.aheadMs += 2000
      await log.append('raw', [{ value: '', partition: 0 }])
      await until('the first burst', async () => (await requests()) === 1)
      // As with a Kafka whose topic raw somebody extended, and no other.
      await log.createTopics({ raw: 3 })
      await until('aggregates to follow', async () => (await log.topics()).aggregates === 3)
      await log.append('raw', [
        { value: rawBurst({ number: 2, receivedAtMs: log.nowMs }), partition: 2 },
      ])
      log.aheadMs += 2000
      await log.append('raw', [
        { value: '', partition: 0 },
        { value: '', partition: 1 },
        { value: '', partition: 2 },
      ])
      await until('the burst of the new partition', async () => (await requests()) === 2)
      await until('the ledger', async () => ((await ledger()).repartitioned ?? 0) >= 3)
      const rows = await sql`select distinct app from shelf.ledger_1m where repartitioned > 0`
      // Of bursts just before, and of one that may have come before.
      expect([...rows].map(({ app }) => app).sort()).toEqual(['', 'shop'])
      const [stats] = await sql`
        select completeness from shelf.completeness c where app = 'shop' and bucket =
          (select max(bucket) from shelf.ledger_1m where repartitioned > 0)`
      expect(stats?.completeness ?? null).toBeNull()
      stop.abort()
      await Promise.allSettled(programs)
    })
  })
})

describe('more partitions of raw', () => {
  beforeEach(() => {
    log = new ChangingLog()
  })

  test('are known to who starts within 15 minutes, however much was written since', async () => {
    await appendBurst(1)
    await log.appendRaw('AAE=')
    const many = Array<string>(DEDUPE_OFFSETS / 16).fill('')
    for (let part = 0; part < 16; part++) await log.appendRaw(...many)
    await tick()
    await readAll(await startAggregator())
    log.aheadMs += 14 * MINUTE_MS
    await appendBurst(2)
    await aggregated()
    const last = (await chunks()).findLast(({ ledger }) => ledger.length > 0)
    expect(last?.ledger).toMatchObject([{ app: 'shop', received: 1, repartitioned: 1 }])
  })

  test('given when the broker starts, are marked in the log, once', async () => {
    await appendBurst(1)
    log.restart(3)
    log.restart(3)
    expect((await log.all('raw', 0)).map(({ value }) => value).slice(1)).toEqual(['AAE='])
    expect(await log.topics()).toEqual({ raw: 3, aggregates: 3, 'dead-letter': 3 })
    const partitions = new AggregatePartitions(log)
    expect(await partitions.count()).toBe(3)
    expect(await log.offsetAt('raw', 0, 'latest')).toBe(2)
  })

  test('that nobody can give to aggregates: those that both have are worked on', async () => {
    await log.createTopics({ raw: 3 })
    const before = await log.offsetAt('raw', 0, 'latest')
    const said: string[] = []
    const write = process.stderr.write
    process.stderr.write = (text) => said.push(String(text)) > 0
    try {
      const stubborn: Log = {
        topics: log.topics,
        read: log.read,
        offsetAt: log.offsetAt,
        append: log.append,
        createTopics: () => Promise.reject(new LogError('not-offered', 'not here')),
      }
      // However often it starts, and looks: that was said when it happened, or is not known.
      for (let start = 0; start < 3; start++) {
        const partitions = new AggregatePartitions(stubborn)
        expect([await partitions.count(), await partitions.count()]).toEqual([1, 1])
        expect(await log.offsetAt('raw', 0, 'latest')).toBe(before)
        expect(
          said
            .splice(0)
            .join('')
            .match(/give aggregates 3 partitions too/g)?.length,
        ).toBe(1)
      }
      // What it sees itself it marks, once.
      const partitions = new AggregatePartitions(stubborn)
      await partitions.count()
      await log.createTopics({ raw: 4 })
      const grown = await log.offsetAt('raw', 0, 'latest')
      expect([await partitions.count(), await partitions.count()]).toEqual([1, 1])
      expect(await log.offsetAt('raw', 0, 'latest')).toBe(grown + 1)
    } finally {
      process.stderr.write = write
    }
  })

  test('are said again by who follows one that died before aggregates had them', async () => {
    await log.createTopics({ raw: 2 })
    const dying: Log = {
      topics: log.topics,
      read: log.read,
      offsetAt: log.offsetAt,
      append: log.append,
      createTopics: async (wanted) => {
        if (wanted.aggregates === 2) throw new LogError('unreachable', 'killed')
      },
    }
    await expect(new AggregatePartitions(dying).count()).rejects.toThrow('killed')
    expect(await new AggregatePartitions(log).count()).toBe(2)
    // The first one is that of the broker.
    const marks = (await log.all('raw', 1)).map(({ value }) => value)
    expect(marks).toEqual(['AAE=', 'AAE=', 'AAE='])
  })
})

describe('a topic that is not there', () => {
  beforeEach(() => {
    log = new ChangingLog()
  })

  test('is looked for again soon, and a line says what is missing', async () => {
    const said: string[] = []
    const write = process.stderr.write
    process.stderr.write = (text) => said.push(String(text)) > 0
    const making = until('two lines', async () => said.length > 0).then(() =>
      log.createTopics({ late: 1 }),
    )
    const startMs = performance.now()
    try {
      await patiently('test', signal, async () => void (await log.read('late', 0, 0)))
      await making
    } finally {
      process.stderr.write = write
    }
    // What is no passing fault is tried again after 30 s.
    expect(performance.now() - startMs).toBeLessThan(20_000)
    expect(said).toEqual(['test: waiting, there is no topic late\n'])
  })
})

describe('migrate, on a log that has its topics', () => {
  const asked = process.env.SHELF_PARTITIONS
  beforeEach(async () => {
    log = new ChangingLog()
    await log.createTopics({ raw: 6, 'check-results': 2, rules: 2, deliveries: 2 })
  })
  afterEach(() => {
    if (asked === undefined) delete process.env.SHELF_PARTITIONS
    else process.env.SHELF_PARTITIONS = asked
  })

  test.each([
    ['', { raw: 6, aggregates: 6, 'dead-letter': 1, 'check-results': 6, rules: 2, deliveries: 2 }],
    ['4', { raw: 6, aggregates: 6, 'dead-letter': 4, 'check-results': 6, rules: 4, deliveries: 4 }],
    ['8', { raw: 8, aggregates: 8, 'dead-letter': 8, 'check-results': 8, rules: 8, deliveries: 8 }],
  ])(
    'grows what SHELF_PARTITIONS=%s asks for, aggregates and check-results as raw',
    async (partitions, counts) => {
      process.env.SHELF_PARTITIONS = partitions
      const before = await log.topics()
      const lines = Object.entries(counts)
        .filter(([topic, count]) => count > (before[topic] ?? 0))
        .map(([topic, count]) => `topic ${topic}: ${before[topic]} partitions, now ${count}`)
      expect(await migrateTopics(log, { dryRun: true })).toEqual(lines)
      expect(await log.topics()).toEqual(before)
      expect(await migrateTopics(log, { dryRun: false })).toEqual(lines)
      expect(await log.topics()).toEqual(counts)
      expect(await migrateTopics(log, { dryRun: false })).toEqual([])
    },
  )

  test('makes what is absent, with as many partitions as raw, and 4 where there is none', async () => {
    process.env.SHELF_PARTITIONS = ''
    const made: Record<string, number>[] = []
    const absent = (found: Record<string, number>): Log => ({
      topics: async () => found,
      read: log.read,
      offsetAt: log.offsetAt,
      append: log.append,
      createTopics: async (wanted) => void made.push({ ...wanted }),
    })
    await migrateTopics(absent({ raw: 6 }), { dryRun: false })
    await migrateTopics(absent({}), { dryRun: false })
    const all = (count: number) => ({
      ...{ raw: count, aggregates: count, 'dead-letter': count, 'check-results': count },
      rules: count,
      deliveries: count,
    })
    expect(made).toEqual([all(6), all(4)])
  })
})
