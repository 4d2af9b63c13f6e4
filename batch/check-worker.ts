/**
 * Checks one partition, step by step. All it knows comes from the log, so it may die any time. Two
 * of it write the same records twice: readers know them by their keys.
 */
import { LogError } from '../broker/error.ts'
import type { Log, LogRecord } from '../broker/log.ts'
import type { PartitionChecker } from '../core/check.ts'
import type { CheckRecord } from '../core/check-result.ts'
import { parseAggregate } from './aggregate-tail.ts'
import { appendAll } from './append.ts'
import { startChecker } from './check-start.ts'
import { CheckTick } from './check-tick.ts'
import { say } from './program.ts'
import type { RuleLog } from './rule-log.ts'
import { AGGREGATES, CHECK_RESULTS } from './topics.ts'

/** How long a read waits for records. */
const IDLE_WAIT_MS = 10_000

export class CheckWorker {
  private readonly tick: CheckTick
  /** How many entries of the rules are learnt. */
  private learnt = 0

  private constructor(
    private readonly log: Log,
    private readonly rules: RuleLog,
    private readonly partition: number,
    private readonly checker: PartitionChecker,
    /** Offset of aggregates to read next. */
    private next: number,
  ) {
    this.tick = new CheckTick(log, partition)
  }

  /** Starts where the output of all workers before it ends. */
  static async start(
    log: Log,
    rules: RuleLog,
    partition: number,
    partitions: number,
  ): Promise<CheckWorker> {
    await rules.refresh()
    const { checker, next } = await startChecker(log, partition, partitions, rules.entries)
    return new CheckWorker(log, rules, partition, checker, next)
  }

  /**
   * Takes what one read gives, and writes what it decides; where it gives nothing, appends a tick
   * to raw if that is due.
   * @param idleMs how long to wait for records at most
   * @returns how many records were read
   * @throws LogError 'replaced' where aggregates is not the log it was: start anew
   */
  async step(signal: AbortSignal, idleMs = IDLE_WAIT_MS): Promise<number> {
    const waitMs = Math.min(Math.max(this.tick.dueMs(this.checker) - Date.now(), 0), idleMs)
    const found = await this.log.read(AGGREGATES, this.partition, this.next, { waitMs, signal })
    if (found.length > 0) await this.write(await this.take(found))
    else {
      await this.mustBeSameLog()
      if (Date.now() >= this.tick.dueMs(this.checker) && !signal.aborted) await this.tick.tick()
    }
    return found.length
  }

  private async take(found: readonly LogRecord[]): Promise<CheckRecord[]> {
    // After the read: so all rules are known that were logged before what it gave.
    await this.rules.refresh()
    for (; this.learnt < this.rules.entries.length; this.learnt++) {
      const entry = this.rules.entries[this.learnt]
      if (entry !== undefined) this.checker.learn(entry)
    }
    const decided: CheckRecord[] = []
    for (const record of found) {
      const aggregate = parseAggregate(record)
      if (aggregate === undefined) {
        say(`check ${this.partition}: offset ${record.offset} is no record of cells`)
      } else {
        for (const result of this.checker.push(aggregate)) decided.push(result)
      }
      this.next = record.offset + 1
    }
    return decided
  }

  /** In order: a checkpoint says that all before it is written. */
  private async write(decided: readonly CheckRecord[]): Promise<void> {
    const { partition } = this
    const values = decided.map((record) => ({ partition, value: JSON.stringify(record) }))
    await appendAll(this.log, CHECK_RESULTS, values)
  }

  private async mustBeSameLog(): Promise<void> {
    const end = await this.log.offsetAt(AGGREGATES, this.partition, 'latest')
    if (end >= this.next) return
    throw new LogError('replaced', `partition ${this.partition} of ${AGGREGATES} is another log`)
  }
}
