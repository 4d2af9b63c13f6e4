/** Check on a log: workers that die, two at once, PostgreSQL away; in the log's time, not in ours. */
import { afterAll, beforeAll, expect, test } from 'bun:test'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { appendAll } from '../batch/append.ts'
import { parseCheckRecord } from '../batch/check-results.ts'
import { persistCheckResults } from '../batch/check-rows.ts'
import { CheckWorker } from '../batch/check-worker.ts'
import { migrate } from '../batch/migrate.ts'
import { RuleLog } from '../batch/rule-log.ts'
import { RulePublisher } from '../batch/rule-publish.ts'
import { AGGREGATES, CHECK_RESULTS, RULES } from '../batch/topics.ts'
import { EmbeddedLog } from '../broker/embedded.ts'
import type { AggregateRecord } from '../core/aggregate-record.ts'
import { checkpointOf } from '../core/check-make.ts'
import type { CheckRecord } from '../core/check-result.ts'
import { partitionOf } from '../core/partition.ts'
import { ruleSchema } from '../core/rule.ts'
import { connect } from '../db/client.ts'
import { change, deleteRule, listRules, saveRule, saveSilence } from '../db/rules.ts'
import { type PostgresServer, startPostgres } from '../db/server.ts'
import { at, check, History, results, START_MS, words } from './check-history.ts'
import { freePort } from './sql-server.ts'
import { until } from './stack.ts'

const MINUTES = 40
const never = new AbortController().signal
const folder = mkdtempSync(join(tmpdir(), 'shelf-check-'))
const open: EmbeddedLog[] = []
let logs = 0

afterAll(async () => {
  for (const log of open) await log.close()
  rmSync(folder, { recursive: true, force: true })
})

/** A log whose clock the test sets, in which checking begins with the history. */
class TimedLog {
  nowMs = START_MS - 1
  readonly log: EmbeddedLog

  constructor() {
    logs += 1
    const topics = ['raw', AGGREGATES, CHECK_RESULTS, RULES, 'dead-letter']
    this.log = new EmbeddedLog({
      folder: join(folder, String(logs)),
      topics: Object.fromEntries(topics.map((topic) => [topic, { partitions: 1 }])),
      wallMs: () => this.nowMs,
      elapsedMs: () => this.nowMs,
    })
    open.push(this.log)
  }

  async begin(partition = 0, partitions = 1): Promise<void> {
    const moment = { partition, untilMs: START_MS, watermarkMs: START_MS }
    await this.append(CHECK_RESULTS, checkpointOf(moment, partitions), partition)
  }

  async append(topic: string, value: object, partition = 0): Promise<void> {
    await this.log.append(topic, [{ partition, value: JSON.stringify(value) }])
  }

  async aggregate(record: AggregateRecord): Promise<void> {
    this.nowMs = Math.max(this.nowMs, Date.parse(record.watermark) + 50)
    await this.append(AGGREGATES, record, record.partition)
  }

  worker(partition = 0, partitions = 1): Promise<CheckWorker> {
    return CheckWorker.start(this.log, new RuleLog(this.log), partition, partitions)
  }

  async records(partition = 0): Promise<CheckRecord[]> {
    const found: CheckRecord[] = []
    for (let next = 0; ; ) {
      const records = await this.log.read(CHECK_RESULTS, partition, next)
      if (records.length === 0) return found
      for (const record of records) {
        const result = parseCheckRecord(record)
        if (result !== undefined) found.push(result)
        next = record.offset + 1
      }
    }
  }
}

function eventfulHistory(): History {
  const slow = { metric: 'max', threshold: 1000, windowMinutes: 3, recoveryMinutes: 4 }
  const history = new History().rule({ ...slow, id: 'slow', reminderMinutes: 5 })
  history.rule({ ...slow, id: 'silent', metric: 'no-data' }).minutes(0, 39, { app: 'other' })
  for (let m = 0; m < 40; m++) {
    if (m < 20 || m > 24) history.minute(m, { serviceMs: m % 11 < 4 ? 3000 : 100 })
  }
  return history.deploy(8).ledger(13, { lostL10: 900 })
}

