/**
 * Real captures for the tests. They come beside the repository, not in it, because their licences
 * are their sources'; a test that needs one that is absent is skipped, and a warning says so.
 */
import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const FOLDER = new URL('../../shared/data/', import.meta.url)

export interface SharedData {
  /** For `test.skipIf`. */
  absent: boolean
  bytes: Uint8Array
  /** The bytes as UTF-8. */
  text: string
}

/** The file of that name; where it is absent, nothing of it. */
export function sharedData(name: string): SharedData {
  const path = fileURLToPath(new URL(name, FOLDER))
  const absent = !existsSync(path)
  if (absent) console.warn(`skipping what needs ../shared/data/${name}: it is not there`)
  const bytes = absent ? new Uint8Array() : new Uint8Array(readFileSync(path))
  return { absent, bytes, text: new TextDecoder().decode(bytes) }
}
