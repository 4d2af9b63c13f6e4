/** `shelf archive` as a process: killed, refused, on a full disk, with a large hour, within `run`. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'bun:test'
import { randomBytes } from 'node:crypto'
import { rmSync } from 'node:fs'
import { archiveLog } from '../batch/archive-log.ts'
import { type ArchiveStore, locateArchive } from '../batch/archive-store.ts'
import { verifyArchive } from '../batch/archive-verify.ts'
import { migrate } from '../batch/migrate.ts'
import { EmbeddedLog } from '../broker/embedded.ts'
import { serve } from '../broker/serve.ts'
import { startPostgres } from '../db/server.ts'
import {
  allOf,
  contentOf,
  HOURS,
  hourStart,
  logOfHours,
  setClock,
  temporaryFolder,
} from './archive-places.ts'
import { ChangingLog } from './changing-log.ts'
import { type S3Server, startS3 } from './s3-server.ts'
import { freePort } from './sql-server.ts'
import { shelf, until } from './stack.ts'

/** A program takes some 90 MB for itself; an hour may be 100 times as large as this is. */
const RSS_BYTES_MAX = 400 * 1_048_576

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

let s3: S3Server
let places = 0
beforeAll(async () => {
  s3 = await startS3()
})
afterAll(() => s3.stop())

function newFolder(): string {
  const { folder, remove } = temporaryFolder()
  cleanups.push(remove)
  return folder
}

/** Serves a log over HTTP; its clock stands where the test left it. */
function served(log: ChangingLog): string {
  log.release()
  const topic = { partitions: 4 }
  const nowMs = log.nowMs
  const again = new EmbeddedLog({
    folder: log.folder,
    topics: { raw: topic, aggregates: topic, 'dead-letter': topic },
    wallMs: () => nowMs,
    elapsedMs: () => 0,
  })
  const serving = serve(again, { hostname: '127.0.0.1', port: 0, password: 'test' })
  cleanups.push(async () => {
    await serving.stop()
    rmSync(log.folder, { recursive: true, force: true })
  })
  return serving.url.replace('://', '://shelf:test@')
}

/** Runs the program to its end. */
async function run(args: string[], env: Record<string, string>) {
  const child = shelf(['archive', ...args], env)
  const [stdout, stderr, exitCode] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ])
  return { stdout, stderr, exitCode, rssBytes: child.resourceUsage()?.maxRSS ?? 0 }
}

async function wrongOf(store: ArchiveStore): Promise<number> {
  return (await verifyArchive(store, new AbortController().signal, () => {})).wrong
}

describe.each([
  ['a folder', () => ({ SHELF_ARCHIVE: newFolder() })],
  ['S3', () => s3.env(`p${++places}`)],
])('in %s', (_name, newEnv) => {
  test('killed again and again, it ends with the bytes of a run that was left alone', async () => {
    const SHELF_LOG = served(await logOfHours(100, 4))
    const [calm, killed] = [newEnv(), newEnv()]
    const whole = await run([], { ...calm, SHELF_LOG })
    expect(whole).toMatchObject({ exitCode: 0, stderr: `${4 * HOURS} hours archived\n` })
    let kills = 0
    for (;;) {
      const child = shelf(['archive'], { ...killed, SHELF_LOG })
      // Behind the first hour that it copied, it is at the next one.
      const { done } = await child.stdout.getReader().read()
      if (done && (await child.exited) === 0) break
      await Bun.sleep(Math.random() * 10)
      child.kill('SIGKILL')
      await child.exited
      kills += 1
    }
    expect(kills).toBeGreaterThan(0)
    const [one, two] = [calm, killed].map(locateArchive)
    if (one === undefined || two === undefined) throw new Error('two were asked for')
    const content = await contentOf(two)
    for (const name of Object.keys(content)) if (!name.startsWith('raw/')) delete content[name]
    expect(content).toEqual(await contentOf(one))
    expect(await wrongOf(two)).toBe(0)
    expect((await allOf(archiveLog(two, 0), 3)).length).toBe(100 * HOURS)
  })

  test('two processes at once, and a dry run that writes nothing', async () => {
    const SHELF_LOG = served(await logOfHours(30, 4))
    const env = { ...newEnv(), SHELF_LOG }
    const store = locateArchive(env)
    const planned = await run(['--dry-run'], env)
    expect(planned).toMatchObject({ exitCode: 0, stderr: '' })
    const lines = planned.stdout.trim().split('\n')
    expect(lines.length).toBe(4 * HOURS)
    const first = new Date(hourStart(HOURS)).toISOString()
    expect(lines[0]).toMatch(new RegExp(`^0 ${first} 30 records about \\d+ bytes$`))
    expect(await contentOf(store)).toEqual({})

    const both = await Promise.all([run([], env), run([], env)])
    expect(both.map(({ exitCode }) => exitCode)).toEqual([0, 0])
    expect(both.map(({ stdout }) => stdout).join('')).toContain(`0 ${first} 30 records `)
    const checked = await run(['--verify'], { ...env, SHELF_LOG: 'http://127.0.0.1:1' })
    expect(checked).toMatchObject({ exitCode: 0, stdout: '' })
    expect(checked.stderr).toMatch(/^12 hours, 360 records, \d+ bytes: all right\n$/)
  })
})

