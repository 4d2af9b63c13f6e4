/**
 * How cost grows: what one line, request, row and question costs at 1, 10 and 100 times as many
 * apps, lines and minutes of history. Writes growth.svg beside this file. Cost by unit has to stay
 * flat; where it falls, it is a start's that is shared by more.
 */
import { persistRecords } from '../batch/persist-records.ts'
import type { RawRecord } from '../core/aggregate.ts'
import type { AggregateRecord } from '../core/aggregate-record.ts'
import { encodeBurst } from '../core/burst.ts'
import { Cells } from '../core/cell.ts'
import { cellsToWire } from '../core/cell-wire.ts'
import { timeToText } from '../db/schema.ts'
import { random } from '../test/generator.ts'
import { aggregate } from './aggregate.ts'
import { type Clock, cpuClock, medians } from './compare.ts'
import { makeBursts } from './events.ts'
import { plotGrowth, type Series } from './growth-plot.ts'
import { bodiesOf, LINE_EVERY_MS, routerMessages } from './lines.ts'
import { readOurs } from './parse-ways.ts'
import { type BenchPostgres, copyInto, openPostgres } from './postgres.ts'
import { makeMinute, makeRows } from './rows.ts'
import type { Figure } from './run.ts'

const TIMES = [1, 10, 100]

/** How much dearer a unit may become: measuring itself is off by a third. */
const GROWN_MAX = 1.5

/** For each measurement, all sizes in turn. */
const FOR_MS = 4000

const LINES = 1000
const LINES_A_BODY = 100
const APPS = 10
const REQUESTS = 20_000
const HOUR_MINUTES = 60
const REQUESTS_A_MINUTE = 5
const DAY_MS = 86_400_000

export async function benchGrowth(): Promise<Figure[]> {
  const series = [
    await growParse(),
    await growFold('requests', (times) => ({ apps: APPS, requests: REQUESTS * times })),
    await growFold('apps', (times) => ({ apps: APPS * times, requests: REQUESTS * 10 })),
    ...(await growRows('apps', (times) => ({ apps: APPS * times, hours: 1 }))),
    ...(await growRows('history', (times) => ({ apps: APPS, hours: times }))),
  ]
  await Bun.write(`${import.meta.dir}/growth.svg`, plotGrowth(series, TIMES))
  return series.map(({ name, unit, costs: [first = 0, , last = 0] }) => ({
    name: `growth of ${name}, 1 to 100 times`,
    unit,
    ours: Number(last.toPrecision(3)),
    theirs: Number(first.toPrecision(3)),
    ratio: Number((last / first).toFixed(2)),
    target: `at 100 times at most ${GROWN_MAX} of what it is at 1`,
    met: last <= first * GROWN_MAX,
  }))
}

/** What runs take, ms, at each of TIMES. In turn: what disturbs one disturbs the others as well. */
async function timesOf(runs: readonly (() => unknown)[], clock?: Clock): Promise<number[]> {
  const ways = Object.fromEntries(runs.map((run, i) => [String(i), run]))
  const took = await medians(ways, { forMs: FOR_MS, runsMin: 5, ...(clock && { clock }) })
  return runs.map((_, i) => took[String(i)] ?? Number.NaN)
}

/**
 * The same of computing, ns a unit: who has few units does them as often as it takes to be as many,
 * so that all bear an equal share of what the runtime does beside it.
 */
async function nsOf(runs: readonly (() => unknown)[], units: readonly number[]): Promise<number[]> {
  const most = Math.max(...units)
  const equal = runs.map((run, i) => async () => {
    for (let done = 0; done < most; done += units[i] ?? most) await run()
  })
  return (await timesOf(equal, cpuClock)).map((ms) => (ms * 1e6) / most)
}

async function growParse(): Promise<Series> {
  const nowMs = Date.now()
  const lines = TIMES.map((times) => LINES * times)
  // The last one is of now: what is of the future is another matter.
  const bodies = lines.map((n) =>
    bodiesOf(routerMessages(n, 1, nowMs - n * LINE_EVERY_MS), LINES_A_BODY),
  )
  const costs = await nsOf(
    bodies.map((body) => () => readOurs(body, nowMs)),
    lines,
  )
  return { name: 'parse, lines', unit: 'ns a line', costs }
}

interface FoldSize {
  apps: number
  requests: number
}

