/**
 * Aggregation of one raw partition, as a function of its records: chunks in, cells out. No I/O, so
 * that live, piped and replayed aggregation are one and the same.
 */
import { BurstError, type PackedBurst } from './burst.ts'
import { readNextBurst } from './burst-reader.ts'
import { Cells } from './cell.ts'
import { type Position, settledMinute, startsChunk } from './chunk.ts'
import { isRepartitioned, Repartitioned } from './control.ts'
import { appNameSchema } from './credential.ts'
import { DedupeWindow } from './dedupe.ts'
import { type LookBack, lookBackMs } from './late.ts'
import { type LedgerCounts, lossBetween, MINUTE_MS, minuteOf, sumOf } from './ledger.ts'

/** A record of the raw topic. An empty value is a tick: it only closes the chunk before it. */
export interface RawRecord extends Position {
  key: string | null
  value: string | Uint8Array
}

/** What a raw record holds; undefined is a tick. */
export type RawContent = PackedBurst | 'repartitioned' | undefined

/**
 * Which raw log a chunk is of. A log that replaced another has offsets of its own, so that places
 * are compared by epoch first.
 */
export interface Epoch {
  /** How many raw logs were there before. */
  epoch: number
  /** The raw offset from which on the log was aggregated. */
  begin: number
}

const FIRST_EPOCH: Epoch = { epoch: 0, begin: 0 }

/** A closed chunk: raw offsets from `from` up to, without, `to`. */
export interface Chunk extends Epoch {
  from: number
  to: number
  /** Log time of its last record, Unix ms: all that was logged before is in. */
  watermarkMs: number
  cells: Cells
  /** Records that could not be decoded, for the topic dead-letter. */
  deadLetters: DeadLetter[]
}

export interface DeadLetter {
  record: RawRecord
  code: BurstError['code']
  message: string
}

/** A chunk that no record has closed yet. */
export interface Waiting {
  from: number
  bursts: number
  isDue: boolean
  last: Position
}

interface OpenChunk {
  from: number
  cells: Cells
  deadLetters: DeadLetter[]
  bursts: number
  /** Its watermark is the first that tells of a minute that it is over. */
  endsMinute: boolean
}

export class PartitionAggregator {
  private readonly window = new DedupeWindow()
  private readonly repartitioned = new Repartitioned()
  private open: OpenChunk | undefined
  private last: Position | undefined
  /** The next chunk is the first of a log that replaced another. */
  private opening: boolean

  /**
   * @param epoch which raw log this is; where `place` is where it begins, the ledger says so. By
   *   default the first there was
   * @param place raw offset to start at
   * @param beforeMs log time, Unix ms, of the last record known before the place, if any is: also one
   *   of the log that was replaced
   */
  constructor(
    private readonly epoch: Epoch = FIRST_EPOCH,
    place = epoch.begin,
    private readonly beforeMs?: number,
  ) {
    this.opening = epoch.epoch > 0 && place === epoch.begin
  }

  /** Takes note of a record before the place to start at: its id may come again. */
  remember(record: RawRecord): void {
    const content = tryDecode(record)
    if (content === 'repartitioned') this.repartitioned.note(record.timestamp)
    else if (content !== undefined && !(content instanceof BurstError)) this.note(record, content)
  }

  /** Takes what was found for the late bursts among the records that are pushed next. */
  recall({ found, repartitionedMs }: Pick<LookBack, 'found' | 'repartitionedMs'>): void {
    this.window.recall(found)
    this.repartitioned.recall(repartitionedMs)
  }

  /**
   * Takes the next record, and returns the chunk that it closed, if it did. The first record is
   * taken as the start of a chunk.
   */
  push(record: RawRecord): Chunk | undefined {
    return this.take(record, tryDecode(record))
  }

  /** The same for a record that is decoded already. */
  pushContent(record: RawRecord, content: RawContent): Chunk | undefined {
    return this.take(record, content)
  }

  private take(record: RawRecord, content: RawContent | BurstError): Chunk | undefined {
    let closed: Chunk | undefined
    if (this.open === undefined || startsChunk(record, this.last)) {
      closed = this.close(record.offset)
      this.open = this.start(record)
    }
    this.last = { offset: record.offset, timestamp: record.timestamp }
    if (content !== undefined) this.fold(this.open, record, content)
    return closed
  }

  private start({ offset, timestamp }: Position): OpenChunk {
    const beforeMs = this.last?.timestamp ?? this.beforeMs
    const endsMinute = beforeMs !== undefined && settledMinute(timestamp) > settledMinute(beforeMs)
    const chunk = { from: offset, cells: new Cells(), deadLetters: [], bursts: 0, endsMinute }
    if (!this.opening) return chunk
    this.opening = false
    const minutes = new Set([this.beforeMs ?? timestamp, timestamp].map(minuteOf))
    for (const minuteMs of minutes) chunk.cells.addLedger('', minuteMs, { logReplaced: 1 })
    // It needs to be closed: others wait for the first chunk of the log to go on with it.
    return { ...chunk, from: this.epoch.begin, bursts: 1 }
  }

