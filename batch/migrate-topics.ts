/** Brings a native Kafka to the topics that Shelf works with. */
import type { Log } from '../broker/log.ts'
import { REPARTITIONED } from '../core/control.ts'
import { setting } from './program.ts'
import { AGGREGATES, DEAD_LETTER, RAW } from './topics.ts'

const TOPICS = [RAW, AGGREGATES, DEAD_LETTER, 'check-results']
const PARTITIONS_DEFAULT = 4

/**
 * Makes absent topics, adds partitions to those that have fewer than SHELF_PARTITIONS, and sets
 * what Shelf relies on. Safe to call again. Returns a line for each topic that is made or grows.
 */
export async function migrateTopics(log: Log, { dryRun }: { dryRun: boolean }): Promise<string[]> {
  const partitions = setting('SHELF_PARTITIONS', PARTITIONS_DEFAULT)
  const found = await log.topics()
  const lines = TOPICS.flatMap((topic) => {
    const count = found[topic]
    if (count === undefined) return [`topic ${topic}: ${partitions} partitions`]
    return count < partitions ? [`topic ${topic}: ${count} partitions, now ${partitions}`] : []
  })
  if (dryRun) return lines
  await tellGrowth(log, found[RAW] ?? 0, partitions)
  await log.createTopics(Object.fromEntries(TOPICS.map((topic) => [topic, partitions])))
  return lines
}

/** What says that keys move is written before they do: who dies between writes it again. */
async function tellGrowth(log: Log, count: number, wanted: number): Promise<void> {
  if (count >= wanted) return
  for (let partition = 0; partition < count; partition++) {
    await log.append(RAW, [{ partition, value: REPARTITIONED }])
  }
}
