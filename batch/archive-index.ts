/** What the archive holds: found by the names of its files, which their listing gives. */
import {
  EPOCHS,
  epochFolder,
  HOUR_MS,
  hourOf,
  type Manifest,
  manifestName,
  numberOf,
  parseManifest,
  parseName,
  partitionFolder,
} from './archive-layout.ts'
import type { ArchiveStore } from './archive-store.ts'

/** The end of the archive is looked for this far back first: a listing begins where we say. */
const RECENT_MS = 48 * HOUR_MS

/** An hour with a manifest. */
export interface IndexedHour {
  hourMs: number
  /** Name of its manifest. */
  name: string
  /** Offset of its first record. */
  offset: number
}

/** Numbers of the epochs there are, ascending. */
export const epochsOf = (store: ArchiveStore): Promise<number[]> => numbersIn(store, EPOCHS)

export const partitionsOfEpoch = (store: ArchiveStore, epoch: number): Promise<number[]> =>
  numbersIn(store, epochFolder(epoch))

async function numbersIn(store: ArchiveStore, folder: string): Promise<number[]> {
  const numbers = (await store.folders(folder)).map(numberOf)
  return numbers.filter((number) => number !== undefined).sort((a, b) => a - b)
}

/** The hours of a partition, in order. What has no manifest does not count. */
export async function hoursOf(
  store: ArchiveStore,
  epoch: number,
  partition: number,
): Promise<IndexedHour[]> {
  const hours: IndexedHour[] = []
  const offsets = new Map<number, number>()
  for await (const name of store.files(partitionFolder(epoch, partition))) {
    const { hourMs, offset } = parseName(name) ?? {}
    if (hourMs === undefined) continue
    if (offset !== undefined) {
      offsets.set(hourMs, Math.min(offset, offsets.get(hourMs) ?? offset))
    } else hours.push({ hourMs, name, offset: 0 })
  }
  for (const hour of hours) {
    // Where the file is gone the manifest knows; to read the records will fail, and say so.
    hour.offset =
      offsets.get(hour.hourMs) ?? (await readManifest(store, hour.name))?.first.offset ?? 0
  }
  return hours.sort((a, b) => a.hourMs - b.hourMs)
}

/** The last manifest of a partition: where archiving goes on behind. */
export async function lastManifest(
  store: ArchiveStore,
  epoch: number,
  partition: number,
): Promise<Manifest | undefined> {
  const folder = partitionFolder(epoch, partition)
  const recent = manifestName(epoch, partition, hourOf(Date.now() - RECENT_MS))
  for (const after of [recent, undefined]) {
    let last: string | undefined
    for await (const name of store.files(folder, after)) {
      if (name.endsWith('.json') && parseName(name) !== undefined) last = name
    }
    if (last !== undefined) return readManifest(store, last)
  }
  return undefined
}

/** Undefined where there is none. @throws ArchiveError where it can't be understood */
export async function readManifest(
  store: ArchiveStore,
  name: string,
): Promise<Manifest | undefined> {
  const bytes = await store.get(name)
  return bytes && parseManifest(`${store.name}: ${name}`, new TextDecoder().decode(bytes))
}
