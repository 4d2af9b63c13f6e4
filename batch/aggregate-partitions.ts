/** How many partitions there are to aggregate, and what to do when raw gets more of them. */
import { LogError } from '../broker/error.ts'
import type { Log } from '../broker/log.ts'
import { REPARTITIONED } from '../core/control.ts'
import { partitionsOf } from './loop.ts'
import { say } from './program.ts'
import { AGGREGATES, RAW } from './topics.ts'

export class AggregatePartitions {
  /** Of raw, when it was looked at last. */
  private known: number | undefined
  private toldOf = 0

  constructor(private readonly log: Log) {}

  /**
   * The partitions that raw and aggregates have both. Where somebody gave raw more, a record in each
   * says so, and aggregates gets as many: in this order, so that who dies between says it again. Who
   * can't give aggregates more says only what he saw himself, lest each start says it again.
   */
  async count(): Promise<number> {
    const topics = await this.log.topics()
    const raw = partitionsOf(topics, RAW)
    const aggregates = partitionsOf(topics, AGGREGATES)
    const isNews =
      this.known === undefined
        ? raw > aggregates && (await this.give(aggregates))
        : raw > this.known
    if (isNews) await this.mark(raw)
    this.known = raw
    if (raw <= aggregates) return raw
    if (await this.give(raw)) return raw
    this.tellOfMissing(raw)
    return aggregates
  }

  private async mark(partitions: number): Promise<void> {
    say(
      `aggregate: ${RAW} has ${partitions} partitions now; the ledger says so from this minute on`,
    )
    const records = Array.from({ length: partitions }, (_, partition) => ({
      partition,
      value: REPARTITIONED,
    }))
    await this.log.append(RAW, records)
  }

  /** Sees to it that aggregates has so many; false where the log does not offer that. */
  private async give(partitions: number): Promise<boolean> {
    try {
      await this.log.createTopics({ [AGGREGATES]: partitions })
      return true
    } catch (error) {
      if (!(error instanceof LogError && error.code === 'not-offered')) throw error
      return false
    }
  }

  private tellOfMissing(partitions: number): void {
    if (this.toldOf === partitions) return
    this.toldOf = partitions
    say(
      `aggregate: ${RAW} has more partitions than ${AGGREGATES}, and what they hold waits: ` +
        `give ${AGGREGATES} ${partitions} partitions too`,
    )
  }
}
