/**
 * The state folder `.shelf/` (or SHELF_DIR): the secrets of a stack on one machine, the lock that
 * lets one stack at a time use it, and the word where that stack listens.
 */
import { Database } from 'bun:sqlite'
import { randomBytes } from 'node:crypto'
import {
  closeSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { z } from 'zod'
import { drainKeySchema } from '../core/credential.ts'

/** 256 bits: the key length of HMAC-SHA-256, and more than a password has to resist. */
const secretBytes = 32
/** The edge takes two at a time, for rotation. */
const drainKeysMax = 2
const portMax = 65_535
const defaultPorts = { edge: 8787, broker: 8788, dashboard: 8790, postgres: 54_320 }
const version = 1

const secret = z.string().regex(/^[\w-]{16,}$/, 'not base64url')
/** Loose: what a later release adds to version 1 stays as it is. */
const configSchema = z.looseObject({
  version: z.literal(version),
  postgresPassword: secret,
  brokerPassword: secret,
  drainKeys: z.array(drainKeySchema).min(1).max(drainKeysMax),
})
const runningSchema = z.object({
  version: z.literal(version),
  ports: z.record(z.enum(['edge', 'broker', 'dashboard', 'postgres']), z.int()),
  urls: z.object({ edge: z.string(), broker: z.string(), postgres: z.string() }),
})

export type Environment = Record<string, string | undefined>
/** What config.json holds, and the absolute path of the folder. */
export type State = z.infer<typeof configSchema> & { dir: string }
export type Ports = typeof defaultPorts
export type Urls = Running['urls']
/** Where a stack listens, for other commands to find it. */
export type Running = z.infer<typeof runningSchema>

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
  const found = readConfig(path)
  if (found) return { ...found, dir: resolve(dir) }
  const newSecret = () => randomBytes(secretBytes).toString('base64url')
  const config = {
    version,
    postgresPassword: newSecret(),
    brokerPassword: newSecret(),
    drainKeys: [{ id: 'k1', key: newSecret() }],
  }
  write(path, config, 'keep')
  // Another program may have been first.
  const kept = readConfig(path)
  if (!kept) throw new Error(`${path} vanished: is the folder being deleted?`)
  return { ...kept, dir: resolve(dir) }
}

/**
 * Takes the folder for one stack, until `release` or our death, however it comes. Throws an Error
 * when another stack has it.
 */
