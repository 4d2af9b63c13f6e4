/**
 * A JSON file of the state folder: written whole or not at all, readable by its owner only, and
 * refused where a newer Shelf made it.
 */
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
import { dirname } from 'node:path'
import { z } from 'zod'

/** In each file that another release may read; a file of a newer one is refused. */
export const STATE_VERSION = 1

/**
 * What the file holds; undefined when there is no such file. Throws an Error that says what to do
 * where it is of a newer Shelf or not readable.
 */
export function readStateFile<Schema extends z.ZodType>(
  path: string,
  schema: Schema,
): z.infer<Schema> | undefined {
  const json = readJson(path)
  if (json === undefined) return undefined
  const made = z.object({ version: z.int() }).safeParse(json).data?.version ?? STATE_VERSION
  if (made > STATE_VERSION) {
    throw new Error(
      `${dirname(path)} was made by a newer Shelf (version ${made}): update, ` +
        'or set SHELF_DIR to another folder',
    )
  }
  const { data, error } = schema.safeParse(json)
  if (error) throw unreadable(path, z.prettifyError(error).replace(/\s+/g, ' '))
  return data
}

/**
 * Writes it whole or not at all, also over a crash: a temporary file, synced, then moved into place.
 * On a conflict, what is there already is kept or replaced. Throws an Error that says what to do.
 */
export function writeStateFile(path: string, json: unknown, onConflict: 'keep' | 'replace'): void {
  makeStateFolder(dirname(path))
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

/** Makes the folder where there is none. Throws an Error that says what to do. */
export function makeStateFolder(dir: string): void {
  try {
    // Root's PostgreSQL runs as another user, who must pass through; its own folder is closed.
    mkdirSync(dir, { recursive: true, mode: process.getuid?.() === 0 ? 0o711 : 0o700 })
  } catch (error) {
    throw cannotWrite(dir, error)
  }
}

/** The error of a path that refuses to be written, in words that say what to do. */
export function cannotWrite(path: string, error: unknown): Error {
  const words = error instanceof Error ? error.message : String(error)
  const advice = hasCode(error, 'ENOSPC') ? 'free some space' : 'make its folder writable'
  return new Error(`${path} can't be written (${words}): ${advice}, or set SHELF_DIR to another`, {
    cause: error,
  })
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

/** A rename that keeps what is there already, where the file system has links. */
function linkNew(temporary: string, path: string): void {
  try {
    linkSync(temporary, path)
  } catch (error) {
    if (hasCode(error, 'EEXIST')) return
    renameSync(temporary, path)
  }
}

function unreadable(path: string, error: unknown): Error {
  const words = error instanceof Error ? error.message : String(error)
  return new Error(
    `${path} can't be read (${words}): repair it, or set SHELF_DIR to another folder`,
  )
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code
}
