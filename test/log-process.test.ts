/** What changes the log, the whole way: the broker and the programs as processes of their own. */
import { afterEach, expect, test } from 'bun:test'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { migrate } from '../batch/migrate.ts'
import { restLog } from '../broker/client.ts'
import { REPARTITIONED } from '../core/control.ts'
import { connect, type Sql } from '../db/client.ts'
import { rawBurst } from './bursts.ts'
import { ChangingLog } from './changing-log.ts'
import { onNewestPostgres } from './sql-server.ts'
import { Restarted, shelf, until } from './stack.ts'

const MINUTE_MS = 60_000
const HOUR_MS = 3_600_000

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'shelf-process-'))
  cleanups.push(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** A broker process on a folder; `port` 0 takes a free one. */
async function startBroker(folder: string, partitions: number, port = 0) {
  const broker = Bun.spawn([process.execPath, 'broker/main.ts'], {
    env: {
      ...process.env,
      SHELF_DIR: folder,
      SHELF_BROKER_PORT: String(port),
      SHELF_BROKER_PASSWORD: 'test',
      SHELF_PARTITIONS: String(partitions),
      SHELF_EXIT_WITH_PARENT: '1',
    },
    stdin: 'pipe',
    stdout: 'ignore',
    stderr: 'pipe',
  })
  const stop = async () => {
    broker.kill('SIGTERM')
    await broker.exited
  }
  cleanups.push(stop)
  let said = ''
  for await (const chunk of broker.stderr) {
    said += new TextDecoder().decode(chunk)
    const [, found] = /http:\/\/127\.0\.0\.1:(\d+)/.exec(said) ?? []
    if (found !== undefined) {
      return { port: Number(found), url: `http://shelf:test@127.0.0.1:${found}`, stop }
    }
  }
  throw new Error(`the broker did not start: ${said}`)
}

onNewestPostgres((newDatabase) => {
  const database = async (): Promise<{ url: string; sql: Sql }> => {
    const url = await newDatabase()
    await migrate(url)
    const sql = connect(url, { max: 2 })
    cleanups.push(() => sql.end())
    return { url, sql }
  }

  const countsOf = async (sql: Sql) => {
    const [row] = await sql<{ requests: number; duplicates: number; repartitioned: number }[]>`
      select (select coalesce(sum(requests), 0) from shelf.requests_1m)::int as requests,
        coalesce(sum(duplicates), 0)::int as duplicates,
        coalesce(sum(repartitioned), 0)::int as repartitioned
      from shelf.ledger_1m`
    return row
  }

  test('a broker that comes back with more partitions: programs that run work on all', async () => {
    const folder = newFolder()
    const before = await startBroker(folder, 2)
    const { url, sql } = await database()
    const log = restLog({ url: before.url })
    const worker = new Restarted(['run'], { SHELF_LOG: before.url, DATABASE_URL: url })
    cleanups.push(() => worker.stop())
    const append = (number: number, partition: number) =>
      log.append('raw', [{ value: rawBurst({ number, receivedAtMs: Date.now() }), partition }])
    await append(1, 0)
    await append(2, 1)
    await until('two bursts', async () => (await countsOf(sql))?.requests === 2)
    await before.stop()
    await startBroker(folder, 4, before.port)
    await append(3, 3)
    await until('the burst of a new partition', async () => (await countsOf(sql))?.requests === 3)
    // Each partition there was says so; so may the worker, who saw them grow.
    await until('the ledger', async () => ((await countsOf(sql))?.repartitioned ?? 0) >= 2)
    await expect(log.createTopics({ raw: 5 })).rejects.toMatchObject({ code: 'not-offered' })

    // As lines, and back.
    const env = { SHELF_LOG: before.url }
    const from = shelf(['from', 'raw', '--until', 'now', '-p', '0'], env)
    const lines = (await new Response(from.stdout).text()).trim().split('\n')
    const line = lines.find((text) => text.includes('repartitioned')) ?? ''
    expect(JSON.parse(line)).toMatchObject({ partition: 0, repartitioned: true })
    const end = await log.offsetAt('raw', 0, 'latest')
    const file = join(folder, 'line.ndjson')
    await Bun.write(file, `${line}\n`)
    expect(await shelf(['to', 'raw'], env, Bun.file(file)).exited).toBe(0)
    // The programs may add a tick.
    expect((await log.read('raw', 0, end)).map(({ value }) => value)).toContain('AAE=')
  })

  test('the pipe knows what lies before its input: bursts, and a growth of raw', async () => {
    const past = new ChangingLog({ aheadMs: -20 * MINUTE_MS })
    cleanups.push(() => past.close())
    const burst = (number: number) => rawBurst({ number, receivedAtMs: past.nowMs })
    await past.appendRaw(burst(1), REPARTITIONED)
    past.aheadMs += 5 * MINUTE_MS
    await past.appendRaw(burst(1), burst(2))
    past.aheadMs += 3000
    await past.appendRaw('')
    past.release()
    const broker = await startBroker(past.folder, 1)
    const env = { SHELF_LOG: broker.url, SHELF_DIR: newFolder() }
    const from = shelf(['from', 'raw', '--until', 'now'], env)
    const lines = (await new Response(from.stdout).text()).split('\n').slice(2)
    const file = join(env.SHELF_DIR, 'raw.ndjson')
    await Bun.write(file, lines.join('\n'))
    const aggregate = shelf(['aggregate'], env, Bun.file(file))
    const { ledger } = JSON.parse(await new Response(aggregate.stdout).text())
    expect(ledger).toMatchObject([{ received: 2, duplicates: 1, repartitioned: 1 }])
  })

  test('a burst that came late counts once in the pipe as it does in the programs', async () => {
    // The first try was written 5 hours ago, the second now.
    const past = new ChangingLog({ aheadMs: -5 * HOUR_MS })
    cleanups.push(() => past.close())
    const receivedAtMs = past.nowMs
    await past.appendRaw(rawBurst({ number: 1, receivedAtMs }))
    past.aheadMs = -3000
    await past.appendRaw(rawBurst({ number: 1, receivedAtMs }))
    await past.appendRaw(rawBurst({ number: 2, receivedAtMs }))
    past.aheadMs = -500
    await past.appendRaw('')
    past.release()
    const broker = await startBroker(past.folder, 1)

    const piped = await database()
    const env = { SHELF_LOG: broker.url, DATABASE_URL: piped.url, SHELF_DIR: newFolder() }
    const from = shelf(['from', 'raw', '--until', 'now'], env)
    const file = join(env.SHELF_DIR, 'raw.ndjson')
    await Bun.write(file, await new Response(from.stdout).arrayBuffer())
    const cells = join(env.SHELF_DIR, 'aggregates.ndjson')
    const aggregate = shelf(['aggregate'], env, Bun.file(file))
    await Bun.write(cells, await new Response(aggregate.stdout).arrayBuffer())
    expect(await shelf(['persist'], env, Bun.file(cells)).exited).toBe(0)
    const once = { requests: 2, duplicates: 1, repartitioned: 0 }
    expect(await countsOf(piped.sql)).toEqual(once)

    const live = await database()
    const worker = new Restarted(['run'], { ...env, DATABASE_URL: live.url })
    cleanups.push(() => worker.stop())
    await until('both', async () => (await countsOf(live.sql))?.requests === 2)
    expect(await countsOf(live.sql)).toEqual(once)

    // Without a log nobody can know, and the filter says so.
    const alone = shelf(['aggregate'], { ...env, SHELF_LOG: '' }, Bun.file(file))
    expect(await new Response(alone.stderr).text()).toContain("can't be looked up without the log")
    expect(await alone.exited).toBe(0)
  })
})