test('workers that die at any time, and two at once, say nothing that one would not have said', async () => {
  const history = eventfulHistory()
  const expected = check(history, MINUTES)
  const timed = new TimedLog()
  for (const { timestampMs, ...rule } of history.rules) await timed.append(RULES, rule)
  await timed.begin()
  let workers = [await timed.worker(), await timed.worker()]
  let steps = 0
  for (const record of history.until(MINUTES)) {
    await timed.aggregate(record)
    steps += 1
    // One of them reads now, the other one when it comes to it.
    await workers[steps % 2]?.step(never, 0)
    if (steps % 13 === 0) workers = [await timed.worker(), workers[1] ?? (await timed.worker())]
    if (steps % 29 === 0) workers = [workers[1] ?? (await timed.worker()), await timed.worker()]
  }
  for (const worker of workers) while ((await worker.step(never, 0)) > 0);
  const written = (await timed.records()).slice(1)
  const first = new Map(written.map((record) => [record.key, record]))
  expect(results(expected).length).toBeGreaterThan(10)
  expect([...first.keys()].sort()).toEqual(expected.map(({ key }) => key).sort())
  for (const record of written) expect(record).toEqual(first.get(record.key) as CheckRecord)
  for (const record of results(expected)) expect(first.get(record.key)).toEqual(record)
})

test('a worker alone that is killed after each step says everything exactly once', async () => {
  const history = eventfulHistory()
  const timed = new TimedLog()
  for (const { timestampMs, ...rule } of history.rules) await timed.append(RULES, rule)
  await timed.begin()
  for (const record of history.until(25)) {
    await timed.aggregate(record)
    const worker = await timed.worker()
    while ((await worker.step(never, 0)) > 0);
  }
  const keys = (await timed.records()).slice(1).map(({ key }) => key)
  expect(keys).toEqual(check(history, 25).map(({ key }) => key))
})

test('where the log gets more partitions an app moves with its incident, and is not missed', async () => {
  // Apps of the first of two partitions that become the second of three, and one that was there.
  const named = (from: number, to: number): string =>
    Array.from({ length: 99 }, (_, i) => `app-${i}`).find(
      (app) => partitionOf(app, 2) === from && partitionOf(app, 3) === to,
    ) ?? ''
  const [app, other] = [named(0, 1), named(1, 1)]
  const apps = { apps: [app, other], windowMinutes: 1 }
  const all = new History()
    .rule({ ...apps, id: 'slow', metric: 'p95', threshold: 1000 })
    .rule({ ...apps, id: 'silent', metric: 'no-data' })
  const before = new History().minutes(0, 3, { app }).minutes(4, 13, { app, serviceMs: 2000 })
  const after = new History().minutes(0, 23, { app: other })
  after.ledger(13, { repartitioned: 1 }, '').ledger(14, { repartitioned: 1 }, '')
  after.minutes(14, 20, { app, serviceMs: 2000 }).minutes(21, 23, { app })
  const timed = new TimedLog()
  await timed.log.createTopics({ raw: 3, [AGGREGATES]: 2, [CHECK_RESULTS]: 2 })
  for (const { timestampMs, ...rule } of all.rules) await timed.append(RULES, rule)
  for (const partition of [0, 1]) await timed.begin(partition, 2)
  const workers = [await timed.worker(0, 2), await timed.worker(1, 2)]
  const records = [
    ...before.until(14),
    ...after.until(23).map((record) => ({ ...record, partition: 1 })),
  ].sort((a, b) => Date.parse(a.watermark) - Date.parse(b.watermark))
  let isGrown = false
  for (const record of records) {
    await timed.aggregate(record)
    if (!isGrown && Date.parse(record.watermark) > at(14, 20)) {
      isGrown = true
      await timed.log.createTopics({ [AGGREGATES]: 3, [CHECK_RESULTS]: 3 })
      workers.splice(0, 2, await timed.worker(0, 3), await timed.worker(1, 3))
    }
    // Who starts behind the next checkpoint knows no less.
    if (Date.parse(record.watermark) === at(20, 7)) workers[1] = await timed.worker(1, 3)
    for (const worker of workers) while ((await worker.step(never, 0)) > 0);
  }
  const said = [...(await timed.records(0)), ...(await timed.records(1))]
  const changes = results(said).filter(({ kind }) => kind === 'change')
  const wordsOf = (name: string) => words(changes.filter((result) => result.app === name))
  expect(wordsOf(other)).toEqual([
    '03:14 +5s unknown null (was ok)',
    '03:14 +5s unknown null (was ok)',
    '03:16 +5s ok 100 (was unknown)',
    '03:16 +5s ok 100 (was unknown)',
  ])
  expect(wordsOf(app)).toEqual([
    '03:05 +5s firing 2000 (was ok)',
    '03:15 +5s unknown null (was ok)',
    '03:15 +5s unknown null (was firing)',
    '03:16 +5s ok 100 (was unknown)',
    '03:16 +5s firing 2000 (was unknown)',
    '03:22 +5s ok 100 (was firing)',
  ])
  const incidents = new Set(changes.map(({ incident }) => incident))
  expect([...incidents].filter((incident) => incident !== null)).toHaveLength(1)
})