test('each way that an archive can fail is one line, and an exit code', async () => {
  const SHELF_LOG = served(await logOfHours(3))
  const good: Record<string, string> = { ...s3.env(`p${++places}`), SHELF_LOG }
  const cases: [Record<string, string>, number, string][] = [
    [{ SHELF_ARCHIVE: '' }, 2, 'set SHELF_ARCHIVE'],
    [{ SHELF_ARCHIVE: 'ftp://somewhere' }, 2, 's3://bucket/prefix or a folder'],
    [{ SHELF_ARCHIVE: 's3://' }, 2, 's3://bucket/prefix'],
    [{ AWS_SECRET_ACCESS_KEY: '' }, 2, 'AWS_SECRET_ACCESS_KEY'],
    [{ AWS_ENDPOINT_URL: 'localhost:9000' }, 2, 'AWS_ENDPOINT_URL must be'],
    [{ AWS_SECRET_ACCESS_KEY: 'wrong' }, 1, 'SignatureDoesNotMatch'],
    [{ SHELF_ARCHIVE: 's3://nobody/x' }, 1, 'no such bucket'],
    [{ AWS_ENDPOINT_URL: 'http://127.0.0.1:1' }, 75, 'ConnectionRefused'],
    [{ SHELF_LOG: 'http://a:b@127.0.0.1:1' }, 75, "can't reach the log"],
    [{ SHELF_ARCHIVE: '/dev/null/x' }, 1, 'refuses'],
  ]
  for (const [changes, code, words] of cases) {
    const { exitCode, stderr, stdout } = await run([], { ...good, ...changes })
    expect([exitCode, stdout]).toEqual([code, ''])
    expect(stderr).toContain(words)
    expect(stderr.trim().split('\n').length).toBe(code === 2 ? 2 : 1)
  }
  expect(await contentOf(locateArchive(good))).toEqual({})
  // A name that was mistyped holds nothing that could be wrong.
  const empty = await run(['--verify'], good)
  expect(empty).toMatchObject({ exitCode: 1, stdout: '' })
  expect(empty.stderr).toMatch(
    /^shelf archive: nothing is archived in s3:\S+: is it the place\?\n$/,
  )
})

test('a full disk says so with exit code 75, and what counts is whole', async () => {
  const log = new ChangingLog()
  setClock(log, hourStart(1))
  for (let at = 0; at < 12; at++) await log.appendRaw(randomBytes(300_000).toString('base64'))
  setClock(log, hourStart(0))
  await log.appendRaw('')
  const SHELF_LOG = served(log)
  const SHELF_ARCHIVE = newFolder()
  // The OS refuses each byte behind the first megabyte of a file, as a full disk does.
  const shell = `trap '' XFSZ; ulimit -f 1000; exec "$0" batch/shelf.ts archive`
  const child = Bun.spawn(['bash', '-c', shell, process.execPath], {
    env: { ...process.env, SHELF_LOG, SHELF_ARCHIVE },
    stderr: 'pipe',
  })
  expect(await child.exited).toBe(75)
  expect(await new Response(child.stderr).text()).toContain('free some space')
  const store = locateArchive({ SHELF_ARCHIVE })
  expect(await contentOf(store)).toEqual({})
  expect(await run([], { SHELF_LOG, SHELF_ARCHIVE })).toMatchObject({ exitCode: 0 })
  expect((await allOf(archiveLog(store, 0))).length).toBe(12)
})

test('an hour far larger than its memory is written to S3 and read back block by block', async () => {
  const log = new ChangingLog()
  setClock(log, hourStart(1))
  for (let at = 0; at < 400; at++) {
    await log.appendRaw(randomBytes(750_000).toString('base64'))
  }
  setClock(log, hourStart(0))
  await log.appendRaw('')
  const env = { ...s3.env(`p${++places}`), SHELF_LOG: served(log) }
  const written = await run([], env)
  expect(written).toMatchObject({ exitCode: 0, stderr: '1 hours archived\n' })
  const checked = await run(['--verify'], env)
  expect(checked.stderr).toMatch(/^1 hours, 400 records, 30\d{7} bytes: all right\n$/)
  expect(written.rssBytes).toBeLessThan(RSS_BYTES_MAX)
  expect(checked.rssBytes).toBeLessThan(RSS_BYTES_MAX)
})

test('shelf run archives where SHELF_ARCHIVE is set', async () => {
  const SHELF_LOG = served(await logOfHours(5, 4))
  const SHELF_ARCHIVE = newFolder()
  const folder = newFolder()
  const where = { dataDir: `${folder}/data`, port: await freePort(), password: 'test' }
  const postgres = await startPostgres({ ...where, settings: { fsync: 'off' } })
  cleanups.push(() => postgres.stop())
  await migrate(postgres.url)
  const env = { SHELF_LOG, SHELF_ARCHIVE, DATABASE_URL: postgres.url }
  const workers = [shelf(['run'], env), shelf(['run'], env)]
  const store = locateArchive(env)
  await until('all hours', async () => {
    const counts = await Promise.all([0, 1, 2, 3].map((p) => allOf(archiveLog(store, 0), p)))
    return counts.every(({ length }) => length === 5 * HOURS)
  })
  for (const worker of workers) worker.kill('SIGTERM')
  expect(await Promise.all(workers.map((worker) => worker.exited))).toEqual([0, 0])
  expect(await wrongOf(store)).toBe(0)
})
