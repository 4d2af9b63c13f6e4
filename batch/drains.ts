/** The registry of drains: which were issued, and which of them were revoked. It holds no secrets. */
import { randomBytes } from 'node:crypto'
import { z } from 'zod'
import { appNameSchema, type DrainKey, drainKeysSchema, drainSecret } from '../core/credential.ts'
import { connect, type Sql } from '../db/client.ts'
import { readRunning, runningUrls } from './locate.ts'
import { UsageError } from './program.ts'
import { type Environment, openState, stateDir } from './state.ts'

/** The app that `shelf up` makes a drain for. */
const DEMO_APP = 'demo'

export interface Drain {
  id: string
  app: string
  keyId: string
  createdAt: Date
  revokedAt: Date | null
}

/**
 * The keys that sign drains for an edge elsewhere: SHELF_DRAIN_KEYS, or for this stack's, those of
 * its state folder. A drain signed with another key would be refused.
 * @throws UsageError without either
 */
export function signingKeys(env: Environment): DrainKey[] {
  if (env.SHELF_DRAIN_KEYS || readRunning(stateDir(env)) !== undefined) return drainKeys(env)
  throw new UsageError('no stack is running here: set SHELF_DRAIN_KEYS to the keys of your edge')
}

/**
 * The keys of a stack: SHELF_DRAIN_KEYS, or those of the state folder. The first signs.
 * @throws UsageError where SHELF_DRAIN_KEYS can't be read
 */
export function drainKeys(env: Environment): DrainKey[] {
  if (!env.SHELF_DRAIN_KEYS) return openState(stateDir(env)).drainKeys
  const parsed = drainKeysSchema.safeParse(env.SHELF_DRAIN_KEYS)
  if (!parsed.success) throw new UsageError(`SHELF_DRAIN_KEYS: ${z.prettifyError(parsed.error)}`)
  return [...parsed.data]
}

/** The URL of a drain as its sender gets it, credentials in it. */
export async function drainUrl(
  edgeUrl: string,
  key: DrainKey,
  drain: Pick<Drain, 'id' | 'app'>,
): Promise<string> {
  const url = new URL('/drains/heroku', edgeUrl)
  url.username = drain.app
  url.password = await drainSecret(key, drain.app, drain.id)
  return url.href
}

/** Where the agents of language runtimes post, as HEROKU_METRICS_URL wants it. */
export function metricsUrl(drainUrl: string): string {
  const url = new URL(drainUrl)
  return `${url.origin}${url.pathname}/metrics/${url.username}/${url.password}`
}

/** Issues a drain for `app`. @throws UsageError for what is no name of an app */
export async function addDrain(sql: Sql, key: DrainKey, app: string): Promise<Drain> {
  const name = appNameSchema.safeParse(app)
  if (!name.success) throw new UsageError(z.prettifyError(name.error))
  const id = randomBytes(6).toString('hex')
  const [drain] = await sql<Drain[]>`
    insert into shelf.drains (id, app, key_id) values (${id}, ${app}, ${key.id})
    returning id, app, key_id as "keyId", created_at as "createdAt", revoked_at as "revokedAt"`
  if (drain === undefined) throw new Error('the drain was not written')
  return drain
}

/** All drains, or those of one app, oldest first. */
export async function listDrains(sql: Sql, app?: string): Promise<Drain[]> {
  return await sql<Drain[]>`
    select id, app, key_id as "keyId", created_at as "createdAt", revoked_at as "revokedAt"
    from shelf.drains ${app === undefined ? sql`` : sql`where app = ${app}`}
    order by created_at, id`
}

/** Revokes a drain, once and for all. @returns the ids of all revoked drains, for the edge */
export async function revokeDrain(sql: Sql, id: string): Promise<string[]> {
  const found = await sql`
    update shelf.drains set revoked_at = coalesce(revoked_at, now()) where id = ${id} returning id`
  if (found.length === 0) throw new UsageError(`there is no drain ${id}: shelf drain list has them`)
  return await revokedDrains(sql)
}

async function revokedDrains(sql: Sql): Promise<string[]> {
  const rows = await sql<{ id: string }[]>`
    select id from shelf.drains where revoked_at is not null order by id`
  return rows.map(({ id }) => id)
}

/** The drain of app `demo`, issued when it is first asked for. `keys`: those that the edge holds. */
export async function demoDrainUrl(
  keys: readonly DrainKey[],
  databaseUrl: string,
  edgeUrl: string,
): Promise<string> {
  const sql = connect(databaseUrl, { max: 1 })
  try {
    for (const drain of await listDrains(sql, DEMO_APP)) {
      const key = keys.find(({ id }) => id === drain.keyId)
      if (drain.revokedAt === null && key) return await drainUrl(edgeUrl, key, drain)
    }
    const [key] = keys
    if (key === undefined) throw new Error('there is no key to sign a drain with')
    return await drainUrl(edgeUrl, key, await addDrain(sql, key, DEMO_APP))
  } finally {
    await sql.end({ timeout: 5 })
  }
}

/** The deny list of the database, for the edge. */
export async function readRevoked(databaseUrl: string): Promise<string[]> {
  const sql = connect(databaseUrl, { max: 1 })
  try {
    return await revokedDrains(sql)
  } finally {
    await sql.end({ timeout: 5 })
  }
}

/** The drain of app `demo` on the stack that runs here: with its own database, whatever else is set. */
export async function runningDrainUrl(env: Environment): Promise<string> {
  const urls = runningUrls(env)
  return await demoDrainUrl(drainKeys(env), urls.postgres, urls.edge)
}
