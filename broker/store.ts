/**
 * The records of the embedded log in one SQLite file: what is durable, and nothing else. All of
 * it is synchronous; `EmbeddedLog` decides when to call it.
 */

import type { Database } from 'bun:sqlite'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { type FetchedRecord, headersShape } from './dialect.ts'
import { addPartitions, openFile, placeOf, pragma, prepare } from './schema.ts'
import { guarded } from './sqlite-error.ts'

/** One partition of a topic, as of the last commit. */
export interface Partition {
  readonly id: number
  readonly topic: string
  readonly partition: number
  /** Offset of the first record kept; equals `next` where nothing is kept. */
  earliest: number
  /** Offset of the next record to come. */
  next: number
  /** Unix ms stamped on the last record appended, kept or not; 0 before the first. */
  lastMs: number
}

/** A record to write. `headers` is JSON, null where there are none. */
export interface StoreRecord {
  partition: Partition
  key: string | null
  value: string
  headers: string | null
}

interface RecordRow {
  place: number
  timestamp: number
  key: string | null
  value: string
  headers: string | null
}

export class Store {
  readonly #db: Database
  readonly #guard: <T>(call: () => T) => T
  readonly #write: (records: readonly StoreRecord[], timestampMs: number) => number[]
  #partitions: Partition[] = []
  /** A commit failed and the file could not be asked yet what it holds. */
  #stale = false

  /**
   * Opens or makes `log.sqlite` in `folder`.
   * @throws LogError 'failed' for a file in use or of a newer version; 'disk' where the disk refuses
   */
  constructor(folder: string) {
    mkdirSync(folder, { recursive: true })
    this.#guard = (call) => guarded(folder, call)
    this.#db = this.#guard(() => openFile(join(folder, 'log.sqlite')))
    try {
      this.#guard(() => prepare(this.#db))
      this.#guard(() => this.#load())
      this.#write = this.#writer()
    } catch (error) {
      this.#db.close()
      throw error
    }
  }

  /** In order of topic and partition; the objects stay the same for life. */
  get partitions(): readonly Partition[] {
    return this.#partitions
  }

