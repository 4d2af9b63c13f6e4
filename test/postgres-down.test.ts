/** While PostgreSQL is down: drains are taken, cells are made, and the rows come when it is back. */
import { afterAll, beforeAll, expect, test } from 'bun:test'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { migrate } from '../batch/migrate.ts'
import { connect } from '../db/client.ts'
import { startPostgres } from '../db/server.ts'
import { type GeneratedBody, generateBodies } from './generator.ts'
import { freePort } from './sql-server.ts'
import { caughtUp, Restarted, type Stack, startStack, until } from './stack.ts'

const folder = mkdtempSync(join(tmpdir(), 'shelf-down-'))
let stack: Stack

beforeAll(async () => {
  stack = await startStack()
})
afterAll(async () => {
  await stack.stop()
  rmSync(folder, { recursive: true, force: true })
})

const APP = 'alpha'
const LINES = 20

const { bodies } = generateBodies(7, {
  apps: [APP],
  bodies: 3,
  lines: LINES,
  endMs: Math.floor(Date.now() / 60_000) * 60_000,
})

async function post({ frameId, body, messages }: GeneratedBody): Promise<void> {
  expect(await stack.post(APP, frameId, body, messages)).toBe(204)
}

/** Requests in the cells of the topic aggregates. */
async function aggregated(): Promise<number> {
  let requests = 0
  const { aggregates = 0 } = await stack.log.topics()
  for (let partition = 0; partition < aggregates; partition++) {
    const records = await stack.log.read('aggregates', partition, 0)
    for (const { value } of records) {
      const { cells } = JSON.parse(String(value))
      for (const cell of cells) if (cell.kind === 'requests') requests += cell.requests
    }
  }
  return requests
}

test('shelf run goes on making cells while PostgreSQL is down, and makes rows of them later', async () => {
  const postgres = { dataDir: join(folder, 'data'), port: await freePort(), password: 'test' }
  const first = await startPostgres(postgres)
  await migrate(first.url)
  const worker = new Restarted(['run'], stack.env(first.url))
  const [one, two, three] = bodies
  if (one === undefined || two === undefined || three === undefined) throw new Error('no bodies')
  await post(one)
  await caughtUp(stack.log, first.url)

  await first.stop()
  await post(two)
  await until('cells of what came meanwhile', async () => (await aggregated()) === 2 * LINES)
  // A worker that starts while PostgreSQL is down does so too.
  worker.kill()
  await post(three)
  await until('cells by a new worker', async () => (await aggregated()) === 3 * LINES)

  const again = await startPostgres(postgres)
  await caughtUp(stack.log, again.url)
  const sql = connect(again.url, { max: 1 })
  expect([...(await sql`select sum(requests)::int as requests from shelf.requests_1m`)]).toEqual([
    { requests: 3 * LINES },
  ])
  await sql.end()
  await worker.stop()
  await again.stop()
})
