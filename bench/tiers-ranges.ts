/** How soon request_stats answers over four ranges, and what its plans read. */
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
    const runs = new Map(RANGES.map((range) => [range, [] as Run[]]))
    for (let round = 0, rounds = 1 + Math.ceil(RUNS_MIN / apps.length); round < rounds; round++) {
      for (const app of apps) {
        for (const range of RANGES) {
          const run = await ask(sql, app, range, untilMs)
          if (round > 0) runs.get(range)?.push(run)
        }
      }
    }
    const figures: Figure[] = []
    for (const [range, all] of runs) {
      const { read, of } = await partitionsRead(sql, apps[0] ?? '', range, untilMs)
      const ms = all.map((run) => run.ms).sort((a, b) => a - b)
      const at = (q: number): number =>
        Math.round(10 * (ms[Math.ceil(q * ms.length) - 1] ?? Number.NaN)) / 10
      const rows = all.reduce((sum, run) => sum + run.rows, 0) / all.length
      const busiest = all.filter(({ app }) => app === apps[0]).map((run) => run.ms)
      console.log(
        `${range.name}: median ${at(0.5)}, p95 ${at(0.95)}, most ${at(1)} ms of ${ms.length} runs; ` +
          `the busiest app ${Math.max(...busiest).toFixed(1)} ms; ${rows.toFixed(0)} rows; ` +
          `reads ${read} of ${of} partitions`,
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
  app: string
  ms: number
  rows: number
}

async function ask(sql: Sql, app: string, range: Range, untilMs: number): Promise<Run> {
  const [since, until] = timesOf(range, untilMs)
  const startedAt = performance.now()
  const rows = await sql`
    select * from shelf.request_stats(${app}, ${since}, ${until}, ${range.step}::interval)`
  return { app, ms: performance.now() - startedAt, rows: rows.length }
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
