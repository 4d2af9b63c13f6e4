/** The archive as a log to read: of one epoch, alone or with the live log behind it. */
import { LogError } from '../broker/error.ts'
import type { Log, LogRecord, ReadOptions } from '../broker/log.ts'
import { partitionsOfEpoch } from './archive-index.ts'
import { ArchivedPartition, type Hole } from './archive-read.ts'
import type { ArchiveStore } from './archive-store.ts'
import { RAW } from './topics.ts'

/** What reads of a log; holes are read over, as over records that were deleted. */
export interface ArchiveLog extends Pick<Log, 'topics' | 'read' | 'offsetAt'> {
  /** Offsets of a partition of raw that are neither archived nor, where it follows, in the log. */
  holes(partition: number): Promise<Hole[]>
}

/**
 * The archived records of an epoch, and behind them, where `live` is given, those of the log. Only
 * for the topic raw, but other topics of `live` are there too. A read gives what is left of a block.
 * Values are bytes.
 * @throws LogError of the store or the log; ArchiveError where a file is not what was written
 */
export function archiveLog(store: ArchiveStore, epoch: number, live?: Log): ArchiveLog {
  const opened = new Map<number, Promise<ArchivedPartition>>()
  const open = (partition: number): Promise<ArchivedPartition> => {
    const opening = ArchivedPartition.open(store, epoch, partition)
    opened.set(partition, opening)
    // Who failed to open it tries again.
    opening.catch(() => opened.delete(partition))
    return opening
  }
  const archived = (partition: number) => opened.get(partition) ?? open(partition)

  const readLive = async (
    log: Log,
    partition: number,
    offset: number,
    options: ReadOptions | undefined,
  ): Promise<LogRecord[]> => {
    const records = await log.read(RAW, partition, offset, options)
    const [first] = records
    if (first === undefined || first.offset <= offset) return records
    // Deleted from the log since the archive was looked at: by now it may be archived.
    const now = await open(partition)
    return now.next > offset ? now.read(offset) : records
  }

  return {
    async topics() {
      if (live !== undefined) return live.topics()
      const partitions = await partitionsOfEpoch(store, epoch)
      return { [RAW]: Math.max(-1, ...partitions) + 1 }
    },
    async read(topic, partition, offset, options) {
      if (topic !== RAW) return mustBeLive(live, topic).read(topic, partition, offset, options)
      options?.signal?.throwIfAborted()
      const archive = await archived(partition)
      if (offset < archive.next) return archive.read(offset)
      return live === undefined ? [] : readLive(live, partition, offset, options)
    },
    async offsetAt(topic, partition, at) {
      if (topic !== RAW) return mustBeLive(live, topic).offsetAt(topic, partition, at)
      const archive = await archived(partition)
      const { earliest, lastMs, next } = archive
      if (earliest === undefined) return live?.offsetAt(RAW, partition, at) ?? 0
      if (at === 'earliest') return earliest
      if (typeof at === 'number' && at <= lastMs) return archive.offsetAt(at)
      return Math.max(next, (await live?.offsetAt(RAW, partition, at)) ?? next)
    },
    async holes(partition) {
      const archive = await archived(partition)
      const holes = await archive.holes()
      const { next, lastMs, earliest } = archive
      const [first] = live === undefined ? [] : await live.read(RAW, partition, next)
      if (first === undefined || first.offset <= next || live === undefined) return holes
      // Offsets that a native Kafka skips are no loss.
      if ((await live.offsetAt(RAW, partition, 'earliest')) <= next) return holes
      const after = earliest === undefined ? {} : { afterMs: lastMs }
      return [...holes, { from: next, to: first.offset, ...after, beforeMs: first.timestamp }]
    },
  }
}

function mustBeLive(live: Log | undefined, topic: string): Log {
  if (live !== undefined) return live
  throw new LogError('not-found', `the archive has no topic ${topic}`)
}
