/** Runs a suite against a real PostgreSQL of each major version that must do. */
import { afterAll, beforeAll, describe, test } from 'bun:test'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect } from '../db/client.ts'
import { type PostgresServer, startPostgres } from '../db/server.ts'

/** The newest that ships with us, and the oldest that must do, from where Debian puts it. */
const VERSIONS = [
  { name: 'PostgreSQL 18', binDir: undefined },
  {
    name: 'PostgreSQL 15',
    binDir: process.env.SHELF_TEST_PG15_BIN ?? '/usr/lib/postgresql/15/bin',
  },
]

/** initdb and a first start, on a slow disk. */
const START_TIMEOUT_MS = 120_000

export function freePort(): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>()
  const server = createServer()
  server.once('error', reject)
  server.listen(0, '127.0.0.1', () => {
    const address = server.address()
    server.close(() => {
      if (address !== null && typeof address === 'object') resolve(address.port)
      else reject(new Error('no port'))
    })
  })
  return promise
}

type Suite = (newDatabase: () => Promise<string>) => void

/** Calls `suite` for each version at hand, with what makes an empty database and gives its URL. */
export function onEachPostgres(suite: Suite): void {
  onPostgres(VERSIONS, suite)
}

/** For what is about programs, whose SQL is tested on each. */
export function onNewestPostgres(suite: Suite): void {
  onPostgres(VERSIONS.slice(0, 1), suite)
}

function onPostgres(versions: typeof VERSIONS, suite: Suite): void {
  for (const { name, binDir } of versions) {
    if (binDir !== undefined && !existsSync(join(binDir, 'postgres'))) {
      test.skip(`${name} is not in ${binDir}: not tested on it`, () => {})
      continue
    }
    describe(name, () => {
      const folder = mkdtempSync(join(tmpdir(), 'shelf-sql-'))
      let server: PostgresServer | undefined
      let databases = 0

      beforeAll(async () => {
        const where = { dataDir: join(folder, 'data'), port: await freePort(), password: 'test' }
        const settings = { fsync: 'off' }
        server = await startPostgres({ ...where, settings, ...(binDir && { binDir }) })
      }, START_TIMEOUT_MS)

      afterAll(async () => {
        await server?.stop()
        rmSync(folder, { recursive: true, force: true })
      }, START_TIMEOUT_MS)

      suite(async () => {
        if (server === undefined) throw new Error('the server has not started')
        const database = `test_${++databases}`
        const sql = connect(server.url, { max: 1 })
        await sql`create database ${sql(database)}`
        await sql.end()
        const url = new URL(server.url)
        url.pathname = `/${database}`
        return url.href
      })
    })
  }
}
