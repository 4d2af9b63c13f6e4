/** Reads the whole archive back, and says what is wrong with it. */
import { epochsOf, hoursOf, partitionsOfEpoch, readManifest } from './archive-index.ts'
import { ArchiveError, hourOf, type Manifest, partitionFolder } from './archive-layout.ts'
import { readBlock } from './archive-read.ts'
import type { ArchiveStore } from './archive-store.ts'

export interface Verified {
  hours: number
  records: number
  bytes: number
  /** Files with something wrong. */
  wrong: number
}

/**
 * @param tell is told of each thing that is wrong, and of what was deleted before it was archived
 * @throws LogError where the store can't be read; what was found by then was told
 */
export async function verifyArchive(
  store: ArchiveStore,
  signal: AbortSignal,
  tell: (words: string) => void,
): Promise<Verified> {
  const sum: Verified = { hours: 0, records: 0, bytes: 0, wrong: 0 }
  for (const epoch of await epochsOf(store)) {
    for (const partition of await partitionsOfEpoch(store, epoch)) {
      let before: Manifest | undefined
      for (const { name, hourMs } of await hoursOf(store, epoch, partition)) {
        if (signal.aborted) return sum
        sum.hours += 1
        try {
          const manifest = await readManifest(store, name)
          if (manifest === undefined) throw new ArchiveError(`${store.name}: ${name} is gone`)
          const { records, bytes, missing } = manifest
          sum.records += records
          sum.bytes += bytes
          const last = before
          before = manifest
          if (missing) tell(`${name}: ${missing.from} to ${missing.to - 1} were deleted before it`)
          mustContinue(name, manifest, last)
          mustBeNamed(name, manifest, { epoch, partition, hourMs })
          await verifyFile(store, manifest)
        } catch (error) {
          if (!(error instanceof ArchiveError)) throw error
          sum.wrong += 1
          tell(error.message)
        }
      }
    }
  }
  return sum
}

function mustContinue(name: string, { from, begin, missing, first }: Manifest, last?: Manifest) {
  const due = last === undefined ? begin : last.last.offset + 1
  if (from !== due) {
    throw new ArchiveError(`${name} follows offset ${from - 1}, but the hour before is not there`)
  }
  if (first.offset < from || (missing && missing.to !== first.offset)) {
    throw new ArchiveError(`${name} does not follow the hour before`)
  }
}

function mustBeNamed(
  name: string,
  manifest: Manifest,
  { epoch, partition, hourMs }: { epoch: number; partition: number; hourMs: number },
): void {
  const { first, hour } = manifest
  const isRight =
    manifest.epoch === epoch &&
    manifest.partition === partition &&
    Date.parse(hour) === hourMs &&
    hourOf(Date.parse(first.time)) === hourMs
  if (!isRight) throw new ArchiveError(`${name} is the manifest of another hour`)
}

/** Each block, and all of them together; a block in memory at a time. */
async function verifyFile(store: ArchiveStore, manifest: Manifest): Promise<void> {
  const name = partitionFolder(manifest.epoch, manifest.partition) + manifest.file
  const wrong = (words: string) => new ArchiveError(`${store.name}: ${name} ${words}`)
  const size = await store.size(name)
  if (size === undefined) throw wrong('is missing')
  if (size !== manifest.bytes) throw wrong(`has ${size} bytes, not ${manifest.bytes}`)
  const hash = new Bun.CryptoHasher('sha256')
  let at = 0
  let offset = -1
  let records = 0
  const add = (packed: Uint8Array) => void hash.update(packed)
  for (const block of manifest.blocks) {
    if (block.at !== at) throw wrong(`has no block at byte ${at}`)
    for (const record of await readBlock(store, manifest, block, add)) {
      if (record.offset <= offset) throw wrong(`has offset ${record.offset} behind ${offset}`)
      offset = record.offset
      records += 1
    }
    at += block.bytes
  }
  if (at !== size || hash.digest('hex') !== manifest.sha256) throw wrong('has another checksum')
  const isWhole = records === manifest.records && offset === manifest.last.offset
  if (!isWhole) throw wrong('holds other records than its manifest says')
}
