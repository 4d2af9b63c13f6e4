/** What was decided before somebody starts anew: the end of check-results, by windows. */
import type { CheckRecord, CheckResult } from './check-result.ts'
import { MINUTE_MS } from './ledger.ts'

/** Where to go on: see resumeFrom. */
export interface Resume {
  /** End of the first window to look at, Unix ms. Up to `untilMs` the states are those of the tail. */
  fromMs: number
  /** All windows up to here are decided. */
  untilMs: number
  /** What was decided, in the order of the log. */
  tail: readonly CheckResult[]
  /** Apps that were another partition's before. */
  arrivals?: Arrivals | undefined
}

export interface Arrivals {
  has(app: string): boolean
  /** Their windows that end here or before are not ours, Unix ms: their data lies elsewhere. */
  untilMs: number
  /** What was not ok there. */
  results: readonly CheckResult[]
}

/**
 * Where the partition's checking goes on.
 * @param records the end of its check-results, a day and more
 * @param backMinutes how many minutes a decision looks back at those before it
 * @returns undefined where there is no checkpoint
 */
export function resumeFrom(
  records: readonly CheckRecord[],
  backMinutes: number,
): Resume | undefined {
  let untilMs = Number.NEGATIVE_INFINITY
  const tail: CheckResult[] = []
  for (const record of records) {
    if (record.kind !== 'checkpoint') tail.push(record)
    else untilMs = Math.max(untilMs, Date.parse(record.until))
  }
  if (untilMs === Number.NEGATIVE_INFINITY) return undefined
  return { fromMs: untilMs - backMinutes * MINUTE_MS, untilMs, tail }
}

export class Tail {
  /** All windows up to here are decided, Unix ms. */
  readonly untilMs: number
  private readonly keys = new Set<string>()
  private readonly windows = new Map<number, CheckResult[]>()

  constructor(resume: Resume | undefined) {
    this.untilMs = resume?.untilMs ?? Number.NEGATIVE_INFINITY
    for (const result of resume?.tail ?? []) {
      if (this.keys.has(result.key)) continue
      this.keys.add(result.key)
      // What was decided before the first window to look at is the state to begin with.
      const atMs = Math.max(Date.parse(result.window.until), resume?.fromMs ?? 0)
      if (atMs > this.untilMs) continue
      this.put(atMs, result)
    }
    for (const result of resume?.arrivals?.results ?? []) this.put(this.untilMs, result)
  }

  private put(atMs: number, result: CheckResult): void {
    const found = this.windows.get(atMs) ?? []
    this.windows.set(atMs, found)
    found.push(result)
  }

  /** Whether the record is in the log already. */
  has(key: string): boolean {
    return this.keys.has(key)
  }

  /** What was decided of the windows that end at `untilMs`, oldest first. Each is given once. */
  take(untilMs: number): CheckResult[] {
    const found = this.windows.get(untilMs) ?? []
    this.windows.delete(untilMs)
    return found.sort((a, b) => Date.parse(a.window.until) - Date.parse(b.window.until))
  }
}
