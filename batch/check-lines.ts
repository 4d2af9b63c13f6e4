/** `shelf check` as a filter: lines of `shelf from aggregates` in, lines of check-results out. */
import { readFileSync } from 'node:fs'
import { z } from 'zod'
import type { Log } from '../broker/log.ts'
import { aggregateRecordSchema } from '../core/aggregate-record.ts'
import type { PartitionChecker } from '../core/check.ts'
import { RULE_RECORD_VERSION, type RuleEntry } from '../core/rule-record.ts'
import { startChecker } from './check-start.ts'
import { CheckTick } from './check-tick.ts'
import { locateLog } from './locate.ts'
import { partitionsOf, pause } from './loop.ts'
import { lineBatches, parseLine, writeOut } from './ndjson.ts'
import { openLog } from './open-log.ts'
import { UsageError } from './program.ts'
import { parseRulesFile } from './rule-file.ts'
import { RuleLog } from './rule-log.ts'
import { AGGREGATES } from './topics.ts'

/** How often ticks are thought of. */
const TICK_CHECK_MS = 250

/** `offset` is there where the line comes from the log. */
const lineSchema = aggregateRecordSchema.and(z.object({ offset: z.int().min(0).optional() }))

export interface LinesOptions {
  /** Not behind the last checkpoint, but from the input's start. */
  all: boolean
  rulesFile: string | undefined
}

export async function checkLines(options: LinesOptions, signal: AbortSignal): Promise<void> {
  const input = await CheckInput.open(options)
  const ended = new AbortController()
  const ticking = input.tick(AbortSignal.any([signal, ended.signal]))
  let number = 0
  for await (const texts of lineBatches(Bun.stdin.stream(), signal)) {
    const lines = texts.map((text) => {
      number += 1
      return parseLine(lineSchema, text, number)
    })
    let out = ''
    for (const [partition, batch] of Map.groupBy(lines, (line) => line.partition)) {
      out += await input.take(partition, batch)
    }
    if (out !== '') await writeOut(out)
  }
  ended.abort()
  await ticking
}

interface Input {
  checker: PartitionChecker
  tick: CheckTick
  /** How many entries of the rules are learnt. */
  learnt: number
}

class CheckInput {
  private readonly partitions = new Map<number, Input>()

  private constructor(
    private readonly log: Log,
    private readonly rules: RuleLog,
    private readonly all: boolean,
    /** Of a file; else those of the log. */
    private readonly fromFile: readonly RuleEntry[] | undefined,
  ) {}

  static async open({ all, rulesFile }: LinesOptions): Promise<CheckInput> {
    if (rulesFile !== undefined && !all) throw new UsageError('--rules FILE goes with --all')
    const log = openLog(locateLog(process.env))
    return new CheckInput(log, new RuleLog(log), all, rulesFile ? entriesOf(rulesFile) : undefined)
  }

  async take(partition: number, lines: readonly z.output<typeof lineSchema>[]): Promise<string> {
    if (this.fromFile === undefined) await this.rules.refresh()
    const entries = this.fromFile ?? this.rules.entries
    const input = this.partitions.get(partition) ?? (await this.begin(partition, entries))
    this.partitions.set(partition, input)
    for (; input.learnt < entries.length; input.learnt++) {
      const entry = entries[input.learnt]
      if (entry !== undefined) input.checker.learn(entry)
    }
    return lines
      .flatMap((line) => input.checker.push(line))
      .map((record) => `${JSON.stringify(record)}\n`)
      .join('')
  }

  private async begin(partition: number, entries: readonly RuleEntry[]): Promise<Input> {
    const count = partitionsOf(await this.log.topics(), AGGREGATES)
    const otherwise = this.all ? 'all' : 'first'
    const { checker } = await startChecker(this.log, partition, count, entries, otherwise)
    return { checker, tick: new CheckTick(this.log, partition), learnt: 0 }
  }

  /** Where the log is quiet, ticks close windows, as they do without the pipe. */
  async tick(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await pause(TICK_CHECK_MS, signal)
      for (const { checker, tick } of this.partitions.values()) {
        if (signal.aborted || Date.now() < tick.dueMs(checker)) continue
        // The log is away: the window waits.
        await tick.tick().catch(() => {})
      }
    }
  }
}

/** Of a file, from the beginning of the log on. */
function entriesOf(path: string): RuleEntry[] {
  return parseRulesFile(readFileSync(path, 'utf8')).map((rule, i) => ({
    ...{ version: RULE_RECORD_VERSION, kind: 'rule', id: rule.id, revision: i, rule },
    timestampMs: 0,
  }))
}
