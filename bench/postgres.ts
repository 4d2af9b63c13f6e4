/** A PostgreSQL of its own to measure on, with Shelf's schema. */
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { migrate } from '../batch/migrate.ts'
import { connect, type Sql } from '../db/client.ts'
import { findLauncher } from '../db/launcher.ts'
import { startPostgres } from '../db/server.ts'
import { freePort } from '../test/sql-server.ts'

export interface BenchPostgres {
  url: string
  sql: Sql
  stop(): Promise<void>
}

export interface BenchPostgresOptions {
  settings?: Record<string, string>
  /** Of another PostgreSQL than npm's, and an extension that only its superuser may add. */
  binDir?: string
  extension?: string
}

/** As `shelf up` sets it up, but for `settings`. */
export async function openPostgres({
  settings = {},
  binDir,
  extension,
}: BenchPostgresOptions = {}): Promise<BenchPostgres> {
  const folder = mkdtempSync(join(tmpdir(), 'shelf-bench-'))
  const place = { dataDir: join(folder, 'postgres'), port: await freePort(), password: 'bench' }
  const start = () => startPostgres({ ...place, settings, ...(binDir && { binDir }) })
  let server = await start()
  if (binDir !== undefined && extension !== undefined) {
    await server.stop()
    await addExtension(binDir, place.dataDir, extension)
    server = await start()
  }
  await migrate(server.url)
  const sql = connect(server.url, { max: 1 })
  return {
    url: server.url,
    sql,
    async stop() {
      await sql.end()
      await server.stop()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** The superuser may not log in: it is what a server of a single user has. */
async function addExtension(binDir: string, dataDir: string, name: string): Promise<void> {
  const { prefix } = await findLauncher(binDir, dataDir)
  const argv = [...prefix, join(binDir, 'postgres'), '--single', '-D', dataDir, 'shelf']
  const statement = new TextEncoder().encode(`create extension ${name} schema public\n`)
  const child = Bun.spawn(argv, { stdin: statement, stdout: 'ignore', stderr: 'ignore' })
  if ((await child.exited) !== 0) throw new Error(`${name} could not be added`)
}

/** Where Debian puts the oldest version that must do, if it is there. */
export function debianPostgres(): string | undefined {
  const binDir = process.env.SHELF_TEST_PG15_BIN ?? '/usr/lib/postgresql/15/bin'
  return existsSync(join(binDir, 'postgres')) ? binDir : undefined
}

/** Rows of a table, as COPY writes them. */
export async function copyOf(sql: Sql, table: string): Promise<Buffer> {
  const parts: Buffer[] = []
  const stream = await sql.unsafe(`copy (select * from ${table}) to stdout`).readable()
  const done = Promise.withResolvers<void>()
  // Flowing: postgres.js leaves its socket paused where a stream ends that was read step by step.
  stream.on('data', (part) => parts.push(part))
  stream.on('end', done.resolve)
  stream.on('error', done.reject)
  await done.promise
  return Buffer.concat(parts)
}

/** Loads them into a table of schema public. */
export async function copyInto(sql: Sql, table: string, text: Buffer): Promise<void> {
  const stream = await sql`copy ${sql(`public.${table}`)} from stdin`.writable()
  const done = Promise.withResolvers<void>()
  stream.on('finish', done.resolve)
  stream.on('error', done.reject)
  stream.end(text)
  await done.promise
}

/** Whether the PostgreSQL of `binDir` has an extension at hand, in Debian's places. */
export function hasExtension(binDir: string, name: string): boolean {
  const [, version = ''] = /postgresql\/(\d+)\/bin$/.exec(binDir) ?? []
  return existsSync(`/usr/share/postgresql/${version}/extension/${name}.control`)
}
