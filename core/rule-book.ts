/** Rules and silences in the order of the log, each taken once, when its time has come. */
import { inForceMs, type RuleEntry } from './rule-record.ts'

export class RuleBook {
  private readonly revisions = new Map<string, number>()
  private toNeed: RuleEntry[] = []
  private toApply: RuleEntry[] = []

  /** Takes the next record of the topic. Repeats, and what a newer one has replaced, fall away. */
  learn(entry: RuleEntry): void {
    const key = `${entry.kind}/${entry.id}`
    if (entry.revision <= (this.revisions.get(key) ?? -1)) return
    this.revisions.set(key, entry.revision)
    this.toNeed.push(entry)
    this.toApply.push(entry)
  }

  /** What is in force at `timeMs`, and was not asked for before: its data is kept from now on. */
  needUntil(timeMs: number): RuleEntry[] {
    const [due, later] = split(this.toNeed, timeMs)
    this.toNeed = later
    return due
  }

  /** The same for decisions, which are made later: they wait for late data. */
  applyUntil(timeMs: number): RuleEntry[] {
    const [due, later] = split(this.toApply, timeMs)
    this.toApply = later
    return due
  }
}

/** Copies are in force from earlier on than they stand in the log: each entry is asked. */
function split(queue: RuleEntry[], timeMs: number): [due: RuleEntry[], later: RuleEntry[]] {
  if (queue.length === 0) return [[], queue]
  const isDue = (entry: RuleEntry): boolean => inForceMs(entry) <= timeMs
  return [queue.filter(isDue), queue.filter((entry) => !isDue(entry))]
}
