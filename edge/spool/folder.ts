/**
 * The spool in a folder, for Bun and Deno. `spool/` and `rejected/` hold a folder a minute of receipt,
 * and that a file a burst; `new/` holds what is being written. A file has its name only when all of it
 * is on disk: a kill leaves no half. Folders of a minute keep a list short, however much waits.
 */
import { mkdir, open, readdir, rename, rm, rmdir, stat } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { inTime } from '../time.ts'
import { FolderBytes, onDisk } from './folder-bytes.ts'
import { unlessGone } from './gone.ts'
import { OBJECT_BYTES_MAX, REJECTED, type Spool, step, WAITING } from './spool.ts'

const NEW = 'new/'

/** What is older in `new/` was left by a crash; what is younger may be another process's. */
const LEFT_MS_MIN = 60_000

/** How long the start waits for the size of what waits: of some 10,000 files. */
const COUNT_MS_MAX = 500

/** How often a burst finds the folder of its minute gone, which a drain emptied, and makes it again. */
const PLACE_TRIES_MAX = 5

const MINUTE = /^\d{8}T\d{4}$/

/**
 * Makes the folders where they are not there yet, and sweeps what a crash left half written.
 * @param bytesMax of the disk, for all that waits or was rejected; beyond it a put fails. Of a large
 * spool the size is known a while after the start: it takes some 0.1 ms a file
 * @throws Error where the folder can't be written
 */
export async function folderSpool(folder: string, bytesMax: number): Promise<Spool> {
  const [unfinished, waiting, rejected] = [
    resolve(folder, NEW),
    resolve(folder, WAITING),
    resolve(folder, REJECTED),
  ]
  for (const made of [unfinished, waiting, rejected]) {
    await mkdir(made, { recursive: true, mode: 0o700 })
  }
  await sweep(unfinished)
  const disk = new FolderBytes()
  const counted = Promise.all([disk.count(waiting), disk.count(rejected)]).catch((error) =>
    console.error(`edge: the size of the spool is not known: ${error}`),
  )
  await inTime(counted, COUNT_MS_MAX)
  const minutes = new Folders()

  /** Gives a file its name under `root`, durably. */
  const place = async (from: string, to: string, root: string): Promise<void> => {
    for (let tries = 1; ; tries++) {
      await minutes.make(dirname(to), root)
      try {
        await rename(from, to)
        break
      } catch (error) {
        minutes.forget()
        if (tries === PLACE_TRIES_MAX) throw error
        unlessGone(error)
      }
    }
    await sync(dirname(to))
  }

  const remove = async (path: string): Promise<void> => {
    const { size } = await stat(path)
    await rm(path)
    disk.remove(dirname(path), size)
  }
  const removeEmpty = async (minute: string): Promise<void> => {
    if (!MINUTE.test(basename(minute))) return
    // Not `rm`: this fails where a burst came meanwhile.
    await rmdir(minute).then(
      () => disk.forget(minute),
      () => {},
    )
  }

  const listed = async (limit: number): Promise<string[]> => {
    const entries = await readdir(waiting, { withFileTypes: true })
    const names: string[] = []
    for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
      if (names.length >= limit) break
      if (entry.isFile()) names.push(entry.name)
      if (!entry.isDirectory() || !MINUTE.test(entry.name)) continue
      const files = (await readdir(join(waiting, entry.name)).catch(unlessGone)) ?? []
      if (files.length === 0) await removeEmpty(join(waiting, entry.name))
      names.push(...files.sort().map((name) => `${entry.name}/${name}`))
    }
    return names.slice(0, limit)
  }

  return {
    async put(name, value) {
      const path = join(waiting, name)
      const { bytes } = disk
      if (bytes + onDisk(value.length) > bytesMax) {
        throw new Error(`the spool is full: it has ${bytes} bytes`)
      }
      const made = join(unfinished, crypto.randomUUID())
      disk.add(dirname(path), value.length)
      try {
        await writeSynced(made, value)
        await place(made, path, waiting)
      } catch (error) {
        disk.remove(dirname(path), value.length)
        await rm(made, { force: true }).catch(() => {})
        throw error
      }
    },
    list: (limit) => step(listed(limit)),
    get: (name) => read(join(waiting, name)).catch(unlessGone),
    async delete(names) {
      const paths = names.map((name) => join(waiting, name))
      for (const path of paths) await remove(path).catch(unlessGone)
      for (const minute of new Set(paths.map((path) => dirname(path)))) await removeEmpty(minute)
    },
    async reject(name) {
      const [from, to] = [join(waiting, name), join(rejected, name)]
      const move = async (): Promise<void> => {
        const { size } = await stat(from)
        await place(from, to, rejected)
        disk.remove(dirname(from), size)
        disk.add(dirname(to), size)
      }
      await move().catch(unlessGone)
      await removeEmpty(dirname(from))
    },
  }
}

/** The folders of minutes: the one that was made last is known to be there, and durable. */
class Folders {
  private last = ''
  private ready: Promise<void> | undefined

  async make(folder: string, root: string): Promise<void> {
    if (this.last !== folder || this.ready === undefined) {
      this.last = folder
      this.ready = mkdir(folder, { recursive: true, mode: 0o700 }).then(() => sync(root))
    }
    const { ready } = this
    await ready.catch((error) => {
      if (this.ready === ready) this.forget()
      throw error
    })
  }

  forget(): void {
    this.ready = undefined
  }
}

async function sweep(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    const path = join(folder, name)
    const file = await stat(path).catch(unlessGone)
    if (file === undefined || Date.now() - file.mtimeMs < LEFT_MS_MIN) continue
    await rm(path, { recursive: true, force: true })
  }
}

async function read(path: string): Promise<Uint8Array<ArrayBuffer> | 'too-large'> {
  const file = await open(path, 'r')
  try {
    const { size } = await file.stat()
    return size > OBJECT_BYTES_MAX ? 'too-large' : new Uint8Array(await file.readFile())
  } finally {
    await file.close()
  }
}

async function writeSynced(path: string, value: Uint8Array): Promise<void> {
  const file = await open(path, 'wx', 0o600)
  try {
    await file.writeFile(value)
    await file.sync()
  } finally {
    await file.close()
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
