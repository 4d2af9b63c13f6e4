/**
 * Retention: old records go in small batches, and the file follows down.
 */

import type { Partition, Store } from './store.ts'

/** One batch is one commit; appends and reads go between the batches. */
const BATCH_RECORDS = 500
const BATCH_PAGES = 500
/** Unused pages are reused by the next records; only where they pile up is the file cut. */
const FREE_PAGES_KEPT = 1_000
const FREE_SHARE_KEPT = 0.25

/**
 * Deletes what each partition no longer keeps, then gives space back to the file system.
 * @param keepFromMs Unix ms of the oldest record that a partition keeps
 * @param stopped asked between batches: true ends it early
 * @returns how many records were deleted
 * @throws LogError 'disk': a full disk takes no deletions either
 */
export async function retain(
  store: Store,
  keepFromMs: (partition: Partition) => number,
  stopped: () => boolean,
): Promise<number> {
  let deleted = 0
  for (const partition of store.partitions) {
    if (stopped()) return deleted
    const keepFrom = store.offsetAt(partition, keepFromMs(partition))
    while (partition.earliest < keepFrom) {
      const before = Math.min(keepFrom, partition.earliest + BATCH_RECORDS)
      deleted += before - partition.earliest
      store.deleteBefore(partition, before)
      await nextTurn()
      if (stopped()) return deleted
    }
  }
  while (!stopped() && isSparse(store.pages())) {
    store.shrink(BATCH_PAGES)
    await nextTurn()
  }
  return deleted
}

function isSparse({ total, free }: { total: number; free: number }): boolean {
  return free > FREE_PAGES_KEPT && free > total * FREE_SHARE_KEPT
}

const nextTurn = () => new Promise<void>((resolve) => setImmediate(resolve))
