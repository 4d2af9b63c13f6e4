/** Brings a native Kafka to the topics that Shelf works with. */
import type { Log } from '../broker/log.ts'
import { REPARTITIONED } from '../core/control.ts'
import { setting } from './program.ts'
import { AGGREGATES, CHECK_RESULTS, DEAD_LETTER, RAW, RULES } from './topics.ts'

const TOPICS = [RAW, AGGREGATES, DEAD_LETTER, CHECK_RESULTS, RULES, 'deliveries']

/** Their partitions are those of raw: what is made of one stands in the one of the same number. */
const AS_RAW: readonly string[] = [RAW, AGGREGATES, CHECK_RESULTS]

const PARTITIONS_DEFAULT = 4

/**
 * Makes absent topics, adds partitions where that is asked for, and sets what Shelf relies on. Safe
 * to call again. Returns a line for each topic that is made or grows.
 */
export async function migrateTopics(log: Log, { dryRun }: { dryRun: boolean }): Promise<string[]> {
  const found = await log.topics()
  const wanted = wantedPartitions(found)
  const lines = Object.entries(wanted).flatMap(([topic, partitions]) => {
    const count = found[topic]
    if (count === undefined) return [`topic ${topic}: ${partitions} partitions`]
    return count < partitions ? [`topic ${topic}: ${count} partitions, now ${partitions}`] : []
  })
  if (dryRun) return lines
  const [before = 0, after = 0] = [found[RAW], wanted[RAW]]
  // Who dies between writes it again.
  if (before < after) await tellGrowth(log, 0, before)
  await log.createTopics(wanted)
  if (before > 0) await tellGrowth(log, before, after)
  return lines
}

/**
 * Topics that are there grow only where SHELF_PARTITIONS says so: keys move then. But aggregates
 * and check-results have as many partitions as raw, whoever gave them to raw, and what is made now
 * has so too.
 */
function wantedPartitions(found: Readonly<Record<string, number>>): Record<string, number> {
  const asked = process.env.SHELF_PARTITIONS ? setting('SHELF_PARTITIONS', PARTITIONS_DEFAULT) : 0
  const raw = Math.max(found[RAW] ?? 0, asked) || PARTITIONS_DEFAULT
  return Object.fromEntries(
    TOPICS.map((topic) => {
      const least = AS_RAW.includes(topic) ? raw : asked
      return [topic, Math.max(found[topic] ?? raw, least)]
    }),
  )
}

/** Says in partitions `from` up to `to` of raw, without, that keys move. */
async function tellGrowth(log: Log, from: number, to: number): Promise<void> {
  for (let partition = from; partition < to; partition++) {
    await log.append(RAW, [{ partition, value: REPARTITIONED }])
  }
}
