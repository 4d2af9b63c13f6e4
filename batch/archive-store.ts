/** Where the archive lies: an S3-compatible store, or a folder. */
import { folderStore } from './archive-folder.ts'
import { s3Store } from './archive-s3.ts'
import { UsageError } from './program.ts'
import type { Environment } from './state.ts'

/**
 * Files by name, with `/` between folders. Failures are LogErrors, for an archive is part of a log:
 * retryable where the store is away or full, not where it refuses.
 */
export interface ArchiveStore {
  /** For people: what SHELF_ARCHIVE says. */
  readonly name: string
  /** Names of the files right in a folder (`a/b/`), in order, from behind the name `after` on. */
  files(folder: string, after?: string): AsyncGenerator<string>
  /** Names of the folders right in a folder: `a/b/c/`. */
  folders(folder: string): Promise<string[]>
  /** A small file; undefined where there is none. */
  get(name: string): Promise<Uint8Array | undefined>
  /** A part of a file: shorter where that ends; undefined where there is no such file. */
  getPart(name: string, at: number, bytes: number): Promise<Uint8Array | undefined>
  /** Bytes of a file; undefined where there is none. */
  size(name: string): Promise<number | undefined>
  /** Writes a file, durably, whole or not at all: where the chunks fail, nothing is written. */
  put(name: string, chunks: AsyncIterable<Uint8Array<ArrayBuffer>>): Promise<void>
}

/**
 * The store that SHELF_ARCHIVE names: `s3://bucket/prefix`, with AWS_ACCESS_KEY_ID,
 * AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_REGION and AWS_ENDPOINT_URL; or a folder.
 * @throws UsageError where it is not set, or lacks something
 */
export function locateArchive(env: Environment): ArchiveStore {
  const place = env.SHELF_ARCHIVE
  if (!place) {
    throw new UsageError('set SHELF_ARCHIVE to s3://bucket/prefix, or to a folder')
  }
  if (place.startsWith('s3://')) return s3Store(place, env)
  if (/^[a-z0-9+.-]+:/i.test(place)) {
    throw new UsageError(`SHELF_ARCHIVE must be s3://bucket/prefix or a folder, not ${place}`)
  }
  return folderStore(place)
}
