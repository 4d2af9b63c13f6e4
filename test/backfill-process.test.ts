/** `shelf backfill` as it is run: beside live workers, killed, beside another one, under a crash. */
import { afterEach, expect, test } from 'bun:test'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { migrate } from '../batch/migrate.ts'
import { restLog } from '../broker/client.ts'
import type { Log } from '../broker/log.ts'
import { connect, type Sql } from '../db/client.ts'
import { startPostgres } from '../db/server.ts'
import { ChangingLog } from './changing-log.ts'
import { random } from './generator.ts'
import { HOUR_MS, MINUTE_MS, placesOf, replay, richBurst } from './replay.ts'
import { freePort, onNewestPostgres } from './sql-server.ts'
import { allRows, caughtUp, Restarted, shelf, until } from './stack.ts'

const APPS = ['shop', 'till', 'blog', 'mail']
const PARTITIONS = 2
const BURSTS = 1500

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

async function startBroker(folder: string): Promise<string> {
  const broker = Bun.spawn([process.execPath, 'broker/main.ts'], {
    env: {
      ...process.env,
      ...{ SHELF_DIR: folder, SHELF_BROKER_PORT: '0', SHELF_BROKER_PASSWORD: 'test' },
      ...{ SHELF_PARTITIONS: String(PARTITIONS), SHELF_EXIT_WITH_PARENT: '1' },
    },
    ...{ stdin: 'pipe', stdout: 'ignore', stderr: 'pipe' },
  })
  cleanups.push(async () => {
    broker.kill('SIGTERM')
    await broker.exited
  })
  let said = ''
  for await (const chunk of broker.stderr) {
    said += new TextDecoder().decode(chunk)
    const [, port] = /http:\/\/127\.0\.0\.1:(\d+)/.exec(said) ?? []
    if (port !== undefined) return `http://shelf:test@127.0.0.1:${port}`
  }
  throw new Error(`the broker did not start: ${said}`)
}

/** A broker whose log has an hour of traffic, two hours ago. */
async function logWithTraffic(): Promise<{ logUrl: string; log: Log; sinceMs: number }> {
  const past = new ChangingLog({ partitions: PARTITIONS, aheadMs: 0 })
  cleanups.push(() => past.close())
  past.aheadMs = -3 * HOUR_MS - (past.nowMs % HOUR_MS)
  const sinceMs = past.nowMs
  for (let number = 0; number < BURSTS; number++) {
    const app = number % APPS.length
    const receivedAtMs = past.nowMs
    const value = richBurst({ number, receivedAtMs, app: APPS[app] ?? '', ageMs: 90_000 })
    await past.append('raw', [{ value, partition: app % PARTITIONS }])
    past.aheadMs += HOUR_MS / BURSTS
  }
  past.release()
  const logUrl = await startBroker(past.folder)
  return { logUrl, log: restLog({ url: logUrl }), sinceMs }
}

/** As a bug would have left them. */
async function damage(sql: Sql): Promise<void> {
  await sql`update shelf.requests_1m set requests = requests + 1 where app = 'shop'`
  await sql`delete from shelf.gauges_1m where app = 'till'`
  await sql`update shelf.counters_1m set app = 'ghost' where app = 'blog'`
  await sql`delete from shelf.marker_lines where app = 'mail'`
}

async function ended(child: ReturnType<typeof shelf>) {
  const [stdout, stderr] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ])
  return { code: await child.exited, stdout, stderr }
}

/** Late data for the range, all the time. Returns what ends it. */
function lateData(log: Log, sinceMs: number): () => Promise<number> {
  let isEnded = false
  let late = 0
  const coming = (async () => {
    while (!isEnded) {
      const app = late % APPS.length
      const receivedAtMs = sinceMs + ((late * 7) % 60) * MINUTE_MS
      const number = 100_000 + late++
      const value = richBurst({ number, receivedAtMs, app: APPS[app] ?? '', ageMs: 90_000 })
      await log.append('raw', [{ value, partition: app % PARTITIONS }])
      await Bun.sleep(20)
    }
    return late
  })()
  return async () => {
    isEnded = true
    return await coming
  }
}