  /** Makes the partitions that these topics lack, all or none, durable once it returns. */
  addPartitions(topics: Readonly<Record<string, number>>): void {
    this.#guard(() => {
      addPartitions(this.#db, topics)
      this.#load()
    })
  }

  /**
   * Writes all records or none, durable once it returns.
   * @returns the offset of each, in order
   * @throws LogError 'disk' where the disk refuses; nothing was accepted then
   */
  append(records: readonly StoreRecord[], timestampMs: number): number[] {
    return this.#guard(() => {
      if (this.#stale) this.#load()
      // A failed commit may have reached the disk after all: what the file says then decides.
      this.#stale = true
      const offsets = this.#write(records, timestampMs)
      this.#stale = false
      records.forEach(({ partition }, index) => {
        partition.next = (offsets[index] ?? 0) + 1
        partition.lastMs = timestampMs
      })
      return offsets
    })
  }

  /** Records from `offset` on: at least one if there is one, then until either limit is met. */
  read(partition: Partition, offset: number, countMax: number, bytesMax: number): FetchedRecord[] {
    const from = Math.max(offset, partition.earliest)
    if (from >= partition.next) return []
    const base = placeOf(partition, 0)
    return this.#guard(() => {
      const rows = this.#db
        .query<RecordRow, [number, number]>(
          'select * from records where place >= ? and place < ? order by place',
        )
        .iterate(base + from, base + partition.next)
      const found: FetchedRecord[] = []
      let bytes = 0
      for (const row of rows) {
        bytes += recordBytes(row)
        if (found.length > 0 && bytes > bytesMax) break
        found.push({
          topic: partition.topic,
          partition: partition.partition,
          offset: row.place - base,
          timestamp: row.timestamp,
          key: row.key,
          value: row.value,
          headers: row.headers === null ? [] : headersShape.parse(JSON.parse(row.headers)),
        })
        if (found.length >= countMax) break
      }
      return found
    })
  }

  /**
   * Offset of the first kept record at or after a Unix ms, the next one where there is none. A
   * binary search: offsets have no holes and timestamps never decrease, so it needs no index.
   */
  offsetAt(partition: Partition, timestampMs: number): number {
    return this.#guard(() => {
      const select = this.#db.query<{ timestamp: number }, [number]>(
        'select timestamp from records where place = ?',
      )
      let low = partition.earliest
      let high = partition.next
      while (low < high) {
        const middle = Math.floor((low + high) / 2)
        const row = select.get(placeOf(partition, middle))
        if (row !== null && row.timestamp < timestampMs) low = middle + 1
        else high = middle
      }
      return low
    })
  }

  /** Deletes what is kept before `offset`; the earliest moves there. */
  deleteBefore(partition: Partition, offset: number): void {
    this.#guard(() =>
      this.#db
        .query<null, [number, number]>('delete from records where place >= ? and place < ?')
        .run(placeOf(partition, partition.earliest), placeOf(partition, offset)),
    )
    partition.earliest = Math.max(partition.earliest, offset)
  }

  /** How many pages (of 4 KiB) the file has, and how many of them nothing uses. */
  pages(): { total: number; free: number } {
    return this.#guard(() => ({
      total: pragma(this.#db, 'page_count'),
      free: pragma(this.#db, 'freelist_count'),
    }))
  }

  /** Gives up to `pages` unused pages back to the file system. */
  shrink(pages: number): void {
    // Read to the end: each step of this statement frees one page.
    this.#guard(() => this.#db.query(`pragma incremental_vacuum(${pages})`).all())
  }

  close(): void {
    this.#db.close()
  }

  /** Reads the partitions from the file, into the objects that are already handed out. */
  #load(): void {
    const rows = this.#db
      .query<Omit<Partition, 'earliest'>, []>(
        `select id, topic, partition, next_offset as next, last_timestamp as lastMs
         from partitions order by topic, partition`,
      )
      .all()
    const first = this.#db.query<{ place: number }, [number, number]>(
      'select place from records where place >= ? and place < ? order by place limit 1',
    )
    const known = new Map(this.#partitions.map((partition) => [partition.id, partition]))
    this.#partitions = rows.map((row) => {
      const place = first.get(placeOf(row, 0), placeOf(row, row.next))?.place
      const earliest = place === undefined ? row.next : place - placeOf(row, 0)
      return Object.assign(known.get(row.id) ?? {}, { ...row, earliest })
    })
    this.#stale = false
  }

  #writer(): (records: readonly StoreRecord[], timestampMs: number) => number[] {
    const insert = this.#db.query<null, [number, number, string | null, string, string | null]>(
      'insert into records (place, timestamp, key, value, headers) values (?, ?, ?, ?, ?)',
    )
    const move = this.#db.query<null, [number, number, number]>(
      'update partitions set next_offset = ?, last_timestamp = ? where id = ?',
    )
    return this.#db.transaction((records: readonly StoreRecord[], timestampMs: number) => {
      const next = new Map<Partition, number>()
      const offsets = records.map(({ partition, key, value, headers }) => {
        const offset = next.get(partition) ?? partition.next
        insert.run(placeOf(partition, offset), timestampMs, key, value, headers)
        next.set(partition, offset + 1)
        return offset
      })
      for (const [partition, offset] of next) move.run(offset, timestampMs, partition.id)
      return offsets
    }).immediate
  }
}

/** Bytes of a record as Kafka counts them, without its few bytes of framing. */
export function recordBytes(record: Pick<RecordRow, 'key' | 'value' | 'headers'>): number {
  return (
    Buffer.byteLength(record.value) +
    Buffer.byteLength(record.key ?? '') +
    Buffer.byteLength(record.headers ?? '')
  )
}