  /**
   * The records from `from` up to `next` were deleted before anybody aggregated them. Nobody knows
   * whose they were, so the ledger has them under no app, at both ends of the hole.
   * Returns the chunk that was open, cut short, and one that says what is missing.
   */
  gap(from: number, next: Position): Chunk[] {
    const cut = this.close(from)
    this.open = undefined
    const { cells, deadLetters } = this.start({ ...next, offset: from })
    const beforeMs = this.last?.timestamp ?? this.beforeMs
    for (const [minuteMs, lostLog] of lossBetween(next.offset - from, beforeMs, next.timestamp)) {
      cells.addLedger('', minuteMs, { lostLog })
    }
    const place = { from, to: next.offset, watermarkMs: next.timestamp }
    const missing = { ...this.epoch, ...place, cells, deadLetters }
    return cut === undefined ? [missing] : [cut, missing]
  }

  /**
   * The chunk that waits for a record to close it; `bursts` counts all in it that must be seen. It
   * is due if others wait for it: for its bursts, or to know that a minute is over.
   */
  get waiting(): Waiting | undefined {
    const { open, last } = this
    if (open === undefined || last === undefined) return undefined
    const { from, bursts, endsMinute } = open
    return { from, bursts, isDue: bursts > 0 || endsMinute, last }
  }

  private close(to: number): Chunk | undefined {
    if (this.open === undefined || this.last === undefined) return undefined
    const { from, cells, deadLetters } = this.open
    return { ...this.epoch, from, to, watermarkMs: this.last.timestamp, cells, deadLetters }
  }

  private note(
    at: Position,
    { id, ledger, receivedAtMs }: PackedBurst,
  ): { lostL10: number } | undefined {
    const sinceMs = lookBackMs(receivedAtMs, at.timestamp)
    return this.window.note(id, at, sumOf(ledger, 'lostL10'), sinceMs)
  }

  private fold(
    chunk: OpenChunk,
    record: RawRecord,
    content: PackedBurst | BurstError | 'repartitioned',
  ): void {
    chunk.bursts += 1
    if (content === 'repartitioned') {
      this.repartitioned.note(record.timestamp)
      // Keys may have moved a little before the record says so.
      for (const timeMs of [record.timestamp - MINUTE_MS, record.timestamp]) {
        chunk.cells.addLedger('', minuteOf(timeMs), { repartitioned: 1 })
      }
    } else if (content instanceof BurstError) {
      // The key is the app, unless the record is not one of ours.
      const app = appNameSchema.safeParse(record.key).data ?? ''
      chunk.cells.addLedger(app, minuteOf(record.timestamp), { deadLetters: 1 })
      chunk.deadLetters.push({ record, code: content.code, message: content.message })
    } else {
      this.foldBurst(chunk, record, content)
    }
  }

  private foldBurst(chunk: OpenChunk, at: Position, burst: PackedBurst): void {
    const earlier = this.note(at, burst)
    if (earlier === undefined) {
      // Its first try may lie in another partition, where clients that know fewer may still write.
      const sinceMs = lookBackMs(burst.receivedAtMs, at.timestamp)
      const isUnsure = this.repartitioned.isBefore(at.timestamp, sinceMs)
      for (const [minuteMs, counts] of burst.ledger) {
        chunk.cells.addLedger(burst.app, minuteMs, counts)
        if (isUnsure) chunk.cells.addLedger(burst.app, minuteMs, { repartitioned: 1 })
      }
      chunk.cells.addRequests(burst.app, burst.requests)
      chunk.cells.addSignals(burst.app, burst.signals)
      return
    }
    // A resend may carry an L10 line that the first try lacked: that loss is news, the rest is not.
    let news = Math.max(0, sumOf(burst.ledger, 'lostL10') - earlier.lostL10)
    for (const [minuteMs, counts] of burst.ledger) {
      const received = counts.received ?? 0
      const again: LedgerCounts = { received, duplicates: received }
      const lost = Math.min(news, counts.lostL10 ?? 0)
      if (lost > 0) again.lostL10 = lost
      news -= lost
      chunk.cells.addLedger(burst.app, minuteMs, again)
    }
  }
}

function tryDecode(record: RawRecord): RawContent | BurstError {
  if (record.value.length === 0) return undefined
  if (isRepartitioned(record.value)) return 'repartitioned'
  try {
    return readNextBurst(record.value)
  } catch (error) {
    if (error instanceof BurstError) return error
    throw error
  }
}
