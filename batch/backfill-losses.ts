/**
 * What the source of a backfill lacks must be what the rows lack as well, or they would get worse:
 * then nothing more is replaced.
 */
import type { Log } from '../broker/log.ts'
import { lossBetween } from '../core/ledger.ts'
import type { Sql } from '../db/client.ts'
import { timeToText } from '../db/schema.ts'
import { holdTiers } from '../db/tiers.ts'
import { aggregatesFrom } from './aggregate-tail.ts'
import type { End, Hole } from './backfill-scan.ts'
import { AGGREGATES, RAW } from './topics.ts'

/** Where the log was replaced, a slower worker may still write of the one before. */
const TAIL_RECORDS = 20

export class Losses {
  /** Records by the minute of the first one left, as the ledger has them: of all partitions. */
  private readonly lost = new Map<number, number>()

  /** @param fromMs log time from which on it matters, Unix ms */
  constructor(
    private readonly sql: Sql,
    private readonly log: Log,
    private readonly fromMs: number,
  ) {}

  /** @throws Error where the ledger does not know of so many that are missing */
  async mustKnow(partition: number, { from, to, beforeMs, nextMs }: Hole): Promise<void> {
    if (nextMs < this.fromMs) return
    const [minuteMs, lost] = lossBetween(to - from, beforeMs, nextMs).at(-1) ?? [nextMs, 0]
    const sum = (this.lost.get(minuteMs) ?? 0) + lost
    this.lost.set(minuteMs, sum)
    if ((await this.knownAt(minuteMs)) >= sum) return
    throw new Error(
      `partition ${partition} of ${RAW} lacks the offsets ${from} to ${to - 1}, though the rows have ` +
        'them: what is not replaced yet is left as it is',
    )
  }

  private knownAt(minuteMs: number): Promise<number> {
    return this.sql.begin(async (transaction) => {
      const place = (await holdTiers(transaction))(minuteMs)
      if (place === undefined) return 0
      const [row] = await transaction<{ lost: number }[]>`
        select lost_log as lost from ${transaction(`shelf.ledger_${place.tier}`)}
        where app = '' and bucket = ${timeToText(place.bucketMs)}`
      return row?.lost ?? 0
    })
  }

  /**
   * Where the last chunk ends that was made of a log which was replaced: that must be there.
   * @throws Error also where aggregates does not tell any more
   */
  async endOf(partition: number, { epoch, offset, nextMs }: End): Promise<number> {
    const end = await this.aggregatedEnd(partition, epoch, nextMs ?? Date.now())
    if (end !== undefined && end <= offset) return end
    throw new Error(
      `partition ${partition} of ${RAW}: of the log before it was replaced the offsets from ${offset} ` +
        `on are not there, and the rows may have them: what is not replaced yet is left as it is`,
    )
  }

  /** Behind the last chunk that was made of an epoch. */
  private async aggregatedEnd(
    partition: number,
    epoch: number,
    nextMs: number,
  ): Promise<number | undefined> {
    const behind = await this.log.offsetAt(AGGREGATES, partition, nextMs)
    let end: number | undefined
    let later = 0
    const start = Math.max(0, behind - TAIL_RECORDS)
    for await (const record of aggregatesFrom(this.log, partition, start)) {
      if (record.epoch === epoch) end = Math.max(end ?? 0, record.to)
      if (record.epoch > epoch && ++later > TAIL_RECORDS) break
    }
    return end
  }
}
