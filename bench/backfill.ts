/**
 * How fast `shelf backfill` makes rows of a log that lies there: the real program beside a real
 * broker and PostgreSQL, from its start to its end. None of the rows are there before. In turn with it
 * DuckDB makes rows of requests from Parquet of the same events.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { migrate } from '../batch/migrate.ts'
import { connect } from '../db/client.ts'
import { startPostgres } from '../db/server.ts'
import { type Measured, measureDuckDB, parquetOf } from './backfill-duckdb.ts'
import { type MadeLog, makeLog } from './backfill-log.ts'
import { ended } from './process.ts'
import type { BenchOptions, Figure } from './run.ts'

const PARTITIONS = 4
const APPS = 20

/** The log is of so many times the seconds that others measure for: it is read faster than it came. */
const LOG_TIMES = 30

const RUNS = 3

const RATE_MIN = 20_000
const MEMORY_MB_MAX = 512

export async function benchBackfill({ seconds, rate }: BenchOptions): Promise<Figure[]> {
  const folder = mkdtempSync(join(tmpdir(), 'shelf-bench-'))
  try {
    const requests = seconds * rate * LOG_TIMES
    const log = await makeLog({ folder, partitions: PARTITIONS, apps: APPS, requests, rate })
    const parquet = await parquetOf(folder, PARTITIONS)
    const { ours, theirs } = await measure(folder, log, parquet)
    const perSecond = ({ seconds }: Measured): number => Math.round(log.requests / seconds)
    const ratio = theirs.seconds / ours.seconds
    console.log(
      `${log.requests} requests of ${APPS} apps in ${PARTITIONS} partitions: ` +
        `${ours.seconds.toFixed(1)} s, of which ${ours.cpuSeconds.toFixed(1)} s are of its own CPU; ` +
        `DuckDB ${theirs.seconds.toFixed(1)} s, of which ${theirs.cpuSeconds.toFixed(1)} s`,
    )
    return [
      {
        ...{ name: 'backfill, log to rows, beside DuckDB and COPY', unit: 'requests/s' },
        ...{ ours: perSecond(ours), theirs: perSecond(theirs), ratio: Number(ratio.toFixed(2)) },
        ...{ target: `faster, and over ${RATE_MIN}`, met: ratio > 1 && perSecond(ours) > RATE_MIN },
      },
      {
        ...{ name: 'backfill, peak memory', unit: 'MB', ours: ours.peakMB, theirs: theirs.peakMB },
        ...{ target: `below ${MEMORY_MB_MAX}`, met: ours.peakMB < MEMORY_MB_MAX },
        ratio: Number((ours.peakMB / theirs.peakMB).toFixed(2)),
      },
    ]
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Both in turn, on one PostgreSQL: the run of each whose time is the median. */
async function measure(
  folder: string,
  log: MadeLog,
  parquet: string,
): Promise<{ ours: Measured; theirs: Measured }> {
  const password = 'bench'
  const place = { dataDir: join(folder, 'postgres'), port: freePort(), password }
  const server = await startPostgres(place)
  const { broker, url } = await startBroker(folder, password)
  try {
    await migrate(server.url)
    const [ours, theirs]: [Measured[], Measured[]] = [[], []]
    for (let run = 0; run < RUNS; run++) {
      await lose(server.url, log)
      ours.push(await backfill(log, url, server.url))
      theirs.push(await measureDuckDB(parquet, server.url))
    }
    const counted = [...ours, ...theirs].find(({ requests }) => requests !== log.requests)
    if (counted !== undefined) throw new Error(`rows of ${counted.requests} requests were made`)
    return { ours: middle(ours), theirs: middle(theirs) }
  } finally {
    broker.kill('SIGTERM')
    await broker.exited
    await server.stop()
  }
}

/** Backfills the log into a database that has none of its rows, by the program itself. */
async function backfill(log: MadeLog, logUrl: string, databaseUrl: string): Promise<Measured> {
  const startMs = performance.now()
  const child = Bun.spawn(
    [
      ...[process.execPath, join(import.meta.dir, '../batch/shelf.ts'), 'backfill'],
      ...['--since', new Date(log.sinceMs - 60_000).toISOString()],
      ...['--until', new Date(log.untilMs).toISOString()],
    ],
    {
      env: { ...process.env, SHELF_LOG: logUrl, DATABASE_URL: databaseUrl },
      stdio: ['ignore', 'inherit', 'inherit'],
    },
  )
  const { cpuSeconds, peakMB } = await ended(child)
  const seconds = (performance.now() - startMs) / 1000
  return { requests: await requestsIn(databaseUrl), seconds, cpuSeconds, peakMB }
}

/** The most memory that any of them took, and the time of the one in the middle. */
function middle(runs: readonly Measured[]): Measured {
  const sorted = runs.toSorted((a, b) => a.seconds - b.seconds)
  const peakMB = Math.max(...runs.map((run) => run.peakMB))
  const { requests, seconds, cpuSeconds } = sorted[sorted.length >> 1] as Measured
  return { requests, seconds, cpuSeconds, peakMB }
}

/** As if all had been rows, which were lost: a backfill goes as far as they did. */
async function lose(databaseUrl: string, { ends }: MadeLog): Promise<void> {
  const sql = connect(databaseUrl, { max: 1 })
  await sql`truncate shelf.requests_1m, shelf.ledger_1m, shelf.progress`
  for (const { partition, offset, watermarkMs } of ends) {
    await sql`
      insert into shelf.progress (partition, epoch, next_from, next_part, watermark)
      values (${partition}, 0, ${offset}, 0, ${new Date(watermarkMs).toISOString()})`
  }
  await sql.end()
}

async function requestsIn(databaseUrl: string): Promise<number> {
  const sql = connect(databaseUrl, { max: 1 })
  const [row] = await sql<{ requests: number }[]>`
    select sum(requests)::float8 as requests from shelf.requests_1m`
  await sql.end()
  return row?.requests ?? 0
}

async function startBroker(folder: string, password: string) {
  const port = freePort()
  const url = `http://shelf:${password}@127.0.0.1:${port}`
  const broker = Bun.spawn([process.execPath, join(import.meta.dir, '../broker/main.ts')], {
    env: {
      ...process.env,
      ...{ SHELF_DIR: folder, SHELF_BROKER_PORT: String(port), SHELF_BROKER_PASSWORD: password },
      SHELF_PARTITIONS: String(PARTITIONS),
    },
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  while (broker.exitCode === null) {
    const answer = await fetch(`http://127.0.0.1:${port}/healthz`).catch(() => undefined)
    if (answer?.ok) return { broker, url }
    await Bun.sleep(50)
  }
  throw new Error('the broker did not start')
}

/** One that nobody listens on now. */
function freePort(): number {
  const server = Bun.serve({ port: 0, hostname: '127.0.0.1', fetch: () => new Response() })
  const { port = 0 } = server
  server.stop(true)
  return port
}
