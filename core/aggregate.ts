/**
 * Aggregation of one raw partition, as a function of its records: chunks in, cells out. No I/O, so
 * that live, piped and replayed aggregation are one and the same.
 */
import { type Burst, BurstError, decodeBurst } from './burst.ts'
import { Cells } from './cell.ts'
import { type Position, startsChunk } from './chunk.ts'
import { appNameSchema } from './credential.ts'
import { DedupeWindow } from './dedupe.ts'
import { type LedgerCounts, minuteOf } from './ledger.ts'

/** A record of the raw topic. An empty value is a tick: it only closes the chunk before it. */
export interface RawRecord extends Position {
  key: string | null
  value: string | Uint8Array
}

/** A closed chunk: raw offsets from `from` up to, without, `to`. */
export interface Chunk {
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

interface OpenChunk {
  from: number
  cells: Cells
  deadLetters: DeadLetter[]
  bursts: number
}

export class PartitionAggregator {
  private readonly window = new DedupeWindow()
  private open: OpenChunk | undefined
  private last: Position | undefined

  /** Takes note of a record before the place to start at: its id may come again. */
  remember(record: RawRecord): void {
    const burst = tryDecode(record)
    if (burst && !(burst instanceof BurstError)) this.window.note(burst.id, record, lostL10(burst))
  }

  /**
   * Takes the next record, and returns the chunk that it closed, if it did. The first record is
   * taken as the start of a chunk.
   */
  push(record: RawRecord): Chunk | undefined {
    return this.take(record, tryDecode(record))
  }

  /** The same for a record that is decoded already; no burst is a tick. */
  pushBurst(record: RawRecord, burst: Burst | undefined): Chunk | undefined {
    return this.take(record, burst)
  }

  private take(record: RawRecord, burst: Burst | BurstError | undefined): Chunk | undefined {
    let closed: Chunk | undefined
    if (this.open === undefined || startsChunk(record, this.last)) {
      closed = this.close(record.offset)
      this.open = { from: record.offset, cells: new Cells(), deadLetters: [], bursts: 0 }
    }
    this.last = { offset: record.offset, timestamp: record.timestamp }
    if (burst !== undefined) this.fold(this.open, record, burst)
    return closed
  }

  /**
   * The records from `from` up to `next` were deleted before anybody aggregated them. Nobody knows
   * whose they were, so the ledger has them under no app, at the log time of the first one left.
   * Returns the chunk that was open, cut short, and one that says what is missing.
   */
  gap(from: number, next: Position): Chunk[] {
    const cells = new Cells()
    cells.addLedger('', minuteOf(next.timestamp), { lostLog: next.offset - from })
    const missing = { from, to: next.offset, watermarkMs: next.timestamp, cells, deadLetters: [] }
    const cut = this.close(from)
    this.open = undefined
    return cut === undefined ? [missing] : [cut, missing]
  }

  /** The chunk that waits for a record to close it. */
  get waiting(): { bursts: number; last: Position } | undefined {
    return this.open && this.last && { bursts: this.open.bursts, last: this.last }
  }

  private close(to: number): Chunk | undefined {
    if (this.open === undefined || this.last === undefined) return undefined
    const { from, cells, deadLetters } = this.open
    return { from, to, watermarkMs: this.last.timestamp, cells, deadLetters }
  }

  private fold(chunk: OpenChunk, record: RawRecord, burst: Burst | BurstError): void {
    chunk.bursts += 1
    if (burst instanceof BurstError) {
      // The key is the app, unless the record is not one of ours.
      const app = appNameSchema.safeParse(record.key).data ?? ''
      chunk.cells.addLedger(app, minuteOf(record.timestamp), { deadLetters: 1 })
      chunk.deadLetters.push({ record, code: burst.code, message: burst.message })
      return
    }
    const earlier = this.window.note(burst.id, record, lostL10(burst))
    if (earlier === undefined) {
      for (const [minuteMs, counts] of burst.ledger) {
        chunk.cells.addLedger(burst.app, minuteMs, counts)
      }
      chunk.cells.addRequests(burst.app, burst.requests)
      chunk.cells.addSignals(burst.app, burst.signals)
      return
    }
    // A resend may carry an L10 line that the first try lacked: that loss is news, the rest is not.
    let news = Math.max(0, lostL10(burst) - earlier.lostL10)
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

function tryDecode(record: RawRecord): Burst | BurstError | undefined {
  if (record.value.length === 0) return undefined
  try {
    return decodeBurst(record.value)
  } catch (error) {
    if (error instanceof BurstError) return error
    throw error
  }
}

function lostL10(burst: Burst): number {
  let lost = 0
  for (const counts of burst.ledger.values()) lost += counts.lostL10 ?? 0
  return lost
}
