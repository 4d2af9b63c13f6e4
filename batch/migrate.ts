/** Brings a database to the schema of this version. */
import { fileURLToPath } from 'node:url'
import { drizzle } from 'drizzle-orm/postgres-js'
import { migrate as applyAll } from 'drizzle-orm/postgres-js/migrator'
import { connect, type Sql } from '../db/client.ts'
import journal from '../db/migrations/meta/_journal.json' with { type: 'json' }

/** How long to wait for another migrate, or for those who hold a table. */
const LOCK_TIMEOUT = '60s'

const FOLDER = fileURLToPath(new URL('../db/migrations', import.meta.url))

export interface MigrateOptions {
  /** Only say what would be applied. */
  dryRun?: boolean
}

/** The names of the migrations that the database lacks, in order. */
async function missing(sql: Sql): Promise<string[]> {
  const [table] = await sql`select to_regclass('shelf.migrations') is not null as exists`
  if (table?.exists !== true) return journal.entries.map((entry) => entry.tag)

  const [row] = await sql<{ last: number | null }[]>`
    select max(created_at) as last from shelf.migrations`
  const last = row?.last ?? 0
  const newest = Math.max(...journal.entries.map((entry) => entry.when))
  if (last > newest) {
    throw new Error(
      'this database was made by a newer version of Shelf: run that version, or an empty database',
    )
  }
  return journal.entries.filter((entry) => entry.when > last).map((entry) => entry.tag)
}

/**
 * Applies the missing migrations, all or none, and returns their names in order. Safe to call
 * again, and by several programs at once. Needs the owner of the database, and a session of its
 * own: no pooler that shares sessions between clients.
 */
export async function migrate(
  databaseUrl: string,
  options: MigrateOptions = {},
): Promise<string[]> {
  const sql = connect(databaseUrl, {
    max: 1,
    settings: { application_name: 'shelf migrate', lock_timeout: LOCK_TIMEOUT },
  })
  try {
    if (options.dryRun === true) return await missing(sql)

    // Held until the session ends: drizzle looks what is missing before its transaction begins.
    await sql`select pg_advisory_lock(hashtextextended('shelf.migrate', 0))`
    const names = await missing(sql)
    if (names.length > 0) {
      await applyAll(drizzle(sql), {
        migrationsFolder: FOLDER,
        migrationsSchema: 'shelf',
        migrationsTable: 'migrations',
      })
    }
    return names
  } finally {
    await sql.end({ timeout: 5 })
  }
}
