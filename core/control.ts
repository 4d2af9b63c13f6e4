/**
 * Records of the raw topic that speak of the log itself. A burst begins with its version, from 1
 * on; these begin with 0 and the byte of what they say.
 */
import { DEDUPE_MS } from './dedupe.ts'

/**
 * "The topic has more partitions now." Keys move then: a resend may land in another partition than
 * its first try, where nobody knows its id. In base64, as a dialect of text carries it.
 */
export const REPARTITIONED = 'AAE='

/**
 * What a reader of a partition knows of such records before the one it is at. A function of the log
 * alone: it does not matter where it began to read, or in which batches.
 */
export class Repartitioned {
  private lastMs = Number.NEGATIVE_INFINITY
  private recalledMs = Number.NEGATIVE_INFINITY

  /** There is one at this log time; times ascend. */
  note(timestampMs: number): void {
    this.lastMs = timestampMs
    this.recalledMs = timestampMs
  }

  /** The last one that was found before the window, as far back as was searched. */
  recall(timestampMs: number): void {
    this.recalledMs = timestampMs
  }

  /** Whether one lies in the window before a record, or from log time `sinceMs` on. */
  isBefore(timestampMs: number, sinceMs: number): boolean {
    return timestampMs - this.lastMs <= DEDUPE_MS || this.recalledMs >= sinceMs
  }
}

/** The same in hex, as bytes and as base64 that came as bytes. */
const AS_BYTES = ['0001', '4141453d']

/** Whether a raw record's value says so. */
export function isRepartitioned(value: string | Uint8Array): boolean {
  if (typeof value === 'string') return value === REPARTITIONED
  return value.length <= REPARTITIONED.length && AS_BYTES.includes(value.toHex())
}
