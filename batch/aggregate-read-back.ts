/** Reads what lies in the log before the place where aggregation begins: it may come again. */
import type { PartitionAggregator } from '../core/aggregate.ts'
import type { Position } from '../core/chunk.ts'
import { isRepartitioned } from '../core/control.ts'
import { DEDUPE_MS, DEDUPE_OFFSETS } from '../core/dedupe.ts'
import type { RawLog } from './raw-source.ts'
import { RAW } from './topics.ts'

/**
 * Shows the aggregator the 15 minutes of log time before `at`. Of records that lie further back than
 * the window of ids only those are decoded that say that raw got more partitions.
 */
export async function readBack(
  log: RawLog,
  partition: number,
  at: Position,
  aggregator: PartitionAggregator,
): Promise<void> {
  let next = await log.offsetAt(RAW, partition, at.timestamp - DEDUPE_MS)
  while (next < at.offset) {
    const records = await log.read(RAW, partition, next)
    if (records.length === 0) return
    for (const record of records) {
      next = record.offset + 1
      if (next > at.offset) return
      const isInWindow = at.offset - record.offset <= DEDUPE_OFFSETS
      if (isInWindow || isRepartitioned(record.value)) aggregator.remember(record)
    }
  }
}
