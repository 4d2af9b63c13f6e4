import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect } from '../db/client.ts'
import { frame, routerLine } from './generator.ts'
import { until } from './stack.ts'

const ROOT = join(import.meta.dir, '..')
const PLAYLAB = join(ROOT, '../shared/data/playlab-router.log')

/** A port range that neither a stack of the developer's nor the other tests use. */
const OFFSET = 3000 + (process.pid % 4000)

interface Up {
  process: Bun.Subprocess<'ignore', 'pipe', 'pipe'>
  urls: Record<string, string>
  words: () => string
}

/** Starts `shelf up` and reads its lines; throws what it said where it ends before. */
async function up(dir: string, offset = OFFSET): Promise<Up> {
  const process_ = Bun.spawn([process.execPath, 'batch/shelf.ts', 'up'], {
    cwd: ROOT,
    env: { ...process.env, SHELF_DIR: dir, SHELF_PORT_OFFSET: String(offset) },
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'pipe',
  })
  let words = ''
  const listening = (async () => {
    const decoder = new TextDecoder()
    for await (const chunk of process_.stderr) words += decoder.decode(chunk)
  })()
  const urls: Record<string, string> = {}
  const decoder = new TextDecoder()
  let text = ''
  for await (const chunk of process_.stdout) {
    text += decoder.decode(chunk)
    for (const [, name = '', url = ''] of text.matchAll(/^(\w+) +(\S+)\n/gm)) urls[name] = url
    if (urls.broker !== undefined) break
  }
  if (urls.broker === undefined) {
    await listening
    throw new Error(`exit ${await process_.exited}: ${words}`)
  }
  return { process: process_, urls, words: () => words }
}

async function stop(stack: Up): Promise<number> {
  stack.process.kill('SIGINT')
  return await stack.process.exited
}

function shelf(dir: string, ...args: string[]) {
  return Bun.spawnSync([process.execPath, 'batch/shelf.ts', ...args], {
    cwd: ROOT,
    env: { ...process.env, SHELF_DIR: dir },
  })
}

async function requests(databaseUrl: string, app: string): Promise<number> {
  const sql = connect(databaseUrl, { max: 1 })
  try {
    const [row] = await sql<{ n: number }[]>`
      select coalesce(sum(requests), 0)::bigint as n from shelf.requests_1m where app = ${app}`
    return row?.n ?? 0
  } finally {
    await sql.end()
  }
}

/** Processes that have `dir` in their command line or environment. */
function leftOver(dir: string): string {
  const { stdout } = Bun.spawnSync(['ps', 'eww', '-eo', 'pid,args'])
  const own = String(process.pid)
  return stdout
    .toString()
    .split('\n')
    .filter((line) => line.includes(dir) && !line.trim().startsWith(own))
    .join('\n')
}

