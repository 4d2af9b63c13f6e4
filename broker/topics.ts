/**
 * Which partition is meant: by name and number, or by a record's key.
 */

import { partitionOf } from '../core/partition.ts'
import { LogError } from './error.ts'
import type { Partition } from './store.ts'

export class Topics {
  readonly #partitions: Map<string, Partition[]>

  /** `partitions` in their order within each topic. */
  constructor(partitions: readonly Partition[]) {
    this.#partitions = Map.groupBy(partitions, ({ topic }) => topic)
  }

  /** Partition count of each topic. */
  counts(): Record<string, number> {
    return Object.fromEntries([...this.#partitions].map(([topic, { length }]) => [topic, length]))
  }

  /** @throws LogError 'not-found' */
  find(topic: string, partition: number): Partition {
    const partitions = this.#of(topic)
    const found = partitions[partition]
    if (found !== undefined) return found
    throw new LogError(
      'not-found',
      `topic ${topic} has partitions 0 to ${partitions.length - 1}, not ${partition}`,
    )
  }

  /**
   * The partition of a key, as Kafka's clients choose it; without one, the `turn` decides.
   * @throws LogError 'not-found'
   */
  choose(topic: string, key: string | null, turn: number): Partition {
    const { length } = this.#of(topic)
    return this.find(topic, key === null ? turn % length : partitionOf(key, length))
  }

  #of(topic: string): Partition[] {
    const partitions = this.#partitions.get(topic)
    if (partitions !== undefined) return partitions
    throw new LogError('not-found', `there is no topic ${topic}`)
  }
}
