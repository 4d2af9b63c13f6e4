/**
 * Random histories of a log against a model of it: bursts, resends, bursts that come late, crashes,
 * two workers, truncation. The rows must be what the rules say of the records, by brute force.
 */
import { expect, test } from 'bun:test'
import fc from 'fast-check'
import { AggregateWorker } from '../batch/aggregate-worker.ts'
import { migrate } from '../batch/migrate.ts'
import { PersistWorker } from '../batch/persist-worker.ts'
import { LogError } from '../broker/error.ts'
import { REPARTITIONED } from '../core/control.ts'
import { connect, type Sql } from '../db/client.ts'
import { rawBurst } from './bursts.ts'
import { ChangingLog } from './changing-log.ts'
import { onEachPostgres } from './sql-server.ts'

const MINUTE_MS = 60_000
const STEP_MS = 2000
const RETENTION_MS = 30 * MINUTE_MS
const RUNS = 40

/** The rules, said once more: the design's numbers, not the program's constants. */
const WINDOW_MS = 15 * MINUTE_MS
const LATE_MS = MINUTE_MS
const SKEW_MS = MINUTE_MS

interface Entry {
  offset: number
  timestamp: number
  number: number
  receivedAtMs: number
  lostL10: number
  fate: 'kept' | 'deleted' | 'lost'
}

/** A record that says that raw got more partitions. */
type Growth = Pick<Entry, 'timestamp' | 'offset' | 'fate'>

/** The log as it should be understood. */
class Model {
  readonly entries: Entry[] = []
  readonly growths: Growth[] = []
  readonly counts = new Map<string, number>()
  numbers = 0

  /** A burst came: does it count? */
  add(entry: Omit<Entry, 'fate'>): void {
    const isLate = entry.timestamp - entry.receivedAtMs > LATE_MS
    const before = this.entries.filter(
      ({ number, timestamp, fate }) =>
        number === entry.number &&
        fate === 'kept' &&
        (entry.timestamp - timestamp <= WINDOW_MS ||
          (isLate && timestamp >= entry.receivedAtMs - SKEW_MS)),
    )
    const known = Math.max(0, ...before.map(({ lostL10 }) => lostL10))
    this.entries.push({ ...entry, fate: 'kept' })
    const minute = Math.floor(entry.receivedAtMs / MINUTE_MS)
    this.count(minute, 'received', 1)
    this.count(minute, before.length === 0 ? 'requests' : 'duplicates', 1)
    this.count(minute, 'lostL10', Math.max(0, entry.lostL10 - known))
    const isUnsure = this.growths.some(
      ({ timestamp, fate }) =>
        fate === 'kept' &&
        (entry.timestamp - timestamp <= WINDOW_MS ||
          (isLate && timestamp >= entry.receivedAtMs - SKEW_MS)),
    )
    if (isUnsure && before.length === 0) this.count(minute, 'repartitioned', 1)
  }

  /** All that is not kept any more, from an offset on. */
  forget(offset = 0): void {
    for (const each of [...this.entries, ...this.growths]) {
      if (each.offset >= offset) each.fate = 'deleted'
    }
  }

  /** Something stands at both ends, if those are not in one minute. */
  countBoth(beforeMs: number, nextMs: number, what: string, by: [before: number, next: number]) {
    const [before, next] = [beforeMs, nextMs].map((ms) => Math.floor(ms / MINUTE_MS))
    if (before !== next) this.count(before ?? 0, what, by[0])
    this.count(next ?? 0, what, by[1])
  }

  count(minute: number, what: string, by: number): void {
    const key = `${what} ${minute}`
    if (by > 0) this.counts.set(key, (this.counts.get(key) ?? 0) + by)
  }
}

/** The programs on one partition of a log. */
class Real {
  readonly log = new ChangingLog({ retentionMs: RETENTION_MS })
  readonly aggregators: (AggregateWorker | undefined)[] = []
  readonly persisters: (PersistWorker | undefined)[] = []
  private readonly signal = new AbortController().signal

  constructor(private readonly sql: Sql) {}

  /** Until all is read. Who finds the log replaced starts anew, as it does in `patiently`. */
  async aggregate(slot: number): Promise<void> {
    const worker = this.aggregators[slot] ?? (await AggregateWorker.start(this.log, 0))
    this.aggregators[slot] = worker
    try {
      while ((await worker.step(this.signal, 0)) > 0);
    } catch (error) {
      if (!(error instanceof LogError && error.code === 'replaced')) throw error
      this.aggregators[slot] = undefined
      await this.aggregate(slot)
    }
  }

