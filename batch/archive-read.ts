/** Reads an archived partition: the block that an offset or a time lies in, and no more. */
import type { LogRecord } from '../broker/log.ts'
import { type ArchivedRecord, decodeBlock } from '../core/archive-block.ts'
import { hoursOf, type IndexedHour, readManifest } from './archive-index.ts'
import {
  ArchiveError,
  HOUR_MS,
  type Manifest,
  type ManifestBlock,
  partitionFolder,
} from './archive-layout.ts'
import type { ArchiveStore } from './archive-store.ts'
import { RAW } from './topics.ts'

/** What lies between two archived records, or before the first, and is nowhere. */
export interface Hole {
  /** First offset that is missing. */
  from: number
  /** First offset behind it that is there. */
  to: number
  /** Log time of the record before, Unix ms; undefined at the start. */
  afterMs?: number
  /** Log time of the record behind. */
  beforeMs: number
}

/** A partition as it was archived when this was opened. Fails with LogError, or ArchiveError. */
export class ArchivedPartition {
  /** The manifest read last: reads go through an hour block by block. */
  private held: { hour: IndexedHour; manifest: Manifest } | undefined

  private constructor(
    private readonly store: ArchiveStore,
    private readonly partition: number,
    private readonly hours: readonly IndexedHour[],
    /** Offset behind the last archived record; 0 where there is none. */
    readonly next: number,
    /** Log time of the last archived record, Unix ms. */
    readonly lastMs: number,
  ) {}

  static async open(
    store: ArchiveStore,
    epoch: number,
    partition: number,
  ): Promise<ArchivedPartition> {
    const hours = await hoursOf(store, epoch, partition)
    const last = hours.at(-1)
    const end = last && (await mustRead(store, last)).last
    const [next, lastMs] = end ? [end.offset + 1, Date.parse(end.time)] : [0, 0]
    return new ArchivedPartition(store, partition, hours, next, lastMs)
  }

  /** Of the first archived record; undefined where there is none. */
  get earliest(): number | undefined {
    return this.hours[0]?.offset
  }

  /** Where the epoch begins; undefined where nothing is archived. */
  async begin(): Promise<number | undefined> {
    const [first] = this.hours
    return first && (await this.manifest(first)).begin
  }

  /** Records from an offset on, as many as are left of the first block; empty at the end. */
  async read(offset: number): Promise<LogRecord[]> {
    // The last hour that begins at or before it; the one behind, if the offset lies between.
    let index = Math.max(
      0,
      this.hours.findLastIndex((hour) => hour.offset <= offset),
    )
    for (; index < this.hours.length; index++) {
      const hour = this.hours[index]
      if (hour === undefined) return []
      const manifest = await this.manifest(hour)
      if (manifest.last.offset < offset) continue
      const { blocks } = manifest
      const at = Math.max(
        0,
        blocks.findLastIndex((block) => block.offset <= offset),
      )
      for (const block of blocks.slice(at)) {
        const records = await readBlock(this.store, manifest, block)
        const wanted = records.filter((record) => record.offset >= offset)
        if (wanted.length > 0) return wanted.map((record) => this.logRecord(record))
      }
    }
    return []
  }

  /** Offset of the first record at or after a Unix ms time; `next` where there is none. */
  async offsetAt(timeMs: number): Promise<number> {
    for (const hour of this.hours) {
      if (hour.hourMs + HOUR_MS <= timeMs) continue
      const manifest = await this.manifest(hour)
      const { blocks } = manifest
      const at = blocks.findLastIndex((block) => Date.parse(block.time) < timeMs)
      for (const block of blocks.slice(Math.max(0, at))) {
        if (Date.parse(block.time) >= timeMs) return block.offset
        const records = await readBlock(this.store, manifest, block)
        const found = records.find((record) => record.timestamp >= timeMs)
        if (found !== undefined) return found.offset
      }
    }
    return this.next
  }

  /** What is missing between the archived records, in order; reads each manifest. */
  async holes(): Promise<Hole[]> {
    const holes: Hole[] = []
    let before: Manifest | undefined
    for (const hour of this.hours) {
      const manifest = await mustRead(this.store, hour)
      const from = before === undefined ? manifest.begin : before.last.offset + 1
      // A manifest that is gone is a hole too, though nobody said so.
      if (manifest.missing !== undefined || manifest.from !== from) {
        const after = before && { afterMs: Date.parse(before.last.time) }
        const { offset, time } = manifest.first
        holes.push({ from, to: offset, ...after, beforeMs: Date.parse(time) })
      }
      before = manifest
    }
    return holes
  }

  private async manifest(hour: IndexedHour): Promise<Manifest> {
    if (this.held?.hour === hour) return this.held.manifest
    const manifest = await mustRead(this.store, hour)
    this.held = { hour, manifest }
    return manifest
  }

  private logRecord(record: ArchivedRecord): LogRecord {
    return { topic: RAW, partition: this.partition, ...record }
  }
}

async function mustRead(store: ArchiveStore, { name }: IndexedHour): Promise<Manifest> {
  const manifest = await readManifest(store, name)
  if (manifest !== undefined) return manifest
  throw new ArchiveError(`${store.name}: ${name} is gone`)
}

/**
 * @param read is given the block as it lies in the file
 * @throws ArchiveError that names the file, where the block is not what was written
 */
export async function readBlock(
  store: ArchiveStore,
  { epoch, partition, file }: Manifest,
  { at, bytes, sha256, offset, records: count }: ManifestBlock,
  read: (packed: Uint8Array) => void = () => {},
): Promise<ArchivedRecord[]> {
  const name = partitionFolder(epoch, partition) + file
  const wrong = (words: string) =>
    new ArchiveError(`${store.name}: ${name} ${words} (block at byte ${at})`)
  const packed = await store.getPart(name, at, bytes)
  if (packed === undefined) throw wrong('is missing')
  if (packed.length < bytes) throw wrong('is cut short')
  const found = new Bun.CryptoHasher('sha256').update(packed).digest('hex')
  if (found !== sha256) throw wrong('is damaged: its checksum is another one')
  read(packed)
  let records: ArchivedRecord[]
  try {
    records = decodeBlock(await Bun.zstdDecompress(packed))
  } catch (error) {
    throw wrong(`can't be decoded: ${error instanceof Error ? error.message : error}`)
  }
  if (records.length === count && records[0]?.offset === offset) return records
  throw wrong('holds other records than its manifest says')
}
