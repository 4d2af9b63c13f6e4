/** What became of one try to deliver a message. */

export type Outcome = { isDelivered: true } | Failure

export interface Failure {
  isDelivered: false
  /** Trying again is of no use. */
  isFinal: boolean
  /** For people, without secrets. */
  words: string
  /** The receiver asked to be left alone this long. */
  retryAfterMs?: number
}

/** What a receiver says is kept up to here. */
const WORDS_CHARS_MAX = 300

export const DELIVERED: Outcome = { isDelivered: true }

export function failure(words: string, options: Partial<Failure> = {}): Failure {
  const line = words.replace(/\s+/g, ' ').trim().slice(0, WORDS_CHARS_MAX)
  return { isFinal: false, ...options, isDelivered: false, words: line }
}
