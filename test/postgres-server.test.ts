import { afterAll, afterEach, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import {
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import postgres from 'postgres'
import { stopLeftoverPostgres } from '../db/leftover.ts'
import { type PostgresOptions, type PostgresServer, startPostgres } from '../db/server.ts'

/** On a busy machine an initdb takes several seconds. */
setDefaultTimeout(30_000)

const isRoot = process.getuid?.() === 0
const hasSetpriv = Bun.which('setpriv') !== null
const modulePath = join(import.meta.dir, '..', 'db', 'server.ts')
const password = "it's / päss"
const debian15 = '/usr/lib/postgresql/15/bin'
const versions: { name: string; major: number; binDir?: string }[] = [{ name: 'npm', major: 18 }]
if (existsSync(debian15)) versions.push({ name: 'Debian', major: 15, binDir: debian15 })

const servers: PostgresServer[] = []
afterEach(async () => {
  for (const { stop } of servers.splice(0)) await stop()
})

async function start(options: Partial<PostgresOptions> & { dataDir: string }) {
  const server = await startPostgres({ port: await freePort(), password, ...options })
  servers.push(server)
  return server
}

async function ask<Row>(url: string, query: string): Promise<Row | undefined> {
  const sql = postgres(url, { max: 1, onnotice: () => {} })
  try {
    const [row] = await sql.unsafe<Row[]>(query)
    return row
  } finally {
    await sql.end({ timeout: 1 })
  }
}

async function freePort(): Promise<number> {
  const server = Bun.serve({ port: 0, hostname: '127.0.0.1', fetch: () => new Response() })
  const port = Number(server.url.port)
  await server.stop(true)
  return port
}

async function until(what: () => unknown): Promise<void> {
  const untilMs = Date.now() + 20_000
  while (!what()) {
    if (Date.now() > untilMs) throw new Error('waited in vain')
    await Bun.sleep(2)
  }
}

const hasPostmaster = (dataDir: string) => existsSync(join(dataDir, 'postmaster.pid'))

/** A program that starts PostgreSQL, prints its URL and pid as JSON or its error, and waits. */
function program(options: PostgresOptions): string[] {
  const script = `
    const { startPostgres } = await import(${JSON.stringify(modulePath)})
    try {
      const { url, pid } = await startPostgres(${JSON.stringify(options)})
      console.log(JSON.stringify({ url, pid }))
      setInterval(() => {}, 1000)
    } catch (error) {
      console.log(error.message)
      process.exitCode = 1
    }`
  return [process.execPath, '-e', script]
}

async function firstLine(stream: ReadableStream<Uint8Array>): Promise<string> {
  let text = ''
  for await (const bytes of stream) {
    text += new TextDecoder().decode(bytes)
    if (text.includes('\n')) break
  }
  return text.trim()
}

describe.each(versions)('PostgreSQL $major of $name', ({ major, binDir }) => {
  const bin = binDir === undefined ? {} : { binDir }
  // Under root this is a folder that only root may enter.
  let home: string
  let dataDir: string

  beforeAll(async () => {
    home = mkdtempSync(join(homedir(), '.shelf-test-'))
    dataDir = join(home, 'deep', 'data')
    const { url, stop } = await start({ dataDir, ...bin })
    await ask(url, 'create table kept as select 42 as answer')
    await stop()
  })
  afterAll(() => rmSync(home, { recursive: true, force: true }))

  test('what was stored is there after the next start', async () => {
    const { url } = await start({ dataDir, ...bin })
    expect(await ask<{ answer: number }>(url, 'select answer from kept')).toEqual({ answer: 42 })
    expect(statSync(dataDir).mode & 0o777).toBe(0o700)
  })

  test('its user owns the database and is no superuser; text is UTF-8, pages have checksums', async () => {
    const { url } = await start({ dataDir, ...bin })
    const row = await ask(
      url,
      `select current_user::text as user, current_database()::text as db, rolsuper as super,
        pg_get_userbyid(datdba)::text as owner, current_setting('server_encoding') as encoding,
        datcollate as collate, current_setting('data_checksums') as checksums,
        current_setting('server_version_num')::int / 10000 as major
      from pg_roles, pg_database where rolname = current_user and datname = current_database()`,
    )
    const names = { user: 'shelf', db: 'shelf', owner: 'shelf', super: false, major }
    expect(row).toEqual({ ...names, encoding: 'UTF8', collate: 'C', checksums: 'on' })
  })

  test('nobody gets in with another password, or as the superuser', async () => {
    const { url } = await start({ dataDir, ...bin })
    const asOther = (user: string, secret: string) => {
      const other = new URL(url)
      other.username = user
      other.password = secret
      return ask(other.href, 'select 1')
    }
    await expect(asOther('shelf', 'wrong')).rejects.toThrow('password authentication failed')
    await expect(asOther('postgres', '')).rejects.toThrow()
    await expect(asOther('postgres', password)).rejects.toThrow('password authentication failed')
  })

  test('settings go over the defaults', async () => {
    const { url } = await start({ dataDir, ...bin, settings: { work_mem: '3MB' } })
    expect(await ask(url, 'show work_mem')).toEqual({ work_mem: '3MB' })
    expect(await ask(url, 'show listen_addresses')).toEqual({ listen_addresses: '127.0.0.1' })
  })

  test('a stop is fast with sessions open, and loses nothing that was committed', async () => {
    const server = await start({ dataDir, ...bin })
    const sql = postgres(server.url, { max: 3 })
    await sql`create table if not exists open_session (n int)`
    await sql`insert into open_session values (1)`
    const sleeping = sql`select pg_sleep(60)`.catch((error: Error) => error)
    const startedMs = performance.now()
    await server.stop()
    expect(performance.now() - startedMs).toBeLessThan(5000)
    expect(await server.exited).toBe('exit code 0')
    expect(await sleeping).toBeInstanceOf(Error)
    await sql.end({ timeout: 1 })
    const { url } = await start({ dataDir, ...bin })
    expect(await ask<{ n: number }>(url, 'select n from open_session')).toEqual({ n: 1 })
  })

  test('a server that was killed is recovered by the next start, with all that was committed', async () => {
    const server = await start({ dataDir, ...bin })
    const sql = postgres(server.url, { max: 2 })
    await sql`create table killed as select 7 as n`
    const busy = sql`select sum(n) from generate_series(1, 5000000) n`.catch((error) => error)
    process.kill(server.pid, 'SIGKILL')
    expect(await server.exited).toBe('SIGKILL')
    const { url } = await start({ dataDir, ...bin })
    expect(await ask<{ n: number }>(url, 'select n from killed')).toEqual({ n: 7 })
    await busy
    await sql.end({ timeout: 1 })
  })

  test('a server left over on the folder is stopped before the next start', async () => {
    const leftOver = await start({ dataDir, ...bin })
    const { url } = await start({ dataDir, ...bin })
    expect(await leftOver.exited).toBe('exit code 0')
    expect(await ask<{ answer: number }>(url, 'select answer from kept')).toEqual({ answer: 42 })
  })

  test('a lock file that names another program blocks nothing and costs it nothing', async () => {
    const server = await start({ dataDir, ...bin })
    process.kill(server.pid, 'SIGKILL')
    await server.exited
    const { uid, gid } = statSync(dataDir)
    const other = Bun.spawn(['sleep', '60'], { uid, gid })
    const lockFile = join(dataDir, 'postmaster.pid')
    const text = readFileSync(lockFile, 'utf8')
    writeFileSync(lockFile, text.replace(/^\d+/, String(other.pid)))
    expect(await stopLeftoverPostgres(dataDir)).toBe(false)
    await start({ dataDir, ...bin })
    expect(other.exitCode).toBeNull()
    other.kill()
    await other.exited
  })

  test('a first start that was killed in the middle does not harm the next', async () => {
    const cut = join(home, 'cut')
    const options = { dataDir: cut, port: await freePort(), password, ...bin }
    const killed = Bun.spawn(program(options))
    const halves = () => readdirSync(home).filter((name) => name.startsWith('cut.new-'))
    await until(() => halves().some((name) => existsSync(join(home, name, 'global'))))
    killed.kill('SIGKILL')
    await killed.exited
    expect(existsSync(cut)).toBe(false)
    const { stop } = await start({ dataDir: cut, ...bin })
    await stop()
    const { url } = await start({ dataDir: cut, ...bin })
    expect(await ask<{ one: number }>(url, 'select 1 as one')).toEqual({ one: 1 })
    expect(halves()).toEqual([])
  })

  test('a first start that is given up leaves nothing behind', async () => {
    const given = join(home, 'given')
    const giveUp = new AbortController()
    const started = start({ dataDir: given, ...bin, signal: giveUp.signal })
    const outcome = started.catch((error) => error)
    const folders = () => readdirSync(home).filter((name) => name.startsWith('given'))
    await until(() => folders().some((name) => existsSync(join(home, name, 'global'))))
    giveUp.abort()
    expect(await outcome).toHaveProperty('name', 'AbortError')
    expect(folders()).toEqual([])
  })

  test('a data folder of another major version is refused, and named', async () => {
    const versionFile = join(dataDir, 'PG_VERSION')
    writeFileSync(versionFile, '13\n')
    await expect(start({ dataDir, ...bin })).rejects.toThrow(
      `${dataDir} was made by PostgreSQL 13, and this is PostgreSQL ${major}: move the folder away`,
    )
    writeFileSync(versionFile, `${major}\n`)
  })

  test('a folder that holds something else is refused and left alone', async () => {
    const other = join(home, 'other')
    mkdirSync(other)
    writeFileSync(join(other, 'letter.txt'), 'dear')
    await expect(start({ dataDir: other, ...bin })).rejects.toThrow('not a PostgreSQL data folder')
    expect(readdirSync(other)).toEqual(['letter.txt'])
  })

  test('another password than the first is refused with what to do', async () => {
    await expect(start({ dataDir, ...bin, password: 'other' })).rejects.toThrow(
      `${dataDir} was made with another password: put its config.json back`,
    )
    expect(hasPostmaster(dataDir)).toBe(false)
  })

  test('a port in use is refused with what to do', async () => {
    const taken = Bun.serve({ port: 0, hostname: '127.0.0.1', fetch: () => new Response() })
    const port = Number(taken.url.port)
    await expect(start({ dataDir, ...bin, port })).rejects.toThrow(
      `port ${port} (PostgreSQL) is in use: stop what listens there, or set SHELF_PORT_OFFSET=1000`,
    )
    await taken.stop(true)
  })

  test.skipIf(!hasSetpriv)('it ends when what started it is killed', async () => {
    const options = { dataDir, port: await freePort(), password, ...bin }
    const parent = Bun.spawn(program(options), { stdout: 'pipe' })
    await firstLine(parent.stdout)
    expect(hasPostmaster(dataDir)).toBe(true)
    parent.kill('SIGKILL')
    await parent.exited
    await until(() => !hasPostmaster(dataDir))
  })

  test.skipIf(!isRoot || !canMount())('a full disk is refused with what to do', async () => {
    const disk = join(home, 'disk')
    mkdirSync(disk)
    const options = { dataDir: join(disk, 'data'), port: await freePort(), password, ...bin }
    const mount = 'mount -t tmpfs -o size=16m none "$0" && exec "$@"'
    const argv = ['unshare', '-m', 'sh', '-c', mount, disk, ...program(options)]
    const child = Bun.spawn(argv, { stdout: 'pipe' })
    expect(await firstLine(child.stdout)).toBe(
      `no space left for ${options.dataDir}: free some, or set SHELF_DIR to a folder on another disk`,
    )
    await child.exited
  })
})

/** setpriv arguments under which a program starts, whether root's PostgreSQL runs, and with what. */
const waysOfRoot = [
  ['in a folder that all may enter: no capability', tmpdir(), [], 0n],
  ['in a folder that only root may enter: dac_read_search', homedir(), [], 1n << 2n],
  ['without dac_read_search: dac_override', homedir(), ['dac_read_search'], 1n << 1n],
  ['without both: an error', homedir(), ['dac_read_search', 'dac_override'], undefined],
] as const

describe.skipIf(!isRoot || !hasSetpriv)('under root', () => {
  test.each(waysOfRoot)('it runs with the least privilege, %s', async (_, parent, lacks, caps) => {
    const home = mkdtempSync(join(parent, '.shelf-test-'))
    if (parent === tmpdir()) Bun.spawnSync(['chmod', '711', home])
    const dataDir = join(home, 'data')
    const drop = lacks.length > 0 ? [`--bounding-set=${lacks.map((cap) => `-${cap}`)}`] : []
    const argv = program({ dataDir, port: await freePort(), password })
    const child = Bun.spawn(['setpriv', ...drop, ...argv], { stdout: 'pipe' })
    const line = await firstLine(child.stdout)
    if (caps === undefined) {
      expect(line).toMatch(/start as an ordinary user, or set DATABASE_URL/)
    } else {
      const { pid } = JSON.parse(line)
      const status = readFileSync(`/proc/${pid}/status`, 'utf8')
      expect(BigInt(`0x${/^CapEff:\s+(\w+)/m.exec(status)?.[1]}`)).toBe(caps)
      expect(status).toMatch(/^Uid:\t[1-9]/m)
    }
    child.kill('SIGKILL')
    await child.exited
    await until(() => !hasPostmaster(dataDir))
    rmSync(home, { recursive: true, force: true })
  })

  test('a folder of an ordinary user stays that user’s', async () => {
    const home = mkdtempSync(join(homedir(), '.shelf-test-'))
    const dataDir = join(home, 'data')
    mkdirSync(dataDir, { mode: 0o700 })
    chownSync(dataDir, 1, 1)
    await start({ dataDir })
    expect(statSync(join(dataDir, 'base')).uid).toBe(1)
    await servers.pop()?.stop()
    rmSync(home, { recursive: true, force: true })
  })
})

const become = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups']

test.skipIf(!isRoot || !canRead(modulePath))('it runs under an ordinary user', async () => {
  const home = mkdtempSync(join(tmpdir(), 'shelf-test-'))
  chownSync(home, 65_534, 65_534)
  const dataDir = join(home, 'data')
  const argv = program({ dataDir, port: await freePort(), password })
  const child = Bun.spawn([...become, ...argv], { stdout: 'pipe', cwd: home })
  const { url } = JSON.parse(await firstLine(child.stdout))
  expect(await ask<{ one: number }>(url, 'select 1 as one')).toEqual({ one: 1 })
  child.kill('SIGKILL')
  await child.exited
  await until(() => !hasPostmaster(dataDir))
  rmSync(home, { recursive: true, force: true })
})

/** Whether an ordinary user can read the checkout and run Bun from it. */
function canRead(path: string): boolean {
  if (!hasSetpriv) return false
  const argv = [...become, 'sh', '-c', 'test -r "$0" && "$1" --version', path, process.execPath]
  return Bun.spawnSync(argv).exitCode === 0
}

function canMount(): boolean {
  return Bun.spawnSync(['unshare', '-m', 'mount', '-t', 'tmpfs', 'none', '/mnt']).exitCode === 0
}
