/** Copies one closed hour of a partition: its records to a file, and behind it the manifest. */
import { LogError } from '../broker/error.ts'
import type { Log, LogRecord } from '../broker/log.ts'
import type { Epoch } from '../core/aggregate.ts'
import { archivedValue, BlockWriter } from '../core/archive-block.ts'
import { readManifest } from './archive-index.ts'
import {
  fileName,
  MANIFEST_VERSION,
  type Manifest,
  type ManifestBlock,
  manifestName,
  partitionFolder,
} from './archive-layout.ts'
import type { ArchiveStore } from './archive-store.ts'
import { isSameLog } from './same-log.ts'
import { RAW } from './topics.ts'

/** Half of what level 9 gains, in a fifth of its time. */
const ZSTD_LEVEL = 3

export interface Hour {
  epoch: Epoch
  partition: number
  hourMs: number
  /** Offset behind what was archived before. */
  from: number
  /** First record kept from there on; one of this hour. */
  first: LogRecord
  /** Offset of the first record of a later hour. */
  end: number
}

/** Records of the hour were deleted while they were read: it begins later now. Look again. */
export class HourMovedError extends Error {
  override name = 'HourMovedError'
}

/**
 * The bytes are a function of the log: two that copy an hour at once write the same.
 * @returns the manifest; somebody else's, who was there first
 * @throws HourMovedError; LogError of the log or the store, nothing counts as written then
 */
export async function archiveHour(
  log: Log,
  store: ArchiveStore,
  hour: Hour,
  signal: AbortSignal,
): Promise<Manifest> {
  const { epoch, partition, hourMs, from, first } = hour
  const isMissing = first.offset > from && (await log.offsetAt(RAW, partition, 'earliest')) > from
  const file = fileName(hourMs, first.offset)
  const content = new HourContent()
  const folder = partitionFolder(epoch.epoch, partition)
  await store.put(folder + file, content.chunks(recordsOf(log, hour, signal)))
  const { last } = content
  if (!(await isSameLog(log, partition, last.offset + 1, last.timestamp))) throw replaced(partition)
  const name = manifestName(epoch.epoch, partition, hourMs)
  const there = await readManifest(store, name)
  if (there !== undefined) return there
  const manifest: Manifest = {
    version: MANIFEST_VERSION,
    epoch: epoch.epoch,
    begin: epoch.begin,
    partition,
    hour: timeOf(hourMs),
    file,
    from,
    ...(isMissing ? { missing: { from, to: first.offset } } : {}),
    ...content.summary(),
  }
  const bytes = new TextEncoder().encode(`${JSON.stringify(manifest, null, 1)}\n`)
  await store.put(name, once(bytes))
  return manifest
}

async function* once<T>(value: T): AsyncGenerator<T> {
  yield value
}

const timeOf = (timeMs: number): string => new Date(timeMs).toISOString()

const replaced = (partition: number): LogError =>
  new LogError('replaced', `partition ${partition} of ${RAW} is not the log it was`)

/** The records of the hour, as the log gives them. */
async function* recordsOf(
  log: Log,
  { partition, first, end }: Hour,
  signal: AbortSignal,
): AsyncGenerator<LogRecord[]> {
  for (let next = first.offset; next < end; ) {
    const records = await log.read(RAW, partition, next, { signal })
    const [record] = records
    if (record === undefined) throw replaced(partition)
    if (record.offset > next && (await log.offsetAt(RAW, partition, 'earliest')) > next) {
      throw new HourMovedError(`partition ${partition} lost records from offset ${next} on`)
    }
    yield records.filter(({ offset }) => offset < end)
    next = (records.at(-1) ?? record).offset + 1
  }
}

/** What an hour's file holds, summed up while it is written. */
class HourContent {
  private readonly blocks: ManifestBlock[] = []
  private readonly hash = new Bun.CryptoHasher('sha256')
  private readonly block = new BlockWriter()
  private rawBytes = 0
  private bytes = 0
  private records = 0
  /** The last record. */
  last = { offset: 0, timestamp: 0 }

  /** The file, block by block. */
  async *chunks(batches: AsyncIterable<LogRecord[]>): AsyncGenerator<Uint8Array<ArrayBuffer>> {
    for await (const batch of batches) {
      for (const { offset, timestamp, key, value } of batch) {
        const record = { offset, timestamp, key, value: archivedValue(value) }
        if (this.block.isFullFor(record)) yield await this.finishBlock()
        this.block.push(record)
        this.last = { offset, timestamp }
      }
    }
    yield await this.finishBlock()
  }

  private async finishBlock(): Promise<Uint8Array<ArrayBuffer>> {
    const { first = { offset: 0, timestamp: 0 }, count } = this.block
    const raw = this.block.finish()
    const packed = new Uint8Array(await Bun.zstdCompress(raw, { level: ZSTD_LEVEL }))
    this.blocks.push({
      at: this.bytes,
      bytes: packed.length,
      sha256: new Bun.CryptoHasher('sha256').update(packed).digest('hex'),
      offset: first.offset,
      time: timeOf(first.timestamp),
      records: count,
    })
    this.hash.update(packed)
    this.rawBytes += raw.length
    this.bytes += packed.length
    this.records += count
    return packed
  }

  /** Once all chunks are written. */
  summary() {
    const [{ offset, time } = { offset: 0, time: timeOf(0) }] = this.blocks
    return {
      first: { offset, time },
      last: { offset: this.last.offset, time: timeOf(this.last.timestamp) },
      records: this.records,
      rawBytes: this.rawBytes,
      bytes: this.bytes,
      sha256: this.hash.digest('hex'),
      blocks: this.blocks,
    }
  }
}
