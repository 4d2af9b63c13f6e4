/**
 * The spool: where bursts wait while the log does not take them. One object a burst, its content
 * the burst as the raw topic would hold it, its name in the order of receipt.
 */
import type { Burst } from '../../core/burst.ts'
import { inTime, LATE } from '../time.ts'

/** In front of the names of bursts that wait, and of those that the log will never take. */
export const WAITING = 'spool/'
export const REJECTED = 'rejected/'

/** A record of Kafka's default size; no burst is larger, and what is, is not read into memory. */
export const OBJECT_BYTES_MAX = 1_048_576

/** Any step but a put, which has what is left of its request: R2 takes some 50 ms, a folder 1. */
const STEP_MS_MAX = 5000

/**
 * Names are as spoolName makes them, with no prefix; of things that others put there, as they are.
 * Every promise may be rejected.
 */
export interface Spool {
  /** Resolves when it is durable. */
  put(name: string, value: Uint8Array<ArrayBuffer>): Promise<void>
  /** The names of those that wait, oldest first, at most so many. Keeps to its time itself. */
  list(limit: number): Promise<string[]>
  /** Undefined where it is gone: another drain was first. */
  get(name: string): Promise<Uint8Array<ArrayBuffer> | 'too-large' | undefined>
  delete(names: readonly string[]): Promise<void>
  /** Moves one out of the way, under REJECTED: nothing that was accepted is thrown away. */
  reject(name: string): Promise<void>
}

/** `20261122T0800/20261122T080003.123Z-<burst id>`: ISO 8601's basic format, of fixed width. */
export function spoolName({ receivedAtMs, id }: Burst): string {
  const time = new Date(receivedAtMs).toISOString().replaceAll(/[-:]/g, '')
  return `${time.slice(0, 13)}/${time}-${id}`
}

/** A step of a spool, given up where it hangs. @throws Error */
export async function step<T>(promise: Promise<T>): Promise<T> {
  const result = await inTime(promise, STEP_MS_MAX)
  if (result === LATE) throw new Error(`the spool does not answer within ${STEP_MS_MAX} ms`)
  return result
}