test('rules are read from the log, also after they were copied, and a deleted one ends', async () => {
  const timed = new TimedLog()
  const rules = new RuleLog(timed.log)
  const [rule] = new History().rule({ metric: 'p95', threshold: 1000, windowMinutes: 1 }).rules
  if (rule === undefined) throw new Error('there is a rule')
  const { timestampMs, ...record } = rule
  await timed.append(RULES, record)
  await rules.refresh()
  timed.nowMs += 86_400_000
  expect(rules.copiesBefore(timed.nowMs)).toEqual([
    { ...record, since: new Date(START_MS - 1).toISOString() },
  ])
  for (const copy of rules.copiesBefore(timed.nowMs)) await timed.append(RULES, copy)
  await rules.refresh()
  expect(rules.entries.length).toBe(1)
  expect(rules.copiesBefore(timed.nowMs)).toEqual([])
  await timed.append(RULES, { ...record, revision: record.revision + 1, rule: null })
  await rules.refresh()
  expect(rules.copiesBefore(timed.nowMs + 1)).toEqual([])
})

test('rules that were in a topic which was made anew are copied there at once', async () => {
  const timed = new TimedLog()
  const other = new TimedLog()
  let log = timed.log
  const rules = new RuleLog({
    topics: () => log.topics(),
    createTopics: (wanted) => log.createTopics(wanted),
    append: (...args) => log.append(...args),
    offsetAt: (...args) => log.offsetAt(...args),
    read: (...args) => log.read(...args),
  })
  const [rule] = new History().rule({ metric: 'p95', threshold: 1000 }).rules
  await timed.append(RULES, rule ?? {})
  await rules.refresh()
  expect(rules.copiesBefore(START_MS - 3_600_000)).toEqual([])
  log = other.log
  await rules.refresh()
  expect(rules.copiesBefore(START_MS - 3_600_000).map(({ id }) => id)).toEqual(['r'])
})

let server: PostgresServer
let port: number
const start = (): Promise<PostgresServer> =>
  startPostgres({ dataDir: join(folder, 'pg'), port, password: 'test', settings: { fsync: 'off' } })

beforeAll(async () => {
  port = await freePort()
  server = await start()
  await migrate(server.url)
}, 120_000)
afterAll(() => server.stop())

