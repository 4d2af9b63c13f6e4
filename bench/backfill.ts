/**
 * How fast `shelf backfill` makes rows of a log that lies there: the real program beside a real
 * broker and PostgreSQL, from its start to its end. None of the rows are there before.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { migrate } from '../batch/migrate.ts'
import { connect } from '../db/client.ts'
import { startPostgres } from '../db/server.ts'
import { type MadeLog, makeLog } from './backfill-log.ts'
import type { BenchOptions, Figure } from './run.ts'

const PARTITIONS = 4
const APPS = 20

/** The log is of so many times the seconds that others measure for: it is read faster than it came. */
const LOG_TIMES = 10

const RATE_MIN = 20_000
const MEMORY_MB_MAX = 512

/** What it took to make rows of a log, whoever made them. */
export interface Measured {
  requests: number
  /** From the start of the program to its end. */
  seconds: number
  /** Of its own process. */
  cpuSeconds: number
  peakMB: number
}

export async function benchBackfill({ seconds, rate }: BenchOptions): Promise<Figure[]> {
  const folder = mkdtempSync(join(tmpdir(), 'shelf-bench-'))
  try {
    const requests = seconds * rate * LOG_TIMES
    const log = await makeLog({ folder, partitions: PARTITIONS, apps: APPS, requests, rate })
    const { seconds: tookS, cpuSeconds, peakMB } = await measure(folder, log)
    const perSecond = Math.round(log.requests / tookS)
    console.log(
      `${log.requests} requests of ${APPS} apps in ${PARTITIONS} partitions: ` +
        `${tookS.toFixed(1)} s, of which ${cpuSeconds.toFixed(1)} s are of its own CPU`,
    )
    return [
      {
        ...{ name: 'backfill, log to rows', unit: 'requests/s', ours: perSecond },
        ...{ target: `over ${RATE_MIN}`, met: perSecond > RATE_MIN },
        ...{ theirs: null, ratio: null },
      },
      {
        ...{ name: 'backfill, peak memory', unit: 'MB', ours: peakMB },
        ...{ target: `below ${MEMORY_MB_MAX}`, met: peakMB < MEMORY_MB_MAX },
        ...{ theirs: null, ratio: null },
      },
    ]
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Backfills the log that lies in the folder into a database that has none of its rows. */
async function measure(folder: string, log: MadeLog): Promise<Measured> {
  const password = 'bench'
  const place = { dataDir: join(folder, 'postgres'), port: freePort(), password }
  const server = await startPostgres(place)
  const { broker, url } = await startBroker(folder, password)
  try {
    await migrate(server.url)
    await lose(server.url, log)
    const startMs = performance.now()
    const child = Bun.spawn(
      [
        ...[process.execPath, join(import.meta.dir, '../batch/shelf.ts'), 'backfill'],
        ...['--since', new Date(log.sinceMs - 60_000).toISOString()],
        ...['--until', new Date(log.untilMs).toISOString()],
      ],
      {
        env: { ...process.env, SHELF_LOG: url, DATABASE_URL: server.url },
        stdio: ['ignore', 'inherit', 'inherit'],
      },
    )
    if ((await child.exited) !== 0) throw new Error('the backfill failed')
    const seconds = (performance.now() - startMs) / 1000
    const { maxRSS = 0, cpuTime } = child.resourceUsage() ?? {}
    const requests = await requestsIn(server.url)
    if (requests !== log.requests) throw new Error(`rows of ${requests} requests were made`)
    const cpuSeconds = Number(cpuTime?.total ?? 0) / 1e6
    return { requests, seconds, cpuSeconds, peakMB: Math.round(maxRSS / 2 ** 20) }
  } finally {
    broker.kill('SIGTERM')
    await broker.exited
    await server.stop()
  }
}

/** As if all had been rows, which were lost: a backfill goes as far as they did. */
async function lose(databaseUrl: string, { ends }: MadeLog): Promise<void> {
  const sql = connect(databaseUrl, { max: 1 })
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
