/** A real log whose clock the test moves, and that can be cut, wiped and recreated under its users. */
import { Database } from 'bun:sqlite'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { EmbeddedLog } from '../broker/embedded.ts'
import type { Log, LogRecord } from '../broker/log.ts'
import { REPARTITIONED } from '../core/control.ts'
import { minuteOf } from '../core/ledger.ts'

export interface ChangingLogOptions {
  partitions?: number
  /** How long raw is kept, ms. Default 7 days, as the others. */
  retentionMs?: number
  /** How far ahead of ours its clock is at first, ms. Default 1 h: a time that no test waits for. */
  aheadMs?: number
}

/** Who uses it keeps it, whatever happens to the log behind it: like a URL. */
export class ChangingLog implements Log {
  /** Moves the log's clock, which no time moves. */
  aheadMs: number
  readonly folder = mkdtempSync(join(tmpdir(), 'shelf-changing-'))
  /** The start of a minute: what lasts seconds lies in one. */
  private readonly startMs = minuteOf(Date.now())
  private partitions: number
  private log: EmbeddedLog

  constructor(private readonly options: ChangingLogOptions = {}) {
    this.partitions = options.partitions ?? 1
    this.aheadMs = options.aheadMs ?? 3_600_000
    this.log = this.open()
  }

  get nowMs(): number {
    return this.startMs + this.aheadMs
  }

  private open(): EmbeddedLog {
    const { partitions, options } = this
    const topic = { partitions }
    const retentionMs = options.retentionMs && { retentionMs: options.retentionMs }
    return new EmbeddedLog({
      folder: this.folder,
      topics: {
        ...{ aggregates: topic, 'dead-letter': topic },
        raw: { ...topic, ...retentionMs, onGrowth: REPARTITIONED },
      },
      wallMs: () => this.nowMs,
      elapsedMs: () => this.nowMs,
    })
  }

  topics: Log['topics'] = () => this.log.topics()
  read: Log['read'] = (...args) => this.log.read(...args)
  offsetAt: Log['offsetAt'] = (...args) => this.log.offsetAt(...args)
  append: Log['append'] = (...args) => this.log.append(...args)
  createTopics: Log['createTopics'] = (wanted) => this.log.createTopics(wanted)

  /** Appends to partition 0 of raw. */
  async appendRaw(...values: string[]): Promise<{ offset: number; timestamp: number }[]> {
    return this.append(
      'raw',
      values.map((value) => ({ value, partition: 0 })),
    )
  }

  /** Deletes all that raw has, by letting the time pass that it keeps it. */
  async forget(): Promise<void> {
    this.aheadMs += (this.options.retentionMs ?? 0) + 1000
    await this.log.retain()
  }

  async all(topic: string, partition = 0): Promise<LogRecord[]> {
    const all: LogRecord[] = []
    for (let at = 0; ; at = (all.at(-1)?.offset ?? 0) + 1) {
      const records = await this.read(topic, partition, at)
      if (records.length === 0) return all
      all.push(...records)
    }
  }

  /** The broker is restarted with so many partitions. */
  restart(partitions = this.partitions): void {
    this.log.close()
    this.partitions = partitions
    this.log = this.open()
  }

  /** The topic was deleted and made anew. */
  recreate(topic: string): void {
    this.operate(topic, 0, 0)
  }

  /** The records of partition 0 from `offset` on are gone, as after an unclean election. */
  cutEnd(topic: string, offset: number): void {
    this.operate(topic, offset, offset)
  }

  /** The records of partition 0 before `offset` are gone, as by retention. */
  truncate(topic: string, offset: number): void {
    this.operate(topic, undefined, offset)
  }

  /** What a broker never does is done to the file while it is closed. */
  private operate(topic: string, nextOffset: number | undefined, offset: number): void {
    this.log.close()
    const db = new Database(join(this.folder, 'log.sqlite'))
    const partitions = db
      .query<{ id: number; partition: number }, [string]>(
        'select id, partition from partitions where topic = ?',
      )
      .all(topic)
    for (const { id, partition } of partitions) {
      if (partition !== 0 && offset > 0) continue
      const base = id * 2 ** 40
      if (nextOffset === undefined) {
        db.run('delete from records where place >= ? and place < ?', [base, base + offset])
      } else {
        db.run('delete from records where place >= ? and place < ?', [
          base + offset,
          base + 2 ** 40,
        ])
        db.run('update partitions set next_offset = ? where id = ?', [nextOffset, id])
      }
    }
    db.close()
    this.log = this.open()
  }

  /** Leaves the files to a broker. */
  release(): void {
    this.log.close()
  }

  close(): void {
    this.log.close()
    rmSync(this.folder, { recursive: true, force: true })
  }
}
