/** Where readers stand in a topic: to tell them once when it was deleted and made anew. */

import { LogError } from './error.ts'

/** Readers of one partition that are remembered: there are a few, and those that went away. */
const READERS_MAX = 64

export class Places {
  #id: string | undefined
  #standing = new Map<number, Set<number>>()
  #stale = new Map<number, Set<number>>()

  /** The topic as the log knows it now; another id than before makes all places stale. */
  know(id: string): void {
    if (this.#id !== undefined && this.#id !== id) {
      this.#stale = this.#standing
      this.#standing = new Map()
    }
    this.#id = id
  }

  /**
   * A reader goes on at `offset`.
   * @throws LogError 'replaced' where it came there in the topic that is gone; once
   */
  enter(topic: string, partition: number, offset: number): void {
    if (this.#stale.get(partition)?.delete(offset)) {
      throw new LogError('replaced', `topic ${topic} was deleted and made anew: start anew`)
    }
    this.#add(partition, offset)
  }

  /** The reader at `from` was given what lies before `to`. */
  move(partition: number, from: number, to: number): void {
    this.#standing.get(partition)?.delete(from)
    this.#add(partition, to)
  }

  #add(partition: number, offset: number): void {
    const offsets = this.#standing.get(partition) ?? new Set()
    this.#standing.set(partition, offsets)
    offsets.delete(offset)
    offsets.add(offset)
    const [oldest] = offsets
    if (offsets.size > READERS_MAX && oldest !== undefined) offsets.delete(oldest)
  }
}
