/** A Kafka over HTTP as a sink: tries within a budget, and resends what may not be written. */
import { type Answer, ask, type Post } from './ask.ts'
import { retryAfterMs } from './retry-after.ts'
import type { Outcome, Sink, SinkRecord } from './sink.ts'

/** A shorter try is not worth its work: Redpanda and Karapace linger for 100 ms by default. */
const TRY_MS_MIN = 300
/** A Worker of the free plan makes 50 requests for each one that it answers. */
const TRIES_MAX = 32
/** Between tries: doubled each time, less up to half of it, so that edges do not come at once. */
const PAUSE_MS_FIRST = 50
const PAUSE_MS_MAX = 1000

/**
 * A smaller record fits every Kafka: one that is refused alone is refused for something else, which
 * an operator mends, or for the records of others, as by Redpanda's proxy, which makes one batch of
 * several requests and refuses it whole.
 */
const REFUSED_BYTES_MIN = 500_000

/** What the dialects differ in. */
export interface HttpDialect {
  post(topic: string, records: readonly SinkRecord[]): Post
  /**
   * What an answer says of the `count` records of its request, in their order. A `reject` is believed
   * of a large record that was sent alone.
   */
  outcomes(answer: Answer, count: number): Outcome[]
}

/** The outcomes of `count` records that fare alike. */
export function allOf(count: number, outcome: Outcome): Outcome[] {
  return Array.from({ length: count }, () => outcome)
}

interface Item {
  record: SinkRecord
  /** Its place among the records that were given. */
  at: number
}

/**
 * Every dialect is at-least-once: a record may be written though its answer was lost, and then it is
 * written again. Its burst's id makes that harmless, but it is work for all who read it: so what is
 * known to be written is not sent again with what is not.
 * @param warn gets a line where records were not taken: how many, and what the log answered last
 */
export function httpSink(dialect: HttpDialect, warn: (line: string) => void): Sink {
  return {
    async produce(topic, records, budgetMs) {
      const endMs = performance.now() + budgetMs
      const leftMs = (): number => endMs - performance.now()
      const outcomes = allOf(records.length, 'retry')
      const queue = [records.map((record, at) => ({ record, at }))]
      let answer: Answer | undefined
      let failures = 0
      for (let tries = 0; tries < TRIES_MAX; tries++) {
        const batch = queue.shift() ?? []
        if (batch.length === 0 || (tries > 0 && leftMs() < TRY_MS_MIN)) break
        const sent = batch.map(({ record }) => record)
        answer = await ask(() => dialect.post(topic, sent), tryMs(leftMs()))
        const told = answer === undefined ? [] : dialect.outcomes(answer, batch.length)
        const { refused, failed } = sorted(batch, told, outcomes)
        queue.push(...halves(refused))
        if (failed.length === 0) continue
        queue.push(failed)
        const pauseMs = Math.max(retryAfterMs(answer?.headers), backoffMs(failures++))
        if (leftMs() - pauseMs < TRY_MS_MIN) break
        await new Promise((resolve) => setTimeout(resolve, pauseMs))
      }
      const untaken = outcomes.filter((outcome) => outcome !== 'ok').length
      if (untaken > 0) warn(`${untaken} of ${records.length} records not taken: ${said(answer)}`)
      return outcomes
    },
  }
}

/** Half of what is left, so that one hung connection leaves time for another; all, if it would not. */
function tryMs(leftMs: number): number {
  return leftMs < 2 * TRY_MS_MIN ? leftMs : leftMs / 2
}

function backoffMs(failures: number): number {
  return Math.min(PAUSE_MS_FIRST * 2 ** failures, PAUSE_MS_MAX) * (0.5 + Math.random() / 2)
}

/**
 * Notes the outcomes, and sorts out what is sent again. A refusal in company proves nothing: the
 * sum may be too large, for a server or for a batch that it made, or one may be refused for all.
 * Nor does one of a small record.
 */
function sorted(
  batch: readonly Item[],
  told: readonly Outcome[],
  outcomes: Outcome[],
): { refused: Item[]; failed: Item[] } {
  const refused: Item[] = []
  const failed: Item[] = []
  for (const [place, item] of batch.entries()) {
    const outcome = told[place] ?? 'retry'
    const isRefused = outcome === 'reject'
    const isFinal = batch.length === 1 && item.record.value.length >= REFUSED_BYTES_MIN
    outcomes[item.at] = isRefused && !isFinal ? 'retry' : outcome
    if (isRefused && batch.length > 1) refused.push(item)
    else if (outcomes[item.at] === 'retry') failed.push(item)
  }
  return { refused, failed }
}

function halves(items: Item[]): Item[][] {
  const middle = Math.ceil(items.length / 2)
  return [items.slice(0, middle), items.slice(middle)].filter((half) => half.length > 0)
}

/** For the operator, with nothing of a record in it: the status, and the first code of an error. */
function said(answer: Answer | undefined): string {
  if (answer === undefined) return 'the log did not answer'
  const code = /"error_code"\s*:\s*(?!200\b|0\b)(-?\d{1,5})\b/.exec(answer.text)?.[1]
  return `the log answered ${answer.status}${code === undefined ? '' : `, error code ${code}`}`
}
