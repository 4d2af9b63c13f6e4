/** Raw for a backfill from the archive: the epochs of a partition, the current one up to the log's end. */
import type { Log } from '../broker/log.ts'
import { findStart } from './aggregate-start.ts'
import { epochsOf, partitionsOfEpoch } from './archive-index.ts'
import { type ArchiveLog, archiveLog } from './archive-log.ts'
import { ArchivedPartition } from './archive-read.ts'
import type { ArchiveStore } from './archive-store.ts'
import type { RawEpoch, RawSource } from './raw-source.ts'

/**
 * The epochs of a partition that can be read, oldest first; the current one is there always.
 * `log.holes(partition)` tells what is missing in each.
 * @throws LogError, ArchiveError
 */
export function archiveSource(store: ArchiveStore, live: Log): RawSource {
  const past = new Map<number, ArchiveLog>()
  const present = new Map<number, ArchiveLog>()

  const logOf = (epoch: number, isCurrent: boolean): ArchiveLog => {
    const logs = isCurrent ? present : past
    const log = logs.get(epoch) ?? archiveLog(store, epoch, isCurrent ? live : undefined)
    logs.set(epoch, log)
    return log
  }

  return {
    async epochs(partition) {
      const { epoch: current } = await findStart(live, partition)
      const epochs: RawEpoch[] = []
      for (const epoch of await epochsOf(store)) {
        if (epoch >= current.epoch) continue
        if (!(await partitionsOfEpoch(store, epoch)).includes(partition)) continue
        const begin = await (await ArchivedPartition.open(store, epoch, partition)).begin()
        if (begin === undefined) continue
        epochs.push({ epoch: { epoch, begin }, log: logOf(epoch, false) })
      }
      epochs.push({ epoch: current, log: logOf(current.epoch, true) })
      return epochs
    },
  }
}
