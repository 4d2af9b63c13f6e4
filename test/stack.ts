/** A stack for tests of the whole way: real broker process, real workerd, real batch processes. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { restLog } from '../broker/client.ts'
import type { Log } from '../broker/log.ts'
import { type DrainKey, drainSecret } from '../core/credential.ts'
import { connect, type Sql } from '../db/client.ts'
import { type LocalEdge, startLocalEdge } from '../edge/dev.ts'

const ROOT = join(import.meta.dir, '..')

export const KEY: DrainKey = { id: 'k1', key: 'c2hlbGYtdGVzdC1rZXktc2hlbGYtdGVzdC1rZXktMDE' }

/** What a test waits for, it waits for this long. */
const WAIT_MS_MAX = 30_000

/** Polls until `probe` gives something, and returns it. */
export async function until<T>(
  what: string,
  probe: () => Promise<T | undefined | false>,
  waitMs = WAIT_MS_MAX,
): Promise<T> {
  const deadline = Date.now() + waitMs
  let last: unknown
  while (Date.now() < deadline) {
    try {
      const found = await probe()
      if (found !== undefined && found !== false) return found
    } catch (error) {
      last = error
    }
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  throw new Error(`waited ${waitMs} ms for ${what}${last === undefined ? '' : `: ${last}`}`)
}

/** Runs `bun batch/shelf.ts …`; standard input is what a terminal's absence gives: nothing. */
export function shelf(
  args: string[],
  env: Record<string, string>,
  stdin: Bun.BunFile | null = null,
) {
  return Bun.spawn([process.execPath, join(ROOT, 'batch/shelf.ts'), ...args], {
    cwd: ROOT,
    env: { ...process.env, ...env },
    stdin: stdin ?? 'ignore',
    stdout: 'pipe',
    stderr: 'pipe',
  })
}

/** A batch program that is started again whenever it dies, as a supervisor does. */
export class Restarted {
  private process: Bun.Subprocess<'pipe', 'ignore', 'ignore'> | undefined
  private stopped = false
  kills = 0

  constructor(
    private readonly args: string[],
    private readonly env: Record<string, string>,
  ) {
    this.start()
  }

  private start(): void {
    this.process = Bun.spawn([process.execPath, join(ROOT, 'batch/shelf.ts'), ...this.args], {
      cwd: ROOT,
      env: { ...process.env, ...this.env, SHELF_EXIT_WITH_PARENT: '1' },
      stdin: 'pipe',
      stdout: 'ignore',
      stderr: 'ignore',
      onExit: () => {
        if (!this.stopped) this.start()
      },
    })
  }

  kill(): void {
    this.kills += 1
    this.process?.kill('SIGKILL')
  }

  async stop(): Promise<void> {
    this.stopped = true
    this.process?.kill('SIGTERM')
    await this.process?.exited
  }
}

export interface Stack {
  dir: string
  log: Log
  edge: LocalEdge
  /** For `shelf` programs: the log, and the database given. */
  env(databaseUrl: string): Record<string, string>
  /** Posts a drain body of `app`; answers with the status. */
  post(
    app: string,
    frameId: string,
    body: Uint8Array<ArrayBuffer> | string,
    count: number,
  ): Promise<number>
  stop(): Promise<void>
}

/** A broker process with a log of its own, and the edge before it. */
export async function startStack(): Promise<Stack> {
  const dir = mkdtempSync(join(tmpdir(), 'shelf-stack-'))
  const broker = Bun.spawn([process.execPath, join(ROOT, 'broker/main.ts')], {
    env: {
      ...process.env,
      SHELF_DIR: dir,
      SHELF_BROKER_PORT: '0',
      SHELF_BROKER_PASSWORD: 'test',
      SHELF_PARTITIONS: '4',
      SHELF_EXIT_WITH_PARENT: '1',
    },
    stdin: 'pipe',
    stdout: 'ignore',
    stderr: 'pipe',
  })
  const logUrl = await readyUrl(broker.stderr)
  const edge = await startLocalEdge(0, {
    SHELF_LOG: logUrl,
    SHELF_DRAIN_KEYS: `${KEY.id}:${KEY.key}`,
    SHELF_REVOKED: '',
  })
  return {
    dir,
    log: restLog({ url: logUrl }),
    edge,
    env: (databaseUrl) => ({ SHELF_LOG: logUrl, DATABASE_URL: databaseUrl, SHELF_DIR: dir }),
    async post(app, frameId, body, count) {
      const secret = await drainSecret(KEY, app, `d${app.toLowerCase().replace(/[^a-z0-9]/g, '')}`)
      const response = await fetch(`${edge.url}/drains/heroku`, {
        method: 'POST',
        headers: {
          authorization: `Basic ${btoa(`${app}:${secret}`)}`,
          'content-type': 'application/logplex-1',
          'logplex-frame-id': frameId,
          'logplex-drain-token': `d.${app}`,
          'logplex-msg-count': String(count),
        },
        body,
      })
      await response.body?.cancel()
      return response.status
    },
    async stop() {
      await edge.stop()
      broker.kill('SIGKILL')
      await broker.exited
      rmSync(dir, { recursive: true, force: true })
    },
  }
}

/** The broker's first line: `ready at http://127.0.0.1:PORT, …`. */
async function readyUrl(stderr: ReadableStream<Uint8Array>): Promise<string> {
  const decoder = new TextDecoder()
  let text = ''
  for await (const chunk of stderr) {
    text += decoder.decode(chunk)
    const [, port] = /http:\/\/127\.0\.0\.1:(\d+)/.exec(text) ?? []
    if (port !== undefined) return `http://shelf:test@127.0.0.1:${port}`
  }
  throw new Error(`the broker did not start: ${text}`)
}

/** All rows of the tables that the log decides, as text, in order: for comparing column by column. */
export async function allRows(sql: Sql): Promise<string[]> {
  const rows = await sql<{ row: string }[]>`
    select 'requests ' || r::text as row from shelf.requests_1m r
    union all select 'ledger ' || l::text from shelf.ledger_1m l
    union all select 'gauge ' || g::text from shelf.gauges_1m g
    union all select 'counter ' || c::text from shelf.counters_1m c
    union all select 'histogram ' || h::text from shelf.histograms_1m h
    union all select 'marker ' || m::text from shelf.marker_lines m
    union all select 'dyno ' || d::text from shelf.dynos d
    order by 1`
  return rows.map(({ row }) => row)
}

/** Waits until the rows hold all that the raw log held when this was called. */
export async function caughtUp(log: Log, databaseUrl: string): Promise<void> {
  const sql = connect(databaseUrl, { max: 1 })
  try {
    const partitions = (await log.topics()).raw ?? 0
    const ends = await Promise.all(
      Array.from({ length: partitions }, (_, partition) => lastBurst(log, partition)),
    )
    await until('the rows to hold the whole log', async () => {
      const rows = await sql<{ partition: number; from: number }[]>`
        select partition, next_from as "from" from shelf.progress`
      return ends.every(
        (end, partition) =>
          end === 0 || (rows.find((row) => row.partition === partition)?.from ?? 0) >= end,
      )
    })
  } finally {
    await sql.end()
  }
}

/** The offset behind the last record of a partition that is no tick. */
async function lastBurst(log: Log, partition: number): Promise<number> {
  let at = await log.offsetAt('raw', partition, 'earliest')
  let end = 0
  for (;;) {
    const records = await log.read('raw', partition, at)
    if (records.length === 0) return end
    for (const record of records) {
      at = record.offset + 1
      if (record.value.length > 0) end = at
    }
  }
}