/** Of more requests or apps the rate is the same, so that there is more log time of more requests. */
async function growFold(name: string, sizeOf: (times: number) => FoldSize): Promise<Series> {
  const sizes = TIMES.map(sizeOf)
  const logs = sizes.map(recordsOf)
  const costs = await nsOf(
    logs.map((records) => () => aggregate(records)),
    sizes.map(({ requests }) => requests),
  )
  return { name: `aggregate, ${name}`, unit: 'ns a request', costs }
}

function recordsOf({ apps, requests }: FoldSize): RawRecord[] {
  const sinceMs = Date.UTC(2026, 0, 1)
  const bursts = makeBursts({ apps, requests, rate: REQUESTS, seed: 1, sinceMs })
  return [...bursts].map((burst, offset) => {
    const value = encodeBurst(burst)
    return { offset, timestamp: burst.receivedAtMs, key: burst.app, value }
  })
}

/** Of how many apps, and of how many hours of minutes. */
interface RowsSize {
  apps: number
  hours: number
}

/** The last hour of one app is asked for, and a minute of all is persisted. */
async function growRows(name: string, sizeOf: (times: number) => RowsSize): Promise<Series[]> {
  const filled: Filled[] = []
  try {
    for (const times of TIMES) filled.push(await openFilled(sizeOf(times)))
    const queryMs = await timesOf(filled.map((database) => () => askHour(database)))
    const persistMs = await timesOf(filled.map((database) => () => persistMinute(database)))
    const persistUs = filled.map(({ apps }, i) => ((persistMs[i] ?? Number.NaN) * 1000) / apps)
    return [
      { name: `persist, ${name}`, unit: 'µs a row', costs: persistUs },
      { name: `query, ${name}`, unit: 'ms an hour', costs: queryMs },
    ]
  } finally {
    for (const { server } of filled) await server.stop()
  }
}

async function askHour({ server: { sql }, untilMs }: Filled): Promise<void> {
  const [since, until] = [timeToText(untilMs - 3_600_000), timeToText(untilMs)]
  const rows = await sql`
    select * from shelf.request_stats('bench-3', ${since}, ${until}, '1 minute')`
  if (rows.length !== HOUR_MINUTES) throw new Error(`an hour of ${rows.length} minutes`)
}

async function persistMinute(database: Filled): Promise<void> {
  const { server, apps, untilMs } = database
  const bucketMs = untilMs + database.minute++ * 60_000
  const record = recordOf(apps, bucketMs, database.minute)
  await persistRecords(server.sql, 0, [record], { ifLeased: 'wait' })
}

function recordOf(apps: number, bucketMs: number, number: number): AggregateRecord {
  const cells = new Cells()
  const next = random(number)
  for (let app = 0; app < apps; app++) {
    cells.mergeRequestCell(makeMinute(`bench-${app}`, bucketMs, REQUESTS_A_MINUTE, next))
  }
  return {
    ...{ version: 1, partition: 0, epoch: 0, begin: 0, from: number - 1, to: number },
    ...{ part: 0, parts: 1, watermark: timeToText(bucketMs), ledger: [] },
    cells: cellsToWire(cells),
  }
}

interface Filled {
  server: BenchPostgres
  apps: number
  untilMs: number
  /** How many were persisted behind it. */
  minute: number
}

/** Minutes up to a while ago. */
async function openFilled({ apps, hours }: RowsSize): Promise<Filled> {
  const server = await openPostgres({ settings: { fsync: 'off' } })
  const { sql } = server
  const untilMs = (Math.floor(Date.now() / DAY_MS) - 1) * DAY_MS + DAY_MS / 2
  const minutes = HOUR_MINUTES * hours
  const sinceMs = untilMs - minutes * 60_000
  const [from, to] = [sinceMs, untilMs + DAY_MS].map((ms) => timeToText(ms).slice(0, 10))
  await sql`select shelf.make_partitions(${from ?? ''}::date, ${to ?? ''}::date)`
  await sql`create table public.filled (like shelf.requests_1m)`
  const rows = makeRows(apps, sinceMs, minutes, REQUESTS_A_MINUTE)
  await copyInto(sql, 'filled', Buffer.from([...rows].join('')))
  await sql`insert into shelf.requests_1m select * from public.filled`
  await sql`drop table public.filled`
  await sql`vacuum analyze shelf.requests_1m`
  await sql`insert into shelf.progress (partition) values (0)`
  return { server, apps, untilMs, minute: 0 }
}
