/** The ledger: what became of each message, by app and minute. */

/**
 * Counts of messages, unless they say what else they count. Bursts name them by their number here:
 * a new one goes to the end.
 * received = kept + ignoredOutput + ignoredUnknown + malformed + duplicates, always.
 */
export const LEDGER_COUNTS = [
  'received',
  'kept',
  /** The app's own output, which carries no metric. */
  'ignoredOutput',
  /** Of a kind that Shelf does not know. */
  'ignoredUnknown',
  'malformed',
  /** Messages of a burst that had come before. */
  'duplicates',
  /** Kept, but its minute was dropped already. */
  'late',
  /** Kept, but it claimed a time ahead of us: it stands at the time of receipt. */
  'future',
  /** Dropped before they reached us, as Logplex (L10) and log-shuttle (L12, L13) say. */
  'lostL10',
  'lostL12',
  'lostL13',
  /** Raw records deleted before they were aggregated, see lossBetween. */
  'lostLog',
  /** Raw records that could not be decoded; they are in the topic dead-letter. */
  'deadLetters',
  /** Values in a line, or in a post of metrics, that could not be read. */
  'unreadable',
  /** Requests and values that went to `other`: their app has too many names in that minute. */
  'overLimit',
  /**
   * Times that the raw log was found to be another one than before, under no app: at the minute of
   * the last record known of the log before, and at that of the first one of the new.
   */
  'logReplaced',
  /**
   * Bursts that may have come before, into another partition, as raw got more of them. Under no app:
   * the records that say so, at their minute and the one before.
   */
  'repartitioned',
] as const

export type LedgerCount = (typeof LEDGER_COUNTS)[number]

/** Counts that are not 0. */
export type LedgerCounts = Partial<Record<LedgerCount, number>>

export const MINUTE_MS = 60_000

/** The start of the minute that holds `timeMs`, Unix ms. */
export function minuteOf(timeMs: number): number {
  return Math.floor(timeMs / MINUTE_MS) * MINUTE_MS
}

/**
 * Where `lost` records stand that lay between two others, by log time, Unix ms: one at the minute of
 * the last that is known before them, if any is, and the rest at that of the first one left. So
 * neither minute passes for complete; the sum is exact.
 */
export function lossBetween(
  lost: number,
  beforeMs: number | undefined,
  nextMs: number,
): [minuteMs: number, lost: number][] {
  const [before, next] = [minuteOf(beforeMs ?? nextMs), minuteOf(nextMs)]
  if (lost < 2 || before === next) return [[next, lost]]
  return [
    [before, 1],
    [next, lost - 1],
  ]
}

/**
 * The sum of two counts, at most 2^53 - 1: what a client writes into its lines must not break sums
 * for all. Such sums do not depend on their order either.
 */
export function addUp(a: number, b: number): number {
  return Math.min(a + b, Number.MAX_SAFE_INTEGER)
}

/** Counts by minute (its start, Unix ms). */
export type Ledger = Map<number, LedgerCounts>

export function count(ledger: Ledger, minuteMs: number, what: LedgerCount, by = 1): void {
  if (by === 0) return
  let row = ledger.get(minuteMs)
  if (row === undefined) {
    row = {}
    ledger.set(minuteMs, row)
  }
  addTo(row, what, by)
}

export function addTo(counts: LedgerCounts, what: LedgerCount, by: number): void {
  counts[what] = addUp(counts[what] ?? 0, by)
}

/** A count over all minutes. */
export function sumOf(ledger: Ledger, what: LedgerCount): number {
  let sum = 0
  for (const counts of ledger.values()) sum = addUp(sum, counts[what] ?? 0)
  return sum
}

/** Adds `more` to `counts`. */
export function addCounts(counts: LedgerCounts, more: LedgerCounts): void {
  for (const what of LEDGER_COUNTS) {
    const by = more[what]
    if (by !== undefined && by !== 0) counts[what] = addUp(counts[what] ?? 0, by)
  }
}