export function lockState(dir: string): { release(): void } {
  makeFolder(dir)
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

/**
 * The ports of a stack, moved by SHELF_PORT_OFFSET (unset or empty: 0). Throws an Error where the
 * offset is not a whole number or a port leaves 1..65535.
 */
export function ports(offset: string | undefined): Ports {
  const move = Number(offset || 0)
  const numbers = Object.values(defaultPorts)
  const [least, most] = [1 - Math.min(...numbers), portMax - Math.max(...numbers)]
  if (!Number.isInteger(move) || move < least || move > most) {
    throw new Error(
      `SHELF_PORT_OFFSET must be a whole number from ${least} to ${most}, not ${offset}`,
    )
  }
  const { edge, broker, dashboard, postgres } = defaultPorts
  return {
    edge: edge + move,
    broker: broker + move,
    dashboard: dashboard + move,
    postgres: postgres + move,
  }
}

/** Where a stack with this state and these ports answers; the passwords are in the URLs. */
export function urls(state: State, ports: Ports): Urls {
  return {
    edge: `http://127.0.0.1:${ports.edge}`,
    broker: `http://shelf:${state.brokerPassword}@127.0.0.1:${ports.broker}`,
    postgres: `postgres://shelf:${state.postgresPassword}@127.0.0.1:${ports.postgres}/shelf`,
  }
}

/** Says where the stack of the folder listens. */
export function writeRunning(dir: string, ports: Ports, urls: Urls): void {
  write(join(dir, 'running.json'), { version, ports, urls } satisfies Running, 'replace')
}

/** Takes that word back. */
export function clearRunning(dir: string): void {
  rmSync(join(dir, 'running.json'), { force: true })
}

/** Where the stack of the folder listens; undefined when none was started, or it was stopped. */
export function readRunning(dir: string): Running | undefined {
  const path = join(dir, 'running.json')
  const json = readJson(path)
  return json === undefined ? undefined : parse(path, runningSchema, json)
}

/** The PostgreSQL to use: DATABASE_URL, or the running stack's. Throws an Error without either. */
export function locateDatabase(env: Environment): string {
  return env.DATABASE_URL || runningUrls(env).postgres
}

/** The log to use: SHELF_LOG, or the running stack's. Throws an Error without either. */
export function locateLog(env: Environment): string {
  return env.SHELF_LOG || runningUrls(env).broker
}

/** Both, for programs that need both. */
export function locate(env: Environment): { databaseUrl: string; logUrl: string } {
  return { databaseUrl: locateDatabase(env), logUrl: locateLog(env) }
}

/** The edge of the running stack. Throws an Error when there is none. */
export function locateEdge(env: Environment): string {
  return runningUrls(env, 'name the edge with --edge URL').edge
}

/** The file of the deny list, which the stack's edge follows. */
export function revokedPath(dir: string): string {
  return join(dir, 'revoked.json')
}

/** Puts `drainIds`, all that are revoked, in the place of the deny list. */
export function writeRevoked(dir: string, drainIds: readonly string[]): void {
  write(revokedPath(dir), drainIds, 'replace')
}

function runningUrls(env: Environment, otherwise = 'set DATABASE_URL and SHELF_LOG'): Urls {
  const running = readRunning(stateDir(env))
  if (running) return running.urls
  throw new Error(`no stack found in ${stateDir(env)}: npm start, or ${otherwise}`)
}

function readConfig(path: string): z.infer<typeof configSchema> | undefined {
  const json = readJson(path)
  return json === undefined ? undefined : parse(path, configSchema, json)
}

function parse<Schema extends z.ZodType>(path: string, schema: Schema, json: unknown) {
  const made = z.object({ version: z.int() }).safeParse(json).data?.version ?? version
  if (made > version) {
    throw new Error(
      `${dirname(path)} was made by a newer Shelf (version ${made}): update, ` +
        'or set SHELF_DIR to another folder',
    )
  }
  const { data, error } = schema.safeParse(json)
  if (error) throw unreadable(path, z.prettifyError(error).replace(/\s+/g, ' '))
  return data
}

/** The file's JSON; undefined when there is no such file. */
function readJson(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, 'utf8'))
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined
    throw unreadable(path, error)
  }
}

/** Whole or not at all, also over a crash: a temporary file, synced, then moved into place. */
function write(path: string, json: unknown, onConflict: 'keep' | 'replace'): void {
  makeFolder(dirname(path))
  const temporary = `${path}.${randomBytes(6).toString('hex')}`
  try {
    const file = openSync(temporary, 'wx', 0o600)
    try {
      writeFileSync(file, `${JSON.stringify(json, null, 2)}\n`)
      fsyncSync(file)
    } finally {
      closeSync(file)
    }
    if (onConflict === 'replace') renameSync(temporary, path)
    else linkNew(temporary, path)
    const folder = openSync(dirname(path), 'r')
    fsyncSync(folder)
    closeSync(folder)
  } catch (error) {
    throw cannotWrite(path, error)
  } finally {
    rmSync(temporary, { force: true })
  }
}

/** A rename that keeps what is there already, where the file system has links. */
function linkNew(temporary: string, path: string): void {
  try {
    linkSync(temporary, path)
  } catch (error) {
    if (hasCode(error, 'EEXIST')) return
    renameSync(temporary, path)
  }
}

function makeFolder(dir: string): void {
  try {
    // Root's PostgreSQL runs as another user, who must pass through; its own folder is closed.
    mkdirSync(dir, { recursive: true, mode: process.getuid?.() === 0 ? 0o711 : 0o700 })
  } catch (error) {
    throw cannotWrite(dir, error)
  }
}

function unreadable(path: string, error: unknown): Error {
  const words = error instanceof Error ? error.message : String(error)
  return new Error(
    `${path} can't be read (${words}): repair it, or set SHELF_DIR to another folder`,
  )
}

function cannotWrite(path: string, error: unknown): Error {
  const words = error instanceof Error ? error.message : String(error)
  const advice = hasCode(error, 'ENOSPC') ? 'free some space' : 'make its folder writable'
  return new Error(`${path} can't be written (${words}): ${advice}, or set SHELF_DIR to another`, {
    cause: error,
  })
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code
}
