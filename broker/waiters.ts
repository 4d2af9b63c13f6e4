/**
 * Those who wait for something to change, by key: the long polls of a log.
 */

import { LogError } from './error.ts'

/** Each is one open connection with little behind it. */
const WAITERS_MAX = 1_024

export class Waiters<Key> {
  readonly #wakes = new Map<Key, Set<() => void>>()
  #count = 0

  /**
   * Resolves when one of `keys` is woken or after `ms`, whichever is first.
   * @throws LogError 'unavailable' where 1,024 wait already; the signal's reason when aborted
   */
  async wait(keys: ReadonlySet<Key>, ms: number, signal?: AbortSignal): Promise<void> {
    if (this.#count >= WAITERS_MAX) {
      throw new LogError('unavailable', `${WAITERS_MAX} reads are waiting already`)
    }
    const { promise, resolve } = Promise.withResolvers<void>()
    const wake = () => resolve()
    const timer = setTimeout(wake, ms)
    signal?.addEventListener('abort', wake)
    for (const key of keys) this.#of(key).add(wake)
    this.#count++
    await promise
    this.#count--
    for (const key of keys) this.#of(key).delete(wake)
    signal?.removeEventListener('abort', wake)
    clearTimeout(timer)
    signal?.throwIfAborted()
  }

  wake(key: Key): void {
    for (const wake of this.#of(key)) wake()
  }

  wakeAll(): void {
    for (const key of this.#wakes.keys()) this.wake(key)
  }

  #of(key: Key): Set<() => void> {
    const found = this.#wakes.get(key) ?? new Set()
    this.#wakes.set(key, found)
    return found
  }
}
