/**
 * Real captures for the tests. They come beside the repository, not in it, because their licences
 * are their sources'; a test that needs one that is absent is skipped, and says so by its name.
 */
import { test } from 'bun:test'
import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const FOLDER = new URL('../../shared/data/', import.meta.url)

export interface SharedData {
  name: string
  absent: boolean
  bytes: Uint8Array
  /** The bytes as UTF-8. */
  text: string
}

/** The file of that name; where it is absent, nothing of it. */
export function sharedData(name: string): SharedData {
  const path = fileURLToPath(new URL(name, FOLDER))
  const absent = !existsSync(path)
  if (absent) console.warn(`../shared/data/${name} is not there: what needs it is skipped`)
  const bytes = absent ? new Uint8Array() : new Uint8Array(readFileSync(path))
  return { name, absent, bytes, text: new TextDecoder().decode(bytes) }
}

/** A test that reads these files. */
export function testOn(files: readonly SharedData[], guarantee: string, body: () => void): void {
  const missing = files.filter(({ absent }) => absent).map(({ name }) => name)
  const reason = missing.length > 0 ? ` (skipped: no ../shared/data/${missing.join(', ')})` : ''
  test.skipIf(missing.length > 0)(guarantee + reason, body)
}