test('while PostgreSQL is down for ten minutes check decides on, also after a restart; rows come after', async () => {
  const timed = new TimedLog()
  const sql = connect(server.url, { max: 3 })
  const stop = new AbortController()
  const rule = ruleSchema.parse({
    ...{ id: 'slow', apps: ['demo'], metric: 'max', threshold: 1000, windowMinutes: 1 },
    ...{ reminderMinutes: 5, notify: ['log:'] },
  })
  await change(sql, async (transaction) => {
    await saveRule(transaction, rule)
    await saveRule(transaction, { ...rule, id: 'gone' })
    await deleteRule(transaction, 'gone')
    const [since, until] = [at(30), at(31)].map((ms) => new Date(ms).toISOString())
    const words = { author: 'kim', reason: 'move', since: since ?? '', until: until ?? '' }
    await saveSilence(transaction, { id: 's', app: 'demo', rule: null, ...words })
  })
  const publisher = new RulePublisher(timed.log, sql)
  expect(await publisher.step()).toBe(3)
  expect(await publisher.step()).toBe(0)
  // A new database: the log has the rules, so it gets them back, as they were.
  const before = [await listRules(sql), await sql`select id, revision, app from shelf.silences`]
  await sql`delete from shelf.rules`
  await sql`delete from shelf.silences`
  expect(await new RulePublisher(timed.log, sql).step()).toBe(0)
  const after = [await listRules(sql), await sql`select id, revision, app from shelf.silences`]
  expect(after.map((rows) => [...rows])).toEqual(before.map((rows) => [...rows]))
  expect(before[0]).toHaveLength(1)
  await timed.begin()
  // Of a topic that had more partitions: nobody is at them, and nobody waits for them.
  await sql`insert into shelf.check_progress (partition, decided_until) values (99, ${new Date(0)})`
  const rows = persistCheckResults(timed.log, sql, stop.signal)
  const history = new History().minutes(0, 4, {}).minutes(5, 16, { serviceMs: 3000 })
  history.minutes(17, 29, {}).minute(30, { serviceMs: 3000 })
  let worker = await timed.worker()
  const push = async (from: number, to: number): Promise<void> => {
    const isNow = ({ watermark }: AggregateRecord): boolean =>
      Date.parse(watermark) >= at(from) && Date.parse(watermark) < at(to)
    for (const record of history.until(33).filter(isNow)) {
      await timed.aggregate(record)
      while ((await worker.step(never, 0)) > 0);
    }
  }
  await push(0, 7)
  await until('the first row', async () => (await sql`select from shelf.incidents`).length > 0)
  await server.stop()
  await push(7, 12)
  worker = await timed.worker()
  await push(12, 17)
  server = await start()
  await push(17, 33)
  expect(words((await timed.records()).slice(1))).toEqual([
    '03:06 +5s firing 3000 (was ok)',
    '03:11 +5s firing 3000 (reminder)',
    '03:16 +5s firing 3000 (reminder)',
    '03:18 +5s ok 100 (was firing)',
    '03:31 +5s firing 3000 (was ok)',
  ])
  const found = await until('all rows', async () => {
    const rows = await sql`
      select state, reminders, started_at, ended_at, time_to_detect as detect, first_value
      from shelf.incidents order by started_at`
    return rows.length === 2 && rows
  })
  expect(found.map((row) => ({ ...row }))).toEqual([
    {
      ...{ state: 'ok', reminders: 2, started_at: new Date(at(6)), ended_at: new Date(at(18)) },
      ...{ detect: '00:01:05', first_value: 3000 },
    },
    {
      ...{ state: 'firing', reminders: 0, started_at: new Date(at(31)), ended_at: null },
      ...{ detect: '00:01:05', first_value: 3000 },
    },
  ])
  expect((await sql`select from shelf.check_results`).length).toBe(5)
  const [last] = await sql<{ until: Date; partitions: number }[]>`
    select max(decided_until) as until, max(partition) as partitions from shelf.check_progress`
  expect(last?.until.getTime()).toBeGreaterThanOrEqual(at(31))
  expect(last?.partitions).toBeLessThan(99)
  stop.abort()
  await rows
  await sql.end()
}, 120_000)

test('records of any number and length are appended in their order, as many as a request holds', async () => {
  const sizes: number[] = []
  const timed = new TimedLog()
  const log: Pick<EmbeddedLog, 'append'> = {
    append: (topic, records) => {
      sizes.push(records.length)
      return timed.log.append(topic, records)
    },
  }
  const long = ['a', 'b', 'c', 'd'].map((c) => ({ partition: 0, value: c.repeat(900_000) }))
  const short = Array.from({ length: 2500 }, (_, i) => ({ partition: 0, value: String(i) }))
  await appendAll(log, RULES, [...long, ...long, ...short])
  expect(sizes).toEqual([4, 1000, 1000, 504])
  expect(await timed.log.offsetAt(RULES, 0, 'latest')).toBe(2508)
})
