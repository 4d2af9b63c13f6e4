/**
 * Aggregates one partition of raw once more, up to places that move on: what live workers made of
 * it, of a range of time only. All it knows comes from the log.
 */
import type { LogRecord } from '../broker/log.ts'
import { type Chunk, PartitionAggregator, type RawContent } from '../core/aggregate.ts'
import { cellsOfRecord, toAggregateRecords } from '../core/aggregate-record.ts'
import { BurstError } from '../core/burst.ts'
import { readKeptBurst } from '../core/burst-reader.ts'
import { CHUNK_MS } from '../core/chunk.ts'
import { isRepartitioned } from '../core/control.ts'
import { type Place, placeBehind } from '../core/place.ts'
import { lookBack } from './aggregate-look-back.ts'
import { readBack } from './aggregate-read-back.ts'
import { cellsIn, type Range, touches, withoutEvents } from './backfill-range.ts'
import type { Piece } from './backfill-stage.ts'
import { TryAgainError } from './program.ts'
import type { RawEpoch } from './raw-source.ts'
import { RAW } from './topics.ts'

/** A log of many machines may take a moment to tell what it has. */
const WAIT_MS = 2000

/** Raw records that are missing, though others lie before and behind. */
export interface Hole {
  from: number
  to: number
  /** Log time of the last one before it, if any was read, and of the first one behind, Unix ms. */
  beforeMs: number | undefined
  nextMs: number
}

/** Where a log ends that was replaced. */
export interface End {
  epoch: number
  /** The offset behind the last record that is there. */
  offset: number
  /** Log time of the first record of the next log, Unix ms; undefined where it has none. */
  nextMs: number | undefined
}

/** Behind the last chunk that was made of a log which was replaced; it throws where more is missing. */
export type EndOf = (partition: number, end: End) => Promise<number>

interface Read {
  record: LogRecord
  /** 'damaged' is what can't be decoded. */
  content: RawContent | 'damaged'
  /** Whether anything of it is in the range. */
  isTouching: boolean
}

/** Negative where `a` is before `b`, 0 where they are one place. */
export function comparePlaces(a: Place, b: Place): number {
  return a.epoch - b.epoch || a.from - b.from || a.part - b.part
}

export class Scan {
  private aggregator: PartitionAggregator
  /** Raw offset to read next, and to push next: between them lies what was read. */
  private readAt: number
  private pushAt: number
  private buffer: Read[] = []
  /** Of chunks that are closed, what was not given out yet. */
  private queue: Piece[] = []
  private missing: readonly { from: number; to: number }[] = []
  /** The log time of the last record, Unix ms. */
  private lastMs: number | undefined
  private pushedMs: number | undefined
  readonly holes: Hole[] = []
  /** Raw records that were taken so far, and requests in the range. */
  records = 0
  requests = 0

  private constructor(
    private readonly epochs: readonly RawEpoch[],
    private readonly partition: number,
    private readonly range: Range,
    private current: RawEpoch,
    /** The chunk there may be cut into parts of which the first were given out before. */
    private readonly start: Place,
    private readonly endOf: EndOf,
  ) {
    this.aggregator = new PartitionAggregator(current.epoch, start.from)
    this.readAt = start.from
    this.pushAt = start.from
  }

  /**
   * Begins at a place, which is the start of a chunk, or a part of it. Bursts before it may come
   * again: they are looked up.
   * @throws Error where the source does not have the epoch of the place
   */
  static async open(
    epochs: readonly RawEpoch[],
    partition: number,
    start: Place,
    range: Range,
    endOf: EndOf,
  ): Promise<Scan> {
    const current = epochs.find(({ epoch }) => epoch.epoch === start.epoch)
    if (current === undefined) throw replaced(partition)
    const scan = new Scan(epochs, partition, range, current, start, endOf)
    await scan.begin()
    const [first] = await current.log.read(RAW, partition, start.from, { recordsMax: 1 })
    if (first !== undefined) {
      const at = { offset: start.from, timestamp: first.timestamp }
      await readBack(current.log, partition, at, scan.aggregator)
    }
    return scan
  }

  private async begin(): Promise<void> {
    this.missing = (await this.current.log.holes?.(this.partition)) ?? []
  }

  /** All before it was given out. */
  get place(): Place {
    const { epoch } = this.current.epoch
    const [next] = this.queue
    if (next !== undefined) return { epoch, from: next.from, part: next.part }
    return { epoch, from: this.openAt, part: 0 }
  }

  private get openAt(): number {
    return this.aggregator.waiting?.from ?? this.pushAt
  }

  /** Whether all before the place was given out. */
  isAt(target: Place): boolean {
    return comparePlaces(this.place, target) >= 0
  }

  /**
   * What comes next before the target, in the order of the log; after at most one read.
   * @throws TryAgainError where the log ends before, or is cut into other chunks
   */
  async next(target: Place, signal: AbortSignal): Promise<Piece[]> {
    if (this.isAt(target)) return []
    if (this.buffer.length === 0) await this.read(target, signal)
    await this.push(target)
    const pieces: Piece[] = []
    for (let [head] = this.queue; head; [head] = this.queue) {
      if (comparePlaces(placeBehind(head), target) > 0) break
      pieces.push(head)
      this.queue.shift()
    }
    const [head] = this.queue
    if (head !== undefined && comparePlaces(head, target) < 0) {
      throw new TryAgainError(
        `partition ${this.partition} of ${RAW}: the rows hold a part of the chunk at offset ` +
          `${head.from} that can't be told from the others; in a moment they will hold all of it`,
      )
    }
    return pieces
  }