describe('shelf up', () => {
  const dir = mkdtempSync(join(tmpdir(), 'shelf-up-'))
  let stack: Up
  beforeAll(async () => {
    stack = await up(dir)
  })
  afterAll(async () => {
    await stop(stack)
    rmSync(dir, { recursive: true, force: true })
  })

  test('prints dashboard, drain, postgres and broker, each with a URL that works', async () => {
    expect(Object.keys(stack.urls)).toEqual(['dashboard', 'token', 'drain', 'postgres', 'broker'])
    const headers = { authorization: `Bearer ${stack.urls.token}` }
    expect((await fetch(`${stack.urls.dashboard}/api/apps`, { headers })).status).toBe(200)
    expect((await fetch(`${stack.urls.dashboard}/api/apps`)).status).toBe(401)
    const response = await fetch(`${stack.urls.drain}`, {
      method: 'POST',
      headers: { 'content-type': 'application/logplex-1', 'logplex-frame-id': 'up-1' },
      body: frame(routerLine(Date.now(), { service: 5, connect: 1, status: 200, bytes: 10 })),
    })
    expect(response.status).toBe(204)
    await until('the request to be a row', async () => {
      return (await requests(stack.urls.postgres ?? '', 'demo')) === 1
    })
    const topics = await fetch(`${stack.urls.broker}/topics`)
    expect(Object.keys(await topics.json())).toContain('raw')
  })

  test('drain add prints the URL as its only line, and revoke ends it at the running edge', async () => {
    const { stdout } = shelf(dir, 'drain', 'add', 'shop')
    const lines = stdout.toString().split('\n')
    expect(lines).toHaveLength(2)
    const url = lines[0] ?? ''
    const post = () =>
      fetch(url, {
        method: 'POST',
        headers: { 'content-type': 'application/logplex-1' },
        body: frame(routerLine(Date.now(), { service: 5, connect: 1, status: 200, bytes: 10 })),
      })
    expect((await post()).status).toBe(204)
    const [, id = ''] = /:k1\.([a-z0-9]+)\./.exec(url) ?? []
    expect(shelf(dir, 'drain', 'revoke', id).exitCode).toBe(0)
    await until('the edge to refuse it', async () => (await post()).status === 401)
    expect(shelf(dir, 'drain', 'list', 'shop').stdout.toString()).toMatch(
      new RegExp(`^${id}\tshop\tk1\t\\S+\t\\d{4}-`),
    )
  })

  test('a program that dies is started again, a line says so, and nothing is lost', async () => {
    const before = await requests(stack.urls.postgres ?? '', 'demo')
    const children = Bun.spawnSync(['pgrep', '-P', String(stack.process.pid)])
    const pids = children.stdout.toString().trim().split('\n').map(Number)
    expect(pids.length).toBeGreaterThanOrEqual(4)
    for (const pid of pids) process.kill(pid, 'SIGKILL')
    const lines = join(dir, 'lines.log')
    const at = new Date().toISOString().slice(0, 23)
    writeFileSync(
      lines,
      `${at}+00:00 heroku[router]: at=info dyno=web.1 connect=0ms service=9ms status=200 bytes=1\n`,
    )
    await until('the stack to take a line again', async () => {
      return shelf(dir, 'send', lines).exitCode === 0
    })
    await until('the line to be a row', async () => {
      return (await requests(stack.urls.postgres ?? '', 'demo')) === before + 1
    })
    for (const name of ['postgres', 'broker', 'edge', 'worker', 'dashboard']) {
      expect(stack.words()).toMatch(new RegExp(`^${name}: .*SIGKILL`, 'm'))
    }
  })

  test('a second stack on the same folder, or on the same ports, is told what to do', async () => {
    await expect(up(dir, OFFSET + 10)).rejects.toThrow('SHELF_DIR')
    const other = mkdtempSync(join(tmpdir(), 'shelf-up-'))
    await expect(up(other)).rejects.toThrow('SHELF_PORT_OFFSET')
    await until('both to have ended', async () => leftOver(other) === '')
    rmSync(other, { recursive: true, force: true })
  })

  test('Ctrl-C leaves nothing running, and a second start goes on with the same data', async () => {
    const before = await requests(stack.urls.postgres ?? '', 'demo')
    const { drain } = stack.urls
    expect(await stop(stack)).toBe(0)
    expect(leftOver(dir)).toBe('')
    stack = await up(dir)
    expect(stack.urls.drain).toBe(drain ?? '')
    expect(await requests(stack.urls.postgres ?? '', 'demo')).toBe(before)
  })

  const name = existsSync(PLAYLAB)
    ? "a real app's log: counts, sums and extremes are exact, percentiles within 1.083 %"
    : `the real log is not there (${PLAYLAB}): its figures are not tested`
  test.skipIf(!existsSync(PLAYLAB))(name, async () => {
    const { stdout } = shelf(dir, 'drain', 'add', 'playlab')
    const sent = shelf(dir, 'send', PLAYLAB, '--drain', stdout.toString().trim(), '--shift-to-now')
    expect(sent.stderr.toString()).toContain('sent 11865 lines')
    const databaseUrl = stack.urls.postgres ?? ''
    await until('all rows', async () => (await requests(databaseUrl, 'playlab')) === 11_865)
    const sql = connect(databaseUrl, { max: 1 })
    const stats = await sql`
      select requests, p50, p95, p99, max, mean, status, completeness from
      shelf.request_stats('playlab', now() - interval '1 hour', now()) order by bucket`
    expect(stats.map((row) => row.requests)).toEqual([37, 860, 1717, 8428, 823])
    expect(stats.every((row) => row.completeness === 1)).toBe(true)
    const [total] = await sql`
      select shelf.add_counts(status) as status, (shelf.merge(service)).min as min,
        (shelf.merge(service)).max as max, shelf.mean(shelf.merge(service)) as mean,
        shelf.quantile(shelf.merge(service), 0.5) as p50,
        shelf.quantile(shelf.merge(service), 0.9) as p90,
        shelf.quantile(shelf.merge(service), 0.95) as p95,
        shelf.quantile(shelf.merge(service), 0.99) as p99,
        shelf.quantile(shelf.merge(service), 0.999) as p999
      from shelf.requests_1m where app = 'playlab'`
    await sql.end()
    expect(total?.status).toEqual({ '200': 11_122, '304': 741, '400': 2 })
    const text = await Bun.file(PLAYLAB).text()
    const service = Array.from(text.matchAll(/ service=(\d+)ms/g), ([, ms]) => Number(ms))
    service.sort((a, b) => a - b)
    expect(total?.min).toBe(4)
    expect(total?.max).toBe(7029)
    expect(total?.mean).toBe(service.reduce((sum, ms) => sum + ms, 0) / service.length)
    for (const [key, q] of [
      ['p50', 0.5],
      ['p90', 0.9],
      ['p95', 0.95],
      ['p99', 0.99],
      ['p999', 0.999],
    ] as const) {
      const exact = service[Math.ceil(q * service.length) - 1] ?? Number.NaN
      expect(Math.abs(total?.[key] / exact - 1)).toBeLessThanOrEqual(0.01083)
    }
  })
})
