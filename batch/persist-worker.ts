/** Persists one partition, step by step. Its place is in PostgreSQL, so it may die any time. */
import type { Log } from '../broker/log.ts'
import type { AggregateRecord } from '../core/aggregate-record.ts'
import { isBefore, missingBefore, type Place } from '../core/place.ts'
import type { Sql } from '../db/client.ts'
import { lastAggregate, parseAggregate } from './aggregate-tail.ts'
import { pause } from './loop.ts'
import { persistRecords } from './persist-records.ts'
import { say } from './program.ts'
import { isSameLog } from './same-log.ts'
import { AGGREGATES, RAW } from './topics.ts'

/** How long a read waits for records. */
const IDLE_WAIT_MS = 10_000

/** Until a worker looks again at a partition that another one is at. */
const LEASED_PAUSE_MS = 250

interface Progress extends Place {
  nextOffset: number
  watermark: Date | null
}

export class PersistWorker {
  /** Whether the log is the one of the place; it is looked at again when something is odd. */
  private isChecked = false
  /** The place before a hole for which the topic was read from its start once more. */
  private hole: string | undefined

  private constructor(
    private readonly log: Log,
    private readonly sql: Sql,
    private readonly partition: number,
  ) {}

  static async start(log: Log, sql: Sql, partition: number): Promise<PersistWorker> {
    await sql`insert into shelf.progress (partition) values (${partition}) on conflict do nothing`
    return new PersistWorker(log, sql, partition)
  }

  /**
   * Takes what one read gives into the rows.
   * @param idleMs how long to wait for records at most
   * @returns how many records were read
   * @throws Error where the log is not the one that the rows were made from
   */
  async step(signal: AbortSignal, idleMs = IDLE_WAIT_MS): Promise<number> {
    const progress = await this.progress()
    const found = await this.log.read(AGGREGATES, this.partition, progress.nextOffset, {
      ...{ waitMs: idleMs, signal },
    })
    const records: AggregateRecord[] = []
    for (const record of found) {
      const aggregate = parseAggregate(record)
      if (aggregate !== undefined) records.push(aggregate)
      else say(`persist ${this.partition}: offset ${record.offset} is no record of cells`)
    }
    const last = found[found.length - 1]
    if (last === undefined || !this.isChecked || !continues(records, progress)) {
      await this.refuseAnotherLog(progress)
      if (await this.startOver(records, progress)) return found.length
      this.isChecked = true
    }
    if (last === undefined) return 0
    const taken = await persistRecords(this.sql, this.partition, records, {
      nextOffset: last.offset + 1,
      ifLeased: 'skip',
    })
    if (!taken) await pause(LEASED_PAUSE_MS, signal)
    return found.length
  }

  private async progress(): Promise<Progress> {
    const [row] = await this.sql<Progress[]>`
      select epoch, next_from as "from", next_part as part, next_offset as "nextOffset", watermark
      from shelf.progress where partition = ${this.partition}`
    return row ?? { epoch: 0, from: 0, part: 0, nextOffset: 0, watermark: null }
  }

  /**
   * Where aggregates ends before what was read of it, or lacks records behind the place, it may have
   * been made anew: it is read from its start, once. What the rows have falls away.
   */
  private async startOver(
    records: readonly AggregateRecord[],
    progress: Progress,
  ): Promise<boolean> {
    if (progress.nextOffset === 0) return false
    const next = records.find((record) => !isBefore(record, progress))
    const isHole = next !== undefined && missingBefore(next, progress) > 0
    const hole = `${progress.epoch} ${progress.from} ${progress.part}`
    const latest = await this.log.offsetAt(AGGREGATES, this.partition, 'latest')
    if (latest >= progress.nextOffset && !(isHole && this.hole !== hole)) return false
    if (isHole) this.hole = hole
    say(`persist ${this.partition}: reads ${AGGREGATES} from its start, to see what it lacks`)
    await this.sql`
      update shelf.progress set next_offset = 0
      where partition = ${this.partition} and next_offset = ${progress.nextOffset}`
    return true
  }

  /** Rows that were made from another log are no beginning, unless aggregate has found it replaced. */
  private async refuseAnotherLog({ epoch, from, watermark }: Progress): Promise<void> {
    const { log, partition } = this
    const newest = (await lastAggregate(log, partition))?.epoch
    if (newest !== undefined && newest > epoch) return
    if (newest !== undefined && newest < epoch) {
      throw new Error(
        `partition ${partition} of ${AGGREGATES} has epoch ${newest}, the database ${epoch}: the topic ` +
          'was made anew, or it is that of another log. Where SHELF_LOG names the right one and ' +
          `${RAW} is still the same: update shelf.progress set epoch = ${newest}, next_offset = 0 ` +
          `where partition = ${partition}`,
      )
    }
    if (watermark === null || (await isSameLog(log, partition, from, watermark.getTime()))) return
    throw new Error(
      `partition ${partition} of ${RAW} is not the log that was read up to offset ${from}. ` +
        'Point SHELF_LOG at the right one; or take this one from its start: ' +
        'delete from shelf.progress',
    )
  }
}

/** Whether the records go on just behind the place. */
function continues([first]: readonly AggregateRecord[], place: Place): boolean {
  return first === undefined || (!isBefore(first, place) && missingBefore(first, place) === 0)
}
