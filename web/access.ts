/**
 * Who may look: access tokens. A token is 256 random bits, so a plain SHA-256 keeps it safe: nobody
 * can try them all, and salt or a slow hash would add nothing.
 */
import * as z from 'zod'
import { appNameSchema } from '../core/credential.ts'
import type { Sql } from '../db/client.ts'

const TOKEN_BYTES = 32
const ID_BYTES = 6
/** Names of apps of one token: more want a token for all. */
const APPS_MAX = 1000

/** 43 characters of base64url are 32 bytes; the last carries 4 bits. */
const TOKEN = /^shelf_[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$/

/** Who looks. `apps` null: all of them. */
export interface Viewer {
  id: string
  apps: string[] | null
}

export interface Token extends Viewer {
  label: string
  createdAt: Date
  revokedAt: Date | null
}

/** Names of apps that a token may be for, 1 to 1000. */
export const tokenAppsSchema = z.array(appNameSchema).min(1).max(APPS_MAX)

/** A new token, as its holder gets it. It can't be had a second time. */
export function newToken(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(TOKEN_BYTES))
  return `shelf_${bytes.toBase64({ alphabet: 'base64url', omitPadding: true })}`
}

async function hashOf(token: string): Promise<string> {
  const hash = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(token))
  return new Uint8Array(hash).toHex()
}

/** Keeps a token; `apps` undefined: it is for all. @returns its id, by which it is revoked */
export async function addToken(
  sql: Sql,
  token: string,
  apps: readonly string[] | undefined,
  label = '',
): Promise<string> {
  const id = crypto.getRandomValues(new Uint8Array(ID_BYTES)).toHex()
  await sql`
    insert into shelf.tokens (id, hash, label, apps)
    values (${id}, decode(${await hashOf(token)}, 'hex'), ${label}, ${apps ? [...apps] : null})`
  return id
}

/** Whose token it is; undefined where it is none, or was revoked. */
export async function viewerOf(sql: Sql, token: string): Promise<Viewer | undefined> {
  if (!TOKEN.test(token)) return undefined
  const [viewer] = await sql<Viewer[]>`
    select id, apps from shelf.tokens
    where hash = decode(${await hashOf(token)}, 'hex') and revoked_at is null`
  return viewer
}

export async function listTokens(sql: Sql): Promise<Token[]> {
  return await sql<Token[]>`
    select id, label, apps, created_at as "createdAt", revoked_at as "revokedAt"
    from shelf.tokens order by created_at, id`
}

/** Revokes a token once and for all. @returns false where there is none of that id */
export async function revokeToken(sql: Sql, id: string): Promise<boolean> {
  const found = await sql`
    update shelf.tokens set revoked_at = coalesce(revoked_at, now()) where id = ${id} returning id`
  return found.length > 0
}

export function maySee({ apps }: Viewer, app: string): boolean {
  return apps === null || apps.includes(app)
}
