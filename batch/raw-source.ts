/** Where a replay reads raw from: the log itself, or the archive with the log behind it. */
import type { Log } from '../broker/log.ts'
import type { Epoch } from '../core/aggregate.ts'
import { findStart } from './aggregate-start.ts'

/** What is read of a log. */
export type RawLog = Pick<Log, 'topics' | 'read' | 'offsetAt'>

/** One of the raw logs that there were, in one partition. */
export interface RawEpoch {
  epoch: Epoch
  log: RawLog & {
    /** Offsets that are missing in the middle, where the log knows more of that than its earliest. */
    holes?(partition: number): Promise<{ from: number; to: number }[]>
  }
}

export interface RawSource {
  /** The epochs of a partition that can be read, oldest first; the current one is there always. */
  epochs(partition: number): Promise<RawEpoch[]>
}

/** The log itself, which holds the current epoch only. */
export function liveSource(log: Log): RawSource {
  return {
    async epochs(partition) {
      const { epoch } = await findStart(log, partition)
      return [{ epoch, log }]
    },
  }
}
