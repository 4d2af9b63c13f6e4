/**
 * The state folder `.shelf/` (or SHELF_DIR): the secrets of a stack on one machine, the lock that
 * lets one stack at a time use it, and the deny list of its edge.
 */
import { Database } from 'bun:sqlite'
import { randomBytes } from 'node:crypto'
import { join, resolve } from 'node:path'
import { z } from 'zod'
import { drainKeySchema } from '../core/credential.ts'
import {
  cannotWrite,
  makeStateFolder,
  readStateFile,
  STATE_VERSION,
  writeStateFile,
} from './state-file.ts'

/** 256 bits: the key length of HMAC-SHA-256, and more than a password has to resist. */
const SECRET_BYTES = 32
/** The edge takes two at a time, for rotation. */
const DRAIN_KEYS_MAX = 2

const secret = z.string().regex(/^[\w-]{16,}$/, 'not base64url')
/** Loose: what a later release adds to version 1 stays as it is. */
const configSchema = z.looseObject({
  version: z.literal(STATE_VERSION),
  postgresPassword: secret,
  brokerPassword: secret,
  drainKeys: z.array(drainKeySchema).min(1).max(DRAIN_KEYS_MAX),
})

export type Environment = Record<string, string | undefined>
/** What config.json holds, and the absolute path of the folder. */
export type State = z.infer<typeof configSchema> & { dir: string }

/** The state folder that the environment means, as an absolute path. */
export function stateDir(env: Environment): string {
  return resolve(env.SHELF_DIR || '.shelf')
}

/**
 * Reads config.json of the folder, or makes it with new secrets. Throws an Error that says what to
 * do where the file is of a newer Shelf or not readable: it is never overwritten.
 */
export function openState(dir: string): State {
  const path = join(resolve(dir), 'config.json')
  const found = readStateFile(path, configSchema)
  if (found) return { ...found, dir: resolve(dir) }
  const newSecret = () => randomBytes(SECRET_BYTES).toString('base64url')
  const config = {
    version: STATE_VERSION,
    postgresPassword: newSecret(),
    brokerPassword: newSecret(),
    drainKeys: [{ id: 'k1', key: newSecret() }],
  }
  writeStateFile(path, config, 'keep')
  // Another program may have been first.
  const kept = readStateFile(path, configSchema)
  if (!kept) throw new Error(`${path} vanished: is the folder being deleted?`)
  return { ...kept, dir: resolve(dir) }
}

/**
 * Takes the folder for one stack, until `release` or our death, however it comes. Throws an Error
 * when another stack has it.
 */
export function lockState(dir: string): { release(): void } {
  makeStateFolder(dir)
  const path = join(dir, 'lock')
  let lock: Database | undefined
  try {
    lock = new Database(path, { create: true })
    lock.run('pragma busy_timeout = 0')
    // An open transaction is a lock of the kernel's on the file: no death leaves it behind.
    lock.run('begin exclusive')
  } catch (error) {
    lock?.close()
    if (error instanceof Error && 'code' in error && error.code === 'SQLITE_BUSY') {
      throw new Error(`a stack is running on ${dir}: stop it, or set SHELF_DIR to another folder`)
    }
    throw cannotWrite(path, error)
  }
  const held = lock
  return { release: () => held.close() }
}

/** The file of the deny list, which the stack's edge follows. */
export function revokedPath(dir: string): string {
  return join(dir, 'revoked.json')
}

/** Puts `drainIds`, all that are revoked, in the place of the deny list. */
export function writeRevoked(dir: string, drainIds: readonly string[]): void {
  writeStateFile(revokedPath(dir), drainIds, 'replace')
}
