/**
 * A real PostgreSQL as a child process, on 127.0.0.1 only: from npm's binaries or a given bin
 * folder, set up at the first start. Under root, whom PostgreSQL refuses, it runs as another user.
 */
import { mkdirSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import postgres from 'postgres'
import { eachLine, exitWords, settlesWithin, spawn } from './child.ts'
import { prepareDataFolder } from './data-folder.ts'
import { findLauncher, type Launcher, npmBinDir } from './launcher.ts'
import { QUIT_SECONDS_MAX, STOP_SECONDS_MAX, stopLeftoverPostgres } from './leftover.ts'
import { startError } from './start-error.ts'

/** From spawn to ready, s: recovery after a crash reads max_wal_size at most, seconds of work. */
const READY_SECONDS_MAX = 120
/** For backends of a dead postmaster to notice it and let go of the data folder, s. */
const RELEASE_SECONDS_MAX = 10
/** Lines of stderr kept to explain a failed start. */
const TAIL_LINES_MAX = 50

/** The stack has 900 MB in all: no more than a few small pools and one merging worker need. */
const MODEST_SETTINGS = {
  listen_addresses: '127.0.0.1',
  // No socket: its path may be 107 bytes at most, and a state folder can lie deep.
  unix_socket_directories: '',
  shared_buffers: '64MB',
  maintenance_work_mem: '32MB',
  max_connections: 40,
  max_wal_size: '256MB',
  jit: 'off',
  timezone: 'UTC',
  log_timezone: 'UTC',
  log_line_prefix: '',
  log_checkpoints: 'off',
  lc_messages: 'C',
}

export interface PostgresOptions {
  /** Made at the first start; its parent too. */
  dataDir: string
  port: number
  /** Of the role `shelf`. It is set at the first start and must be the same at each later one. */
  password: string
  /** Folder of `postgres` and `initdb`. Default: the npm package's. */
  binDir?: string
  /** postgresql.conf settings over the modest defaults. */
  settings?: Record<string, string | number>
  /** Takes each line of stderr, but for LOG lines. */
  onLine?: (line: string) => void
  /** Gives up the start and leaves nothing running. */
  signal?: AbortSignal
}

export interface PostgresServer {
  url: string
  pid: number
  /** How it ended, in words: `exit code 1`, `SIGKILL`. Never rejects. */
  exited: Promise<string>
  /** Fast shutdown: sessions are ended, nothing committed is lost. Resolves when it is gone. */
  stop(): Promise<void>
  /** Immediate shutdown, without waiting; the next start recovers from the WAL. */
  kill(): void
}

/**
 * Starts PostgreSQL on `dataDir` and resolves when it answers a query: user and database `shelf`
 * (owner of its database, no superuser). A postmaster left over on that folder is stopped first, so
 * the caller must hold the folder. Rejects with an Error that says what to do: port in use, disk
 * full, another major version, another password, another owner, root without a way to another user.
 */
export async function startPostgres(options: PostgresOptions): Promise<PostgresServer> {
  const dataDir = resolve(options.dataDir)
  const binDir = resolve(options.binDir ?? npmBinDir())
  try {
    mkdirSync(dirname(dataDir), { recursive: true })
    const launcher = await findLauncher(binDir, dataDir)
    await stopLeftoverPostgres(dataDir)
    await prepareDataFolder(binDir, dataDir, launcher, options)
    return await startServer(binDir, dataDir, launcher, options)
  } catch (error) {
    throw startError(error, dataDir, options.port)
  }
}

async function startServer(
  binDir: string,
  dataDir: string,
  { prefix }: Launcher,
  options: PostgresOptions,
): Promise<PostgresServer> {
  const settings = Object.entries({ ...MODEST_SETTINGS, ...options.settings, port: options.port })
  const flags = settings.flatMap(([name, value]) => ['-c', `${name}=${value}`])
  const argv = [...prefix, join(binDir, 'postgres'), '-D', dataDir, ...flags]
  const untilMs = Date.now() + RELEASE_SECONDS_MAX * 1000
  for (;;) {
    const tail: string[] = []
    const server = await launch(argv, options, tail)
    if (server) return server
    const message = tail.filter((line) => !/^LOG:(?!.*could not)/.test(line)).join('; ')
    // Backends of a postmaster that was killed hold on to the folder until they notice.
    const isHeld = /pre-existing shared memory block|postmaster\.pid" already exists/.test(message)
    if (!isHeld || Date.now() > untilMs) throw new Error(`PostgreSQL does not start: ${message}`)
    await Bun.sleep(100)
  }
}

/** Resolves to the server when it answers, to undefined when it died first, its words in `tail`. */
async function launch(
  argv: string[],
  options: PostgresOptions,
  tail: string[],
): Promise<PostgresServer | undefined> {
  const { signal, onLine, port, password } = options
  signal?.throwIfAborted()
  const child = spawn(argv, '')
  const settled = Promise.withResolvers<boolean>()
  const drained = eachLine(child.stderr, (line) => {
    if (tail.push(line) > TAIL_LINES_MAX) tail.shift()
    if (line.endsWith('database system is ready to accept connections')) settled.resolve(true)
    if (!line.startsWith('LOG:')) onLine?.(line)
  })
  const exited = child.exited.then(() => exitWords(child))
  const stop = async () => {
    for (const [name, seconds] of [
      ['SIGINT', STOP_SECONDS_MAX],
      ['SIGQUIT', QUIT_SECONDS_MAX],
    ] as const) {
      child.kill(name)
      if (await settlesWithin(exited, seconds * 1000)) return
    }
    child.kill('SIGKILL')
    await exited
  }
  const url = `postgres://shelf:${encodeURIComponent(password)}@127.0.0.1:${port}/shelf`
  exited.then(() => settled.resolve(false))
  const giveUp = () => settled.resolve(false)
  signal?.addEventListener('abort', giveUp)
  try {
    const inTime = await settlesWithin(settled.promise, READY_SECONDS_MAX * 1000)
    if (inTime && (await settled.promise)) {
      await answers(url)
      return { url, pid: child.pid, exited, stop, kill: () => child.kill('SIGQUIT') }
    }
    if (!inTime) tail.push(`not ready after ${READY_SECONDS_MAX} s`)
  } catch (error) {
    await stop()
    throw error
  } finally {
    signal?.removeEventListener('abort', giveUp)
  }
  await stop()
  await settlesWithin(drained, 1000)
  signal?.throwIfAborted()
  return undefined
}

async function answers(url: string): Promise<void> {
  const sql = postgres(url, { max: 1, connect_timeout: 10, idle_timeout: 1 })
  try {
    await sql`select 1`
  } finally {
    await sql.end({ timeout: 1 })
  }
}