  /** Until all is read. It refuses a log that was replaced until aggregate has written so. */
  async persist(slot: number): Promise<void> {
    const worker = this.persisters[slot] ?? (await PersistWorker.start(this.log, this.sql, 0))
    this.persisters[slot] = worker
    try {
      while ((await worker.step(this.signal, 0)) > 0);
    } catch (error) {
      if (!(error instanceof Error && error.message.includes('is not the log'))) throw error
      this.persisters[slot] = undefined
    }
  }

  async tick(): Promise<number> {
    this.log.aheadMs += STEP_MS
    const [tick] = await this.log.appendRaw('')
    return tick?.offset ?? 0
  }

  async burst(burst: Pick<Entry, 'number' | 'receivedAtMs' | 'lostL10'>) {
    const [at] = await this.log.appendRaw(rawBurst(burst))
    if (at === undefined) throw new Error('nothing was appended')
    return { ...burst, offset: at.offset, timestamp: at.timestamp }
  }

  /**
   * All that was appended is aggregated and persisted, also by the workers that are alive; returns
   * the offset of the tick that is last. Who finds the log replaced appends one too: hence twice.
   */
  async settle(): Promise<number> {
    let tick = 0
    for (let round = 0; round < 2; round++) {
      tick = await this.tick()
      for (const slot of [0, 1]) await this.aggregate(slot)
    }
    await this.persist(0)
    return tick
  }

  async timeOf(offset: number): Promise<number> {
    const [record] = await this.log.read('raw', 0, offset)
    return record?.timestamp ?? 0
  }

  /** What the rows say, as the model counts it. */
  async counts(): Promise<Map<string, number>> {
    const rows = await this.sql<{ what: string; bucket: Date; n: number }[]>`
      select 'requests' as what, bucket, sum(requests)::bigint as n from shelf.requests_1m
        group by bucket
      union all
      select what, bucket, sum(n)::bigint from shelf.ledger_1m, lateral (values
        ('received', received), ('duplicates', duplicates), ('lostL10', lost_l10),
        ('lostLog', lost_log), ('logReplaced', log_replaced),
        ('repartitioned', repartitioned)) counts (what, n)
        where n > 0 group by what, bucket`
    return new Map(
      rows.map(({ what, bucket, n }) => [`${what} ${bucket.getTime() / MINUTE_MS}`, n]),
    )
  }
}

type Command = fc.AsyncCommand<Model, Real>

const command = (name: string, run: (model: Model, real: Real) => Promise<void>): Command => ({
  check: () => true,
  run,
  toString: () => name,
})

/** What happens every day. */
const common = [
  fc.tuple(fc.constantFrom(0, 0, 0, 700), fc.nat(3)).map(([lostL10, ageS]) =>
    command(`append(${lostL10}, ${ageS})`, async (model, real) => {
      const number = model.numbers++
      const receivedAtMs = real.log.nowMs - ageS * 1000
      model.add(await real.burst({ number, receivedAtMs, lostL10 }))
    }),
  ),
  fc.tuple(fc.nat(), fc.constantFrom(0, 0, 500, 900)).map(([nth, lostL10]) =>
    command(`duplicate(${nth}, ${lostL10})`, async (model, real) => {
      const number = model.entries[nth % model.entries.length]?.number
      if (number === undefined) return
      model.add(await real.burst({ number, receivedAtMs: real.log.nowMs, lostL10 }))
    }),
  ),
  // Spooled, and produced when minutes or hours have passed: that burst, or one that never came.
  fc
    .tuple(fc.nat(), fc.integer({ min: 0, max: 300 }), fc.boolean(), fc.constantFrom(0, 800))
    .map(([nth, minutes, isNew, lostL10]) =>
      command(`late(${nth}, ${minutes}, ${isNew}, ${lostL10})`, async (model, real) => {
        const tried = model.entries[nth % model.entries.length]
        const first =
          isNew || tried === undefined
            ? { number: model.numbers++, receivedAtMs: real.log.nowMs }
            : { number: tried.number, receivedAtMs: tried.receivedAtMs }
        real.log.aheadMs += minutes * MINUTE_MS
        model.add(await real.burst({ ...first, lostL10 }))
      }),
    ),
  fc.nat(1000).map((seconds) =>
    command(`pass(${seconds})`, async (_model, real) => {
      real.log.aheadMs += seconds * 1000
    }),
  ),
  fc.constant(command('tick', async (_model, real) => void (await real.tick()))),
  fc.nat(1).map((slot) => command(`aggregate(${slot})`, (_model, real) => real.aggregate(slot))),
  fc.nat(1).map((slot) => command(`persist(${slot})`, (_model, real) => real.persist(slot))),
  fc.constantFrom([0], [1], [0, 1]).map((slots) =>
    command(`crash(${slots})`, async (_model, real) => {
      for (const slot of slots) {
        real.aggregators[slot] = undefined
        real.persisters[slot] = undefined
      }
    }),
  ),
]

