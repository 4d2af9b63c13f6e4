/**
 * Drain credentials, verified with no lookup: the secret of a drain is
 * `<key id>.<drain id>.<HMAC-SHA-256 over app, key id and drain id>`. The key id allows two keys at
 * a time, for rotation; the drain id lets one drain be revoked and the app be given another.
 */
import * as z from 'zod'

/** Heroku's app names have at most 30 characters; others' are longer. */
export const APP_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/

export const appNameSchema = z
  .string()
  .regex(APP_NAME, 'an app name is 1 to 64 letters, digits, dots, dashes and underscores')

const keyIdSchema = z.string().regex(/^[A-Za-z0-9]{1,16}$/)

/** The keys that sign drains, newest first: `id:base64url,id:base64url`. At most two are valid. */
export const drainKeysSchema = z.string().transform((text, context) => {
  const keys = text.split(',').map((entry) => {
    const [id = '', ...key] = entry.trim().split(':')
    return { id, key: key.join(':') }
  })
  const parsed = z.array(drainKeySchema).min(1).max(2).safeParse(keys)
  const ids = new Set(keys.map(({ id }) => id))
  const [newest, ...older] = parsed.data ?? []
  if (newest !== undefined && ids.size === keys.length) return [newest, ...older] as const
  context.addIssue({
    code: 'custom',
    message:
      'one or two keys as id:base64url, separated by a comma, of different ids; a key has at least 32 bytes',
  })
  return z.NEVER
})

/** An HMAC key and its name. */
export const drainKeySchema = z.object({
  id: keyIdSchema,
  /** base64url of at least 32 bytes. */
  key: z.string().regex(/^(?=[\w-]{43})(?:[\w-]{4})+(?:[\w-]{2}(?:==)?|[\w-]{3}=?)?$/),
})

export type DrainKey = z.infer<typeof drainKeySchema>

export function drainKeysToText(keys: readonly DrainKey[]): string {
  return keys.map(({ id, key }) => `${id}:${key}`).join(',')
}

/**
 * The last character of 32 bytes as base64url carries 4 bits: of those that differ in the other two,
 * only the one that was made is the secret.
 */
const SECRET = /^([A-Za-z0-9]{1,16})\.([a-z0-9]{1,32})\.([A-Za-z0-9_-]{42}[AEIMQUYcgkosw048])$/

const encoder = new TextEncoder()

const message = (app: string, keyId: string, drainId: string): Uint8Array<ArrayBuffer> =>
  encoder.encode(`shelf drain 1\n${app}\n${keyId}\n${drainId}`)

function importKey(key: DrainKey): Promise<CryptoKey> {
  const bytes = Uint8Array.fromBase64(key.key, { alphabet: 'base64url' })
  return crypto.subtle.importKey('raw', bytes, { name: 'HMAC', hash: 'SHA-256' }, false, [
    'sign',
    'verify',
  ])
}

/** The secret of drain `drainId` (1 to 32 lower-case letters and digits) of `app`. */
export async function drainSecret(key: DrainKey, app: string, drainId: string): Promise<string> {
  const mac = await crypto.subtle.sign('HMAC', await importKey(key), message(app, key.id, drainId))
  const text = new Uint8Array(mac).toBase64({ alphabet: 'base64url', omitPadding: true })
  return `${key.id}.${drainId}.${text}`
}

/** Whose drain it is. */
export interface DrainIdentity {
  app: string
  drainId: string
}

/** Tells whether an `Authorization` header is that of a drain. */
export type Authenticate = (authorization: string | null) => Promise<DrainIdentity | undefined>

/**
 * Checks `Authorization: Basic base64(app:secret)` in constant time, against the keys in force and
 * the ids of revoked drains.
 */
export function authenticator(
  keys: readonly DrainKey[],
  revoked: ReadonlySet<string>,
): Authenticate {
  const imported = new Map(keys.map((key) => [key.id, importKey(key)]))
  return async (authorization) => {
    const credentials = basicCredentials(authorization)
    if (credentials === undefined) return undefined
    const [, keyId = '', drainId = '', mac = ''] = SECRET.exec(credentials.password) ?? []
    const key = await imported.get(keyId)
    if (key === undefined || !APP_NAME.test(credentials.user)) return undefined
    const app = credentials.user
    const signature = Uint8Array.fromBase64(mac, { alphabet: 'base64url' })
    const valid = await crypto.subtle.verify('HMAC', key, signature, message(app, keyId, drainId))
    return valid && !revoked.has(drainId) ? { app, drainId } : undefined
  }
}

/** RFC 7617, as far as it is needed: ASCII user and password. */
function basicCredentials(
  authorization: string | null,
): { user: string; password: string } | undefined {
  const [, encoded] = /^basic +([A-Za-z0-9+/=_-]{1,512})$/i.exec(authorization ?? '') ?? []
  if (encoded === undefined) return undefined
  let text: string
  try {
    text = atob(encoded)
  } catch {
    return undefined
  }
  const colon = text.indexOf(':')
  return colon < 0 ? undefined : { user: text.slice(0, colon), password: text.slice(colon + 1) }
}

/**
 * Who did something, as 8 hex digits: enough to tell a team's people apart, and, being keyed, no way
 * back to an e-mail. With another key the same person has another hash.
 */
export function userHasher(key: DrainKey): (app: string, user: string) => Promise<string> {
  const imported = importKey(key)
  return async (app, user) => {
    const text = encoder.encode(`shelf user 1\n${app}\n${user}`)
    const mac = await crypto.subtle.sign('HMAC', await imported, text)
    return new Uint8Array(mac, 0, 4).toHex()
  }
}
