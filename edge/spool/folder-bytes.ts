/** What the spool's folders take of the disk. */
import type { Dirent } from 'node:fs'
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { unlessGone } from './gone.ts'

/** What a small file takes of the disk, on ext4, XFS and APFS alike. */
const BLOCK_BYTES = 4096

export const onDisk = (bytes: number): number => Math.ceil(bytes / BLOCK_BYTES) * BLOCK_BYTES

/**
 * A sum for each folder. What was there before is counted while others write and delete; a file that
 * is missed or counted twice then is forgotten with its folder.
 */
export class FolderBytes {
  /** Of all folders. */
  bytes = 0
  private readonly of = new Map<string, number>()
  private readonly startMs = Date.now()

  add(folder: string, fileBytes: number): void {
    this.set(folder, (this.of.get(folder) ?? 0) + onDisk(fileBytes))
  }

  /** Takes a file off again, if its folder was counted already. */
  remove(folder: string, fileBytes: number): void {
    const before = this.of.get(folder)
    if (before !== undefined) this.set(folder, Math.max(0, before - onDisk(fileBytes)))
  }

  /** The folder is gone. */
  forget(folder: string): void {
    this.set(folder, 0)
    this.of.delete(folder)
  }

  /** Counts the files below `root` that were there when this was made. @throws Error of the disk */
  async count(root: string): Promise<void> {
    const entries = await readdir(root, { withFileTypes: true })
    await this.countFiles(root, entries)
    for (const entry of entries) {
      if (!entry.isDirectory()) continue
      const folder = join(root, entry.name)
      const files = await readdir(folder, { withFileTypes: true }).catch(unlessGone)
      await this.countFiles(folder, files ?? [])
    }
  }

  private async countFiles(folder: string, entries: readonly Dirent[]): Promise<void> {
    let sum = 0
    for (const entry of entries) {
      if (!entry.isFile()) continue
      const file = await stat(join(folder, entry.name)).catch(unlessGone)
      if (file !== undefined && file.mtimeMs < this.startMs) sum += onDisk(file.size)
    }
    if (sum > 0) this.set(folder, (this.of.get(folder) ?? 0) + sum)
  }

  private set(folder: string, bytes: number): void {
    this.bytes += bytes - (this.of.get(folder) ?? 0)
    this.of.set(folder, bytes)
  }
}
