/** How soon request_stats answers over four ranges, and what its plans read. */
import { readFileSync } from 'node:fs'
import { connect, type Sql } from '../db/client.ts'
import { timeToText } from '../db/schema.ts'
import type { Figure } from './run.ts'

const HOUR_MS = 3_600_000

const RANGES = [
  { name: '2 hours by 1 minute', hours: 2, step: '1 minute', mostMs: 50 },
  { name: '24 hours by 10 minutes', hours: 24, step: '10 minutes', mostMs: 50 },
  { name: '7 days by 1 hour', hours: 7 * 24, step: '1 hour', mostMs: 50 },
  { name: '1 year by 1 day', hours: 365 * 24, step: '1 day', mostMs: 100 },
] as const

type Range = (typeof RANGES)[number]

/** Of each range, at least. */
const RUNS_MIN = 30

/** Over all apps in turn, the ranges one after another, after a first round that is not counted. */
export async function measureRanges(
  databaseUrl: string,
  apps: readonly string[],
  untilMs: number,
): Promise<Figure[]> {
  const sql = connect(databaseUrl, { max: 1 })
  try {
    const [session] = await sql<{ pid: number }[]>`select pg_backend_pid() as pid`
    const cpuMs = (): number => cpuMsOf(session?.pid ?? 0)
    const runs = new Map(RANGES.map((range) => [range, [] as Run[]]))
    for (let round = 0, rounds = 1 + Math.ceil(RUNS_MIN / apps.length); round < rounds; round++) {
      for (const app of apps) {
        for (const range of RANGES) {
          const run = await ask(sql, app, range, untilMs, cpuMs)
          if (round > 0) runs.get(range)?.push(run)
        }
      }
    }
    const figures: Figure[] = []
    for (const [range, all] of runs) {
      const { read, of } = await partitionsRead(sql, apps[0] ?? '', range, untilMs)
      const rows = all.reduce((sum, run) => sum + run.rows, 0) / all.length
      const at = percentilesOf(all.map(({ ms }) => ms))
      const cpuAt = percentilesOf(all.map((run) => run.cpuMs))
      console.log(
        `${range.name}: ${at(0.5)} / ${at(0.95)} / ${at(1)} ms (median, p95, most) of ${all.length} ` +
          `runs; processor time of it ${cpuAt(0.5)} / ${cpuAt(0.95)} / ${cpuAt(1)} ms; ` +
          `${rows.toFixed(0)} rows; reads ${read} of ${of} partitions`,
      )
      figures.push(
        {
          ...{ name: `request_stats, ${range.name}, p95`, unit: 'ms', ours: at(0.95) },
          ...{ theirs: null, ratio: null, target: `at most ${range.mostMs}` },
          met: at(0.95) <= range.mostMs,
        },
        {
          ...{ name: `partitions read, ${range.name}`, unit: '', ours: read },
          ...{ theirs: of, ratio: null, target: 'a part of them', met: read < of },
        },
      )
    }
    return figures
  } finally {
    await sql.end()
  }
}

interface Run {
  ms: number
  /** Of the server's process: what it takes where no other program is in the way. */
  cpuMs: number
  rows: number
}

/** NaN where the system does not tell. */
function cpuMsOf(pid: number): number {
  try {
    // https://docs.kernel.org/scheduler/sched-stats.html: time on the processor, ns.
    return Number(readFileSync(`/proc/${pid}/schedstat`, 'utf8').split(' ')[0]) / 1e6
  } catch {
    return Number.NaN
  }
}

function percentilesOf(values: readonly number[]): (q: number) => number {
  const sorted = [...values].sort((a, b) => a - b)
  return (q) => Math.round(10 * (sorted[Math.ceil(q * sorted.length) - 1] ?? Number.NaN)) / 10
}

async function ask(
  sql: Sql,
  app: string,
  range: Range,
  untilMs: number,
  cpuMs: () => number,
): Promise<Run> {
  const [since, until] = timesOf(range, untilMs)
  const startedAt = performance.now()
  const cpuBeforeMs = cpuMs()
  const rows = await sql`
    select * from shelf.request_stats(${app}, ${since}, ${until}, ${range.step}::interval)`
  const ms = performance.now() - startedAt
  return { ms, cpuMs: cpuMs() - cpuBeforeMs, rows: rows.length }
}

const timesOf = ({ hours }: Range, untilMs: number): [string, string] => [
  timeToText(untilMs - hours * HOUR_MS),
  timeToText(untilMs),
]

/** Partitions in the plans of the range's requests and ledger, and all of their tables. */
async function partitionsRead(
  sql: Sql,
  app: string,
  range: Range,
  untilMs: number,
): Promise<{ read: number; of: number }> {
  const [since, until] = timesOf(range, untilMs)
  const read = new Set<string>()
  for (const kind of ['requests', 'ledger']) {
    const [query] = await sql<{ text: string }[]>`
      select shelf.rows_query(${kind}, array[${app}], null, ${since}, ${until},
        ${range.step}::interval) as text`
    const plan = await sql.unsafe(`explain (format json) ${query?.text}`)
    for (const [, name = ''] of JSON.stringify(plan).matchAll(/"Relation Name":\s*"([^"]+)"/g)) {
      read.add(name)
    }
  }
  const [all] = await sql<{ of: number }[]>`
    select count(*)::int as of
    from pg_inherits i join pg_class c on c.oid = i.inhparent
    where c.relnamespace = 'shelf'::regnamespace and c.relkind = 'p'
      and c.relname ~ '^(requests|ledger)_'`
  return { read: read.size, of: all?.of ?? 0 }
}
