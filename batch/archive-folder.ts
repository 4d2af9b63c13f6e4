/** The archive in a folder. A file has its name only when all of it is on disk. */
import { randomUUID } from 'node:crypto'
import { mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { dirname, join, relative, resolve } from 'node:path'
import { LogError } from '../broker/error.ts'
import type { ArchiveStore } from './archive-store.ts'

/** What is being written; swept of what was left by a kill. */
const NEW = 'new'

/** What nobody wrote to for so long was left by a kill. */
const LEFT_MS_MIN = 3_600_000

export function folderStore(place: string): ArchiveStore {
  const root = resolve(place)

  /** Undefined where there is no such file. */
  const asked = <T>(answer: Promise<T>): Promise<T | undefined> =>
    answer.catch((error) => {
      if (isGone(error)) return undefined
      throw refused(root, error)
    })

  const names = async (folder: string, isWanted: (entry: { isFile(): boolean }) => boolean) => {
    const entries = await asked(readdir(join(root, folder), { withFileTypes: true }))
    return (entries ?? [])
      .filter(isWanted)
      .map(({ name }) => folder + name)
      .sort()
  }

  return {
    name: place,
    async *files(folder, after = '') {
      for (const name of await names(folder, (entry) => entry.isFile())) {
        if (name > after) yield name
      }
    },
    async folders(folder) {
      return (await names(folder, (entry) => !entry.isFile())).map((name) => `${name}/`)
    },
    get: (name) => asked(readFile(join(root, name))),
    getPart: (name, at, bytes) => asked(readPart(join(root, name), at, bytes)),
    size: async (name) => (await asked(stat(join(root, name))))?.size,
    async put(name, chunks) {
      const path = join(root, name)
      const made = join(root, NEW, randomUUID())
      try {
        await makeFolder(root, dirname(made))
        await sweep(dirname(made))
        await writeSynced(made, chunks)
        await makeFolder(root, dirname(path))
        await rename(made, path)
        await sync(dirname(path))
      } catch (error) {
        await rm(made, { force: true }).catch(() => {})
        throw hasCode(error) ? refused(root, error) : error
      }
    },
  }
}

async function readPart(path: string, at: number, bytes: number): Promise<Uint8Array> {
  const file = await open(path, 'r')
  try {
    const part = new Uint8Array(bytes)
    let length = 0
    while (length < bytes) {
      const { bytesRead } = await file.read(part, length, bytes - length, at + length)
      if (bytesRead === 0) break
      length += bytesRead
    }
    return part.subarray(0, length)
  } finally {
    await file.close()
  }
}

async function writeSynced(path: string, chunks: AsyncIterable<Uint8Array>): Promise<void> {
  const file = await open(path, 'wx', 0o600)
  try {
    for await (const chunk of chunks) await file.writeFile(chunk)
    await file.sync()
  } finally {
    await file.close()
  }
}

/** Makes a folder below the root, each durable in the one above it. */
async function makeFolder(root: string, folder: string): Promise<void> {
  const first = await mkdir(folder, { recursive: true, mode: 0o700 })
  if (first === undefined) return
  for (let made = folder; made.length >= first.length; made = dirname(made)) {
    await sync(dirname(made))
    if (relative(root, made).startsWith('..')) return
  }
}

/** The names in a folder are durable when the folder is. */
async function sync(folder: string): Promise<void> {
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

async function sweep(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    const path = join(folder, name)
    const file = await stat(path).catch(() => undefined)
    if (file !== undefined && Date.now() - file.mtimeMs >= LEFT_MS_MIN) {
      await rm(path, { force: true })
    }
  }
}

function refused(root: string, error: unknown): LogError {
  const words = error instanceof Error ? error.message : String(error)
  const isFull = /ENOSPC|EDQUOT|EFBIG/.test(words)
  const advice = isFull ? ': free some space' : ''
  const code = isFull || /EIO|EROFS|ESTALE/.test(words) ? 'disk' : 'unauthorized'
  return new LogError(code, `the archive in ${root} refuses: ${words}${advice}`, { cause: error })
}

const hasCode = (error: unknown): error is Error & { code: unknown } =>
  error instanceof Error && 'code' in error && !(error instanceof LogError)

const isGone = (error: unknown): boolean =>
  hasCode(error) && (error.code === 'ENOENT' || error.code === 'ENOTDIR')
