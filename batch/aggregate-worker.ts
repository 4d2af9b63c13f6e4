/** Aggregates one partition, step by step. All it knows comes from the log, so it may die any time. */
import { LogError } from '../broker/error.ts'
import type { Log, LogRecord } from '../broker/log.ts'
import { type Chunk, PartitionAggregator } from '../core/aggregate.ts'
import { CHUNK_MS, type Position } from '../core/chunk.ts'
import { lookBack } from './aggregate-look-back.ts'
import { readBack } from './aggregate-read-back.ts'
import { findStart, type Start } from './aggregate-start.ts'
import { writeChunks } from './aggregate-write.ts'
import { say } from './program.ts'
import { isSameLog } from './same-log.ts'
import { tickDueAt } from './tick.ts'
import { AGGREGATES, RAW } from './topics.ts'

/** How long a read waits for records where no chunk is open. */
const IDLE_WAIT_MS = 10_000

/** How long after a tick the next may follow: the broker's clock may be behind ours. */
const TICK_PAUSE_MS = 250

export class AggregateWorker {
  private readonly aggregator: PartitionAggregator
  /** Raw offset to read next. */
  private next: number
  /** The record before it, where it is known: by it a log that was replaced is noticed. */
  private last: Position | undefined
  private seenAt = Date.now()
  private tickAt = 0

  private constructor(
    private readonly log: Log,
    private readonly partition: number,
    start: Start,
    /** Offset of aggregates behind all that this worker knows to be written. */
    private written: number,
  ) {
    this.aggregator = new PartitionAggregator(start.epoch, start.place, start.beforeMs)
    this.next = start.place
    this.last = start.last
  }

  /** Starts where the output of all workers before it ends. */
  static async start(log: Log, partition: number): Promise<AggregateWorker> {
    const written = await log.offsetAt(AGGREGATES, partition, 'latest')
    const start = await findStart(log, partition)
    const worker = new AggregateWorker(log, partition, start, written)
    await worker.remember(start)
    if (start.isReplaced) {
      const { epoch, begin } = start.epoch
      say(
        `aggregate ${partition}: ${RAW} is another log than before, epoch ${epoch} from offset ${begin}`,
      )
      // So that there is a record which tells persist.
      await worker.tick()
    }
    return worker
  }

  /** The bursts before the place may come again. */
  private async remember({ place, watermarkMs }: Start): Promise<void> {
    if (watermarkMs === undefined) return
    // The watermark may be that of a chunk which starts at the place.
    const at = { offset: place, timestamp: watermarkMs - CHUNK_MS }
    await readBack(this.log, this.partition, at, this.aggregator)
  }

  /**
   * Takes what one read gives, and writes the chunks that it closed; where it gives nothing, closes
   * the last chunk if that is due.
   * @param idleMs how long to wait for records at most
   * @returns how many records were taken
   * @throws LogError 'replaced' where raw or aggregates is not the log it was: start anew
   */
  async step(signal: AbortSignal, idleMs = IDLE_WAIT_MS): Promise<number> {
    const { waiting } = this.aggregator
    const dueAt = waiting ? tickDueAt(waiting, this.seenAt) : Number.POSITIVE_INFINITY
    const wakeAt = Math.max(dueAt, this.tickAt)
    const waitMs = Math.min(Math.max(wakeAt - Date.now(), 0), idleMs)
    const records = await this.log.read(RAW, this.partition, this.next, { waitMs, signal })
    await this.mustBeSameLog()
    if (records.length > 0) {
      this.seenAt = Date.now()
      await this.write(await this.take(records, signal))
    } else if (Date.now() >= wakeAt || (await this.isGone(waiting?.from ?? this.next))) {
      // What is gone shows once a record follows it. The tick of a partition that is quiet for as
      // long as raw is kept goes too: another takes its place, lest it look like a loss.
      await this.tick()
    }
    return records.length
  }

  private async take(records: readonly LogRecord[], signal: AbortSignal): Promise<Chunk[]> {
    this.aggregator.recall(await lookBack(this.log, this.partition, records, signal))
    const chunks: Chunk[] = []
    for (const record of records) {
      if (record.offset > this.next && (await this.isGone(this.next))) {
        chunks.push(...this.aggregator.gap(this.next, record))
      }
      const chunk = this.aggregator.push(record)
      if (chunk !== undefined) chunks.push(chunk)
      this.next = record.offset + 1
      this.last = { offset: record.offset, timestamp: record.timestamp }
    }
    return chunks
  }

  private async write(chunks: readonly Chunk[]): Promise<void> {
    if (chunks.length === 0) return
    const end = await this.log.offsetAt(AGGREGATES, this.partition, 'latest')
    if (end < this.written) throw replaced(AGGREGATES, this.partition)
    this.written = (await writeChunks(this.log, this.partition, chunks)) ?? this.written
  }

  private async mustBeSameLog(): Promise<void> {
    if (this.last === undefined) return
    const { offset, timestamp } = this.last
    if (!(await isSameLog(this.log, this.partition, offset + 1, timestamp))) {
      throw replaced(RAW, this.partition)
    }
  }

  /** Offsets that a native Kafka skips are no loss; what lies before the earliest record is. */
  private async isGone(offset: number): Promise<boolean> {
    return (await this.log.offsetAt(RAW, this.partition, 'earliest')) > offset
  }

  private async tick(): Promise<void> {
    await this.log.append(RAW, [{ partition: this.partition, value: '' }])
    this.tickAt = Date.now() + TICK_PAUSE_MS
  }
}

function replaced(topic: string, partition: number): LogError {
  return new LogError('replaced', `partition ${partition} of ${topic} is not the log it was`)
}