onNewestPostgres((newDatabase) => {
  const database = async () => {
    const url = await newDatabase()
    await migrate(url)
    const sql = connect(url, { max: 2 })
    cleanups.push(() => sql.end())
    return { url, sql }
  }

  test('beside live workers and late data, killed again and again, it ends as a full replay', async () => {
    const { logUrl, log, sinceMs } = await logWithTraffic()
    const { url, sql } = await database()
    const folder = mkdtempSync(join(tmpdir(), 'shelf-backfill-'))
    cleanups.push(() => rmSync(folder, { recursive: true, force: true }))
    const env = { SHELF_LOG: logUrl, DATABASE_URL: url, SHELF_DIR: folder }
    const workers = ['aggregate', 'persist', 'persist'].map((name) => new Restarted([name], env))
    await caughtUp(log, url)
    await damage(sql)

    const stopLate = lateData(log, sinceMs)
    const iso = (timeMs: number) => new Date(timeMs).toISOString()
    const args = ['backfill', '--since', iso(sinceMs), '--until', iso(sinceMs + HOUR_MS)]
    const next = random(5)
    let resumed = 0
    let run = ''
    for (let kill = 0; kill < 6; kill++) {
      const child = shelf(args, env)
      const isOver = child.exited.then(() => true)
      await until('it to be at work', async () => {
        const [job] = await sql<{ run: string }[]>`
          select run from shelf.backfill where run <> ${run}`
        run = job?.run ?? run
        return job !== undefined || (await Promise.race([isOver, false]))
      })
      await Bun.sleep(next() * 150)
      child.kill('SIGKILL')
      if ((await ended(child)).stderr.includes('resumes')) resumed += 1
    }
    const last = await ended(shelf(args, env))
    expect(last).toMatchObject({ code: 0, stdout: '' })
    expect(await stopLate()).toBeGreaterThan(50)
    await caughtUp(log, url)
    expect(resumed).toBeGreaterThan(0)

    await Promise.all(workers.map((worker) => worker.stop()))
    const truth = await database()
    await replay(log, truth.sql, await placesOf(sql))
    // What was written an hour before by the clock of an event is outside the range.
    const isIn = (row: string) => !/\d\d:5[89]:/.test(row) || !row.includes(hourBefore(sinceMs))
    expect((await allRows(sql)).filter(isIn)).toEqual((await allRows(truth.sql)).filter(isIn))
  })

  test('a second one exits with 75, a stopped one too; a dry run prints lines; wrong usage is 2', async () => {
    const { logUrl, log, sinceMs } = await logWithTraffic()
    const { url, sql } = await database()
    const env = { SHELF_LOG: logUrl, DATABASE_URL: url }
    const worker = new Restarted(['run'], env)
    await caughtUp(log, url)
    await worker.stop()
    const iso = new Date(sinceMs).toISOString()
    const args = ['backfill', '--since', iso, '--until', new Date(sinceMs + HOUR_MS).toISOString()]

    const holder = await sql.reserve()
    await holder`select pg_advisory_lock(hashtextextended('shelf.backfill', 0))`
    const second = await ended(shelf(args, env))
    expect(second).toMatchObject({ code: 75, stdout: '' })
    expect(second.stderr).toBe('shelf backfill: another backfill is running\n')
    await holder`select pg_advisory_unlock(hashtextextended('shelf.backfill', 0))`
    holder.release()

    // Persist is held up: so the backfill waits, and is stopped while it does.
    await sql.begin(async (transaction) => {
      await transaction`lock table shelf.progress in row share mode`
      const child = shelf(args, env)
      await until('it to wait', async () => {
        const waiting = await sql`
          select from pg_stat_activity
          where application_name = 'shelf backfill' and wait_event_type = 'Lock'`
        return waiting.length > 0
      })
      child.kill('SIGTERM')
      const stopped = await ended(child)
      expect(stopped.code).toBe(75)
      expect(stopped.stderr).toContain('stopped: the same command goes on where it was')
    })

    const right = await allRows(sql)
    await sql`update shelf.requests_1m set requests = requests + 1 where app = 'mail'`
    const dry = await ended(shelf([...args, '--dry-run', '--app', 'mail', '--app', 'shop'], env))
    expect(dry.code).toBe(0)
    const lines = dry.stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    const [first] = lines
    expect(lines.every(({ app, table }) => app === 'mail' && table === 'requests_1m')).toBe(true)
    expect(first.before.requests).toBe(first.after.requests + 1)
    expect(dry.stderr).toContain(`${lines.length} rows would be changed, 0 added, 0 removed; `)
    const real = await ended(shelf([...args, '--app', 'mail'], env))
    expect(real.stderr).toContain(`${lines.length} rows changed, 0 added, 0 removed; `)
    const outside = (row: string) => row.includes(hourBefore(sinceMs))
    expect((await allRows(sql)).filter((row) => !outside(row))).toEqual(
      right.filter((row) => !outside(row)),
    )

    const nobody = await ended(shelf([...args, '--app', 'nobody'], env))
    expect(nobody.code).toBe(0)
    expect(nobody.stderr).toContain('of nobody there is nothing in that time, in rows or log')

    // What another version of Shelf staged is not gone on with.
    await sql`
      insert into shelf.backfill (run, arguments, since, until, done_until)
      select 'killed', ${JSON.stringify({ version: '0.0.1', since: args[2], until: args[4], from: 'raw' })},
        ${args[2] ?? ''}, ${args[4] ?? ''}, ${args[4] ?? ''}`
    const updated = await ended(shelf(args, env))
    expect(updated.code).toBe(0)
    expect(updated.stderr).toContain('what it had staged is thrown away')

    for (const [wrong, words] of [
      [[], '--since tells from when on'],
      [['--since', '1h', '--until', '2h'], '--since must lie before --until'],
      [['--since', 'yesterday'], 'yesterday is no time'],
      [['--since', '1h', '--app', 'no/name'], 'no/name is no name of an app'],
      [['--since', '1h', '--from', 'tape'], '--from takes raw or archive'],
      [['--since', '1h', '--from', 'archive'], 'set SHELF_ARCHIVE'],
    ] as const) {
      const refused = await ended(shelf(['backfill', ...wrong], { ...env, SHELF_ARCHIVE: '' }))
      expect(refused.stderr).toContain(words)
      expect(refused.code).toBe(2)
    }
    const away = { ...env, SHELF_LOG: 'http://shelf:x@127.0.0.1:9' }
    expect(await ended(shelf(args, away))).toMatchObject({ code: 75 })
  })
})