/** What happens to the log itself. */
const rare = [
  fc.constant(
    command('more partitions', async (model, real) => {
      const [at] = await real.log.appendRaw(REPARTITIONED)
      if (at === undefined) throw new Error('nothing was appended')
      model.growths.push({ ...at, fate: 'kept' })
      const minute = Math.floor(at.timestamp / MINUTE_MS)
      for (const each of [minute - 1, minute]) model.count(each, 'repartitioned', 1)
    }),
  ),
  fc.constant(
    command('truncate behind the place', async (model, real) => {
      await real.settle()
      await real.log.forget()
      model.forget()
      // Whoever is alive sees its tick gone, and closes its chunk with another.
      for (const slot of [0, 1, 0, 1]) await real.aggregate(slot)
    }),
  ),
  // Nobody looks while bursts come, and are deleted. Who is alive has read the tick before them.
  fc.tuple(fc.integer({ min: 1, max: 3 }), fc.nat(1), fc.boolean()).map(([n, slot, isAlive]) =>
    command(`truncate before the place(${n}, ${slot}, ${isAlive})`, async (model, real) => {
      const tick = await real.settle()
      const known = isAlive ? tick : tick - 1
      const knownMs = await real.timeOf(known)
      for (let i = 0; i < n; i++) {
        const number = model.numbers++
        await real.burst({ number, receivedAtMs: real.log.nowMs, lostL10: 0 })
      }
      await real.log.forget()
      model.forget()
      const number = model.numbers++
      const next = await real.burst({ number, receivedAtMs: real.log.nowMs, lostL10: 0 })
      model.add(next)
      const lost = next.offset - known - 1
      // Half an hour passed, so the ends are not in one minute.
      const first = lost < 2 ? 0 : 1
      model.countBoth(knownMs, next.timestamp, 'lostLog', [first, lost - first])
      if (!isAlive) real.aggregators[slot] = undefined
      await real.aggregate(slot)
    }),
  ),
  fc.nat(1).map((slot) =>
    command(`recreate raw(${slot})`, async (model, real) => {
      const knownMs = await real.timeOf((await real.settle()) - 1)
      real.log.recreate('raw')
      model.forget()
      real.log.aheadMs += 1000
      // A log of which nothing was aggregated is no loss.
      const isKnown = (await real.log.offsetAt('aggregates', 0, 'latest')) > 0
      if (isKnown) model.countBoth(knownMs, real.log.nowMs, 'logReplaced', [1, 1])
      await real.aggregate(slot)
    }),
  ),
  // What is cut off was aggregated; what is left is not to be aggregated again.
  fc.tuple(fc.nat(), fc.nat(1)).map(([nth, slot]) =>
    command(`cut the end(${nth}, ${slot})`, async (model, real) => {
      const tick = await real.settle()
      const earliest = await real.log.offsetAt('raw', 0, 'earliest')
      const end = earliest + (nth % (tick - earliest + 1))
      const knownMs = await real.timeOf(tick - 1)
      real.log.cutEnd('raw', end)
      real.log.aheadMs += 1000
      model.forget(end)
      // The tick alone was not aggregated yet: nobody misses it.
      if (end < tick) model.countBoth(knownMs, real.log.nowMs, 'logReplaced', [1, 1])
      await real.aggregate(slot)
    }),
  ),
]

const arbitraryCommands = fc.commands([...common, ...common, ...rare], {
  maxCommands: 40,
  size: 'max',
})

onEachPostgres((newDatabase) => {
  test('whatever happens to workers and log, the rows are what the records say', async () => {
    const url = await newDatabase()
    await migrate(url)
    const sql = connect(url, { max: 2 })
    await fc.assert(
      fc.asyncProperty(arbitraryCommands, async (commands) => {
        await sql`truncate shelf.requests_1m, shelf.ledger_1m, shelf.progress`
        const model = new Model()
        const real = new Real(sql)
        try {
          await fc.asyncModelRun(() => ({ model, real }), commands)
          await real.settle()
          expect(new Map([...(await real.counts())].sort())).toEqual(
            new Map([...model.counts].sort()),
          )
        } finally {
          real.log.close()
        }
      }),
      { numRuns: RUNS },
    )
    await sql.end()
  }, 60_000)
})
