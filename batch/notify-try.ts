/** What follows from a try: delivered, to be tried again and when, or given up. */
import { appsOf, type Message } from '../notify/message.ts'
import type { Outcome } from '../notify/outcome.ts'
import { showTarget } from '../notify/target.ts'
import { titleOf } from '../notify/words.ts'
import type { NewDelivery, Try } from './notify-record.ts'

/** Before the second try; doubled for each further one. */
const BACKOFF_MS_FIRST = 1000
/** No longer than this, so that news do not wait long behind old ones when a channel is back. */
const BACKOFF_MS_MAX = 60_000
/** An alert that is older is history: it goes to the dead letters. */
export const GIVE_UP_MS = 6 * 3_600_000
/** Apps named in a row of deliveries. */
const APPS_MAX = 50

/** When the try after `tries` tries is due, ms from now: half to all of it, so that none march in step. */
export function backoffMs(tries: number, retryAfterMs = 0, random = Math.random()): number {
  const full = Math.min(BACKOFF_MS_FIRST * 2 ** (tries - 1), BACKOFF_MS_MAX)
  return Math.max(Math.round(full * (0.5 + random / 2)), retryAfterMs)
}

/**
 * The record of a try.
 * @param tries which try it was, from 1 on
 * @param sinceMs when the message was written down; it is given up `giveUpMs` later
 */
export function tryRecord(
  message: Message,
  outcome: Outcome,
  { tries, sinceMs, giveUpMs = GIVE_UP_MS }: { tries: number; sinceMs: number; giveUpMs?: number },
): Extract<NewDelivery, { kind: 'try' }> {
  const nowMs = Date.now()
  const { key, target, severity, items, at } = message
  return {
    kind: 'try',
    ...{ key, tries, at: isoOf(nowMs), severity, messageAt: at },
    ...resultOf(outcome, tries, nowMs, nowMs - sinceMs >= giveUpMs),
    target: showTarget(target),
    title: titleOf(message),
    apps: appsOf(message).slice(0, APPS_MAX),
    items: items.length,
  }
}

function resultOf(
  outcome: Outcome,
  tries: number,
  nowMs: number,
  isTooOld: boolean,
): Pick<Try, 'outcome' | 'retryAt' | 'error'> {
  if (outcome.isDelivered) return { outcome: 'delivered', retryAt: null, error: null }
  const { words: error, retryAfterMs } = outcome
  if (outcome.isFinal || isTooOld) return { outcome: 'dead', retryAt: null, error }
  return { outcome: 'failed', retryAt: isoOf(nowMs + backoffMs(tries, retryAfterMs)), error }
}

const isoOf = (ms: number): string => new Date(ms).toISOString()