/** Events of the first minutes may claim times before the range. */
const hourBefore = (sinceMs: number): string =>
  new Date(sinceMs - HOUR_MS).toISOString().slice(0, 13).replace('T', ' ')

test('PostgreSQL that crashes in the middle takes what was staged with it: it begins anew', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'shelf-crash-'))
  cleanups.push(() => rmSync(folder, { recursive: true, force: true }))
  const place = { dataDir: join(folder, 'data'), port: await freePort(), password: 'test' }
  const server = await startPostgres(place)
  await migrate(server.url)
  const { logUrl, log, sinceMs } = await logWithTraffic()
  const env = { SHELF_LOG: logUrl, DATABASE_URL: server.url }
  const worker = new Restarted(['run'], env)
  await caughtUp(log, server.url)
  await worker.stop()
  const sql = connect(server.url, { max: 2 })
  const right = await allRows(sql)
  await damage(sql)

  const args = ['backfill', '--since', new Date(sinceMs - HOUR_MS).toISOString(), '--until', 'now']
  // It waits with all staged: then the server crashes.
  const holder = await sql.reserve()
  await holder`begin`
  await holder`lock table shelf.progress in row share mode`
  const child = shelf(args, env)
  await until('all to be staged', async () => {
    const waiting = await sql`
      select from pg_stat_activity
      where application_name = 'shelf backfill' and wait_event_type = 'Lock'`
    return waiting.length > 0
  })
  server.kill()
  const crashed = await ended(child)
  expect(crashed.code).toBe(75)
  expect(crashed.stderr).toContain('the same command goes on')
  await server.exited
  await sql.end({ timeout: 1 })

  const again = await startPostgres(place)
  const after = connect(again.url, { max: 2 })
  expect(await after`select from shelf.counters_staged`).toHaveLength(0)
  const done = await ended(shelf(args, env))
  expect(done.code).toBe(0)
  expect(done.stderr).not.toContain('resumes')
  expect(await allRows(after)).toEqual(right)
  await after.end()
  await again.stop()
})
