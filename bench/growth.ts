/**
 * How cost grows: what one line, request, row and question costs at 1, 10 and 100 times as many
 * apps, lines and minutes of history. Writes growth.svg beside this file. Cost by unit has to stay
 * flat; where it falls, it is a start's that is shared by more.
 */
import { persistRecords } from '../batch/persist-records.ts'
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
import { bodiesOf, routerMessages } from './lines.ts'
import { readOurs } from './parse-ways.ts'
import { type BenchPostgres, copyInto, openPostgres } from './postgres.ts'
import { makeMinute, makeRows } from './rows.ts'
import type { Figure } from './run.ts'

const TIMES = [1, 10, 100]

/** How much dearer a unit may become: measuring itself is off by a third. */
const GROWN_MAX = 1.5

const LINES = 1000
const LINES_A_BODY = 100
const APPS = 10
const REQUESTS = 20_000
const HISTORY_MINUTES = 60
const REQUESTS_A_MINUTE = 5
const DAY_MS = 86_400_000

export async function benchGrowth(): Promise<Figure[]> {
  const series = [
    await grow('parse, lines', 'ns a line', parseLines),
    await grow('aggregate, requests', 'ns a request', (times) => foldRequests(APPS, times)),
    await grow('aggregate, apps', 'ns a request', (times) => foldRequests(APPS * times, 10)),
    ...(await growRows('apps', (times) => onRows(APPS * times, 1))),
    ...(await growRows('history', (times) => onRows(APPS, times))),
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

async function grow(
  name: string,
  unit: string,
  costOf: (times: number) => Promise<number>,
): Promise<Series> {
  const costs: number[] = []
  for (const times of TIMES) costs.push(await costOf(times))
  return { name, unit, costs }
}

/** The same of what is done on one database. */
async function growRows(
  name: string,
  costsOf: (times: number) => Promise<RowCosts>,
): Promise<Series[]> {
  const costs: RowCosts[] = []
  for (const times of TIMES) costs.push(await costsOf(times))
  return [
    { name: `persist, ${name}`, unit: 'µs a row', costs: costs.map(({ persistUs }) => persistUs) },
    { name: `query, ${name}`, unit: 'ms an hour', costs: costs.map(({ queryMs }) => queryMs) },
  ]
}

/** Milliseconds of one run. */
async function timeOf(run: () => unknown, clock?: Clock): Promise<number> {
  const options = { forMs: 1000, runsMin: 5, ...(clock && { clock }) }
  const { run: ms } = await medians({ run }, options)
  return ms
}

async function parseLines(times: number): Promise<number> {
  const nowMs = Date.now()
  const bodies = bodiesOf(routerMessages(LINES * times, 1, nowMs - 60_000), LINES_A_BODY)
  return ((await timeOf(() => readOurs(bodies, nowMs), cpuClock)) * 1e6) / (LINES * times)
}

/** Of ten times as many requests a second where there are ten times as many. */
async function foldRequests(apps: number, times: number): Promise<number> {
  const requests = REQUESTS * times
  const sinceMs = Date.UTC(2026, 0, 1)
  const bursts = makeBursts({ apps, requests, rate: REQUESTS, seed: 1, sinceMs })
  const records = [...bursts].map((burst, offset) => {
    const value = encodeBurst(burst)
    return { offset, timestamp: burst.receivedAtMs, key: burst.app, value }
  })
  return ((await timeOf(() => aggregate(records), cpuClock)) * 1e6) / requests
}

interface RowCosts {
  persistUs: number
  queryMs: number
}

/** On `history` times an hour of minutes of `apps` apps: the last hour of one, and a minute of all. */
async function onRows(apps: number, history: number): Promise<RowCosts> {
  const { server, untilMs } = await openFilled(apps, history)
  const { sql, stop } = server
  try {
    const [since, until] = [timeToText(untilMs - 3_600_000), timeToText(untilMs)]
    const queryMs = await timeOf(async () => {
      const rows = await sql`
        select * from shelf.request_stats('bench-3', ${since}, ${until}, '1 minute')`
      if (rows.length !== HISTORY_MINUTES) throw new Error(`an hour of ${rows.length} minutes`)
    })
    await sql`insert into shelf.progress (partition) values (0)`
    let minute = 0
    const ms = await timeOf(async () => {
      const bucketMs = untilMs + minute++ * 60_000
      await persistRecords(sql, 0, [recordOf(apps, bucketMs, minute)], { ifLeased: 'wait' })
    })
    return { persistUs: (ms * 1000) / apps, queryMs }
  } finally {
    await stop()
  }
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
  untilMs: number
}

/** Minutes up to a while ago: `history` times an hour. */
async function openFilled(apps: number, history: number): Promise<Filled> {
  const server = await openPostgres({ settings: { fsync: 'off' } })
  const { sql } = server
  const untilMs = (Math.floor(Date.now() / DAY_MS) - 1) * DAY_MS + DAY_MS / 2
  const minutes = HISTORY_MINUTES * history
  const sinceMs = untilMs - minutes * 60_000
  const [from, to] = [sinceMs, untilMs + DAY_MS].map((ms) => timeToText(ms).slice(0, 10))
  await sql`select shelf.make_partitions(${from ?? ''}::date, ${to ?? ''}::date)`
  await sql`create table public.filled (like shelf.requests_1m)`
  const rows = makeRows(apps, sinceMs, minutes, REQUESTS_A_MINUTE)
  await copyInto(sql, 'filled', Buffer.from([...rows].join('')))
  await sql`insert into shelf.requests_1m select * from public.filled`
  await sql`drop table public.filled`
  await sql`vacuum analyze shelf.requests_1m`
  return { server, untilMs }
}
