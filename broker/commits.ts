/**
 * Group commit: appends that come in while a commit is syncing share the next one, and each is
 * answered after its commit.
 */

import { LogError } from './error.ts'
import type { Appended } from './log.ts'
import { recordBytes, type StoreRecord } from './store.ts'

/** Records of one commit end here, so that reads are not held up for long. */
const COMMIT_BYTES_MAX = 8 * 1024 * 1024
/** What waits for a commit: a second or two of a slow disk, and small beside a process's memory. */
const QUEUE_BYTES_MAX = 64 * 1024 * 1024
const QUEUE_LENGTH_MAX = 10_000

interface Pending {
  records: readonly StoreRecord[]
  bytes: number
  resolve: (appended: Appended[]) => void
  reject: (error: unknown) => void
}

export class Commits {
  readonly #write: (records: readonly StoreRecord[]) => Appended[]
  readonly #queue: Pending[] = []
  #bytes = 0

  /** `write` makes all records durable before it returns, or throws and has written none. */
  constructor(write: (records: readonly StoreRecord[]) => Appended[]) {
    this.#write = write
  }

  /**
   * Resolves once the records are durable, all in the same commit.
   * @throws LogError 'too-large', 'unavailable' when the queue is full, and what `write` throws
   */
  async push(records: readonly StoreRecord[]): Promise<Appended[]> {
    const bytes = records.reduce((sum, record) => sum + recordBytes(record), 0)
    if (bytes > QUEUE_BYTES_MAX) {
      throw new LogError(
        'too-large',
        `an append has at most ${QUEUE_BYTES_MAX} bytes, not ${bytes}`,
      )
    }
    if (this.#queue.length >= QUEUE_LENGTH_MAX || this.#bytes + bytes > QUEUE_BYTES_MAX) {
      throw new LogError('unavailable', 'more is waiting for the disk than the queue holds')
    }
    if (this.#queue.length === 0) setImmediate(() => this.#commit())
    this.#bytes += bytes
    return new Promise((resolve, reject) => {
      this.#queue.push({ records, bytes, resolve, reject })
    })
  }

  /** Commits all that waits, now. */
  flush(): void {
    while (this.#queue.length > 0) this.#commit()
  }

  #commit(): void {
    const group = this.#take()
    if (group.length === 0) return
    try {
      const appended = this.#write(group.flatMap(({ records }) => records))
      let from = 0
      for (const { records, resolve } of group) {
        resolve(appended.slice(from, from + records.length))
        from += records.length
      }
    } catch (error) {
      for (const { reject } of group) reject(error)
    }
    if (this.#queue.length > 0) setImmediate(() => this.#commit())
  }

  #take(): Pending[] {
    let bytes = 0
    let count = 0
    for (const pending of this.#queue) {
      if (count > 0 && bytes + pending.bytes > COMMIT_BYTES_MAX) break
      bytes += pending.bytes
      count++
    }
    this.#bytes -= bytes
    return this.#queue.splice(0, count)
  }
}
