/**
 * The spool in a folder, for Bun and Deno: `spool/` and `rejected/` hold a file a burst, `new/` what
 * is being written. A file has its name only when all of it is on disk: a kill leaves no half.
 */
import { mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { REJECTED, type Spool, WAITING } from './spool.ts'

const NEW = 'new/'

/** What a small file takes of the disk, on ext4, XFS and APFS alike. */
const BLOCK_BYTES = 4096

/**
 * Makes the folders where they are not there yet, and sweeps what a crash left half written.
 * @param bytesMax of the disk, for all that waits or was rejected; beyond it a put fails
 * @throws Error where the folder can't be written
 */
export async function folderSpool(folder: string, bytesMax: number): Promise<Spool> {
  const pathOf = (prefix: string, name: string): string => join(folder, prefix, name)
  await rm(join(folder, NEW), { recursive: true, force: true })
  for (const prefix of [NEW, WAITING, REJECTED]) {
    await mkdir(join(folder, prefix), { recursive: true, mode: 0o700 })
  }
  let bytes = (await bytesIn(join(folder, WAITING))) + (await bytesIn(join(folder, REJECTED)))

  const write = async (name: string, value: Uint8Array): Promise<void> => {
    const made = pathOf(NEW, `${name}.${crypto.randomUUID()}`)
    try {
      await writeSynced(made, value)
      await rename(made, pathOf(WAITING, name))
    } catch (error) {
      await rm(made, { force: true }).catch(() => {})
      throw error
    }
    await sync(join(folder, WAITING))
  }

  return {
    async put(name, value) {
      const taken = onDisk(value.length)
      if (bytes + taken > bytesMax) throw new Error(`the spool is full: it has ${bytes} bytes`)
      bytes += taken
      await write(name, value).catch((error) => {
        bytes -= taken
        throw error
      })
    },
    async list(limit) {
      const entries = await readdir(join(folder, WAITING), { withFileTypes: true })
      const files = entries.filter((entry) => entry.isFile())
      return files
        .map(({ name }) => name)
        .sort()
        .slice(0, limit)
    },
    async get(name) {
      return await readFile(pathOf(WAITING, name)).then(
        (read) => new Uint8Array(read),
        (error) => unlessGone(error),
      )
    },
    async delete(names) {
      for (const name of names) {
        const path = pathOf(WAITING, name)
        const remove = async (): Promise<void> => {
          const { size } = await stat(path)
          await rm(path)
          bytes -= onDisk(size)
        }
        await remove().catch(unlessGone)
      }
    },
    async reject(name) {
      await rename(pathOf(WAITING, name), pathOf(REJECTED, name)).catch(unlessGone)
      await sync(join(folder, REJECTED))
    },
  }
}

const onDisk = (bytes: number): number => Math.ceil(bytes / BLOCK_BYTES) * BLOCK_BYTES

async function bytesIn(folder: string): Promise<number> {
  let sum = 0
  for (const name of await readdir(folder)) sum += onDisk((await stat(join(folder, name))).size)
  return sum
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

/** Another drain was first: no fault. */
function unlessGone(error: unknown): undefined {
  if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
  throw error
}