  private async read(target: Place, signal: AbortSignal): Promise<void> {
    const { partition, readAt } = this
    const { log, epoch } = this.current
    const found = await log.read(RAW, partition, readAt, { waitMs: WAIT_MS, signal })
    const last = found.at(-1)
    if (last === undefined) {
      if (epoch.epoch < target.epoch) return await this.nextEpoch(target)
      throw new TryAgainError(
        `partition ${partition} of ${RAW} ends at offset ${readAt}, but the rows hold all before ` +
          `${target.from}: is it another log?`,
      )
    }
    this.buffer = found.map((record) => this.decoded(record))
    this.readAt = last.offset + 1
    this.lastMs = last.timestamp
    this.records += found.length
    // Whether others came before is no matter, unless their chunk may be cut.
    const asked = this.buffer.filter(
      ({ record, isTouching }) => isTouching || record.offset >= target.from || this.isCutAtStart,
    )
    const bursts = asked.map(({ record }) => record)
    this.aggregator.recall(await lookBack(log, partition, bursts, signal))
  }

  private decoded(record: LogRecord): Read {
    const content = contentOf(record)
    const isTouching = typeof content === 'object' && touches(content, this.range)
    return { record, content, isTouching }
  }

  /** The log was replaced by the next. */
  private async nextEpoch(target: Place): Promise<void> {
    const after = this.current.epoch.epoch + 1
    const next = this.epochs.find(({ epoch }) => epoch.epoch === after)
    if (next === undefined) throw replaced(this.partition)
    const { begin } = next.epoch
    const [first] = await next.log.read(RAW, this.partition, begin, { recordsMax: 1 })
    const last = { epoch: after - 1, offset: this.readAt, nextMs: first?.timestamp }
    if ((await this.endOf(this.partition, last)) === this.readAt) this.closeLast(target)
    this.current = next
    this.aggregator = new PartitionAggregator(next.epoch, begin, this.lastMs)
    this.readAt = begin
    this.pushAt = begin
    await this.begin()
    // Where only the end of the log was cut off, bursts before may come again.
    const at = { offset: begin, timestamp: (this.lastMs ?? 0) - CHUNK_MS }
    if (this.lastMs !== undefined) await readBack(next.log, this.partition, at, this.aggregator)
  }

  /** Its last chunk was closed by a record that is not there any more: a tick does the same. */
  private closeLast(target: Place): void {
    const timestamp = (this.pushedMs ?? 0) + CHUNK_MS
    const chunk = this.aggregator.push({ offset: this.readAt, timestamp, key: null, value: '' })
    if (chunk !== undefined) this.give(chunk, target)
  }

  /** As far as it takes to close all chunks before the target. */
  private async push(target: Place): Promise<void> {
    const { epoch } = this.current.epoch
    let pushed = 0
    for (const read of this.buffer) {
      const isCut = target.part > 0 && this.openAt <= target.from
      if (epoch === target.epoch && this.openAt >= target.from && !isCut) break
      pushed += 1
      const { record } = read
      if (record.offset > this.pushAt && (await this.isGone(this.pushAt))) {
        const { pushAt: from, pushedMs: beforeMs } = this
        this.holes.push({ from, to: record.offset, beforeMs, nextMs: record.timestamp })
        for (const chunk of this.aggregator.gap(this.pushAt, record)) this.give(chunk, target)
      }
      const isWhole = epoch === target.epoch && record.offset >= target.from
      const chunk = this.pushOne(read, isWhole)
      this.pushAt = record.offset + 1
      this.pushedMs = record.timestamp
      if (chunk !== undefined) this.give(chunk, target)
    }
    this.buffer = this.buffer.slice(pushed)
  }

  /** Of what is not in the range only the id is taken, unless its chunk may be cut into parts. */
  private pushOne({ record, content, isTouching }: Read, isWhole: boolean): Chunk | undefined {
    if (content === 'damaged') return this.aggregator.push(record)
    if (typeof content !== 'object') return this.aggregator.pushContent(record, content)
    if (isTouching) this.requests += content.requests.rows
    const isTaken = isTouching || isWhole || this.isCutAtStart
    return this.aggregator.pushContent(record, isTaken ? content : withoutEvents(content))
  }

  private get isCutAtStart(): boolean {
    return this.start.part > 0 && this.openAt === this.start.from
  }

  /** Cells of the range. Where the target is in the chunk, it is cut as live workers cut it. */
  private give(chunk: Chunk, target: Place): void {
    const isCut = chunk.epoch === target.epoch && chunk.from === target.from && target.part > 0
    const wasCut =
      chunk.epoch === this.start.epoch && chunk.from === this.start.from && this.start.part > 0
    const { cells, deadLetters, watermarkMs, ...offsets } = chunk
    const watermark = new Date(watermarkMs).toISOString()
    const parts =
      isCut || wasCut ? toAggregateRecords(this.partition, chunk).map(cellsOfRecord) : [cells]
    parts.forEach((some, part) => {
      const place = { ...offsets, watermark, part, parts: parts.length }
      this.queue.push({ ...place, cells: cellsIn(some, this.range) })
    })
  }

  /** Offsets that a native Kafka skips are no loss. */
  private async isGone(offset: number): Promise<boolean> {
    if (this.missing.some(({ from, to }) => from <= offset && offset < to)) return true
    return (await this.current.log.offsetAt(RAW, this.partition, 'earliest')) > offset
  }
}

function contentOf({ value }: LogRecord): Read['content'] {
  if (value.length === 0) return undefined
  if (isRepartitioned(value)) return 'repartitioned'
  try {
    return readKeptBurst(value)
  } catch (error) {
    if (error instanceof BurstError) return 'damaged'
    throw error
  }
}

function replaced(partition: number): Error {
  return new Error(
    `partition ${partition} of ${RAW} was replaced by another log: what it held is gone. Where it ` +
      'was archived: --from archive',
  )
}
