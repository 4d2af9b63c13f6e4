/** The topic rules as check reads it: what the log says of rules and silences, in its order. */
import { z } from 'zod'
import type { Log, LogRecord } from '../broker/log.ts'
import {
  inForceMs,
  RULE_RECORD_VERSION,
  type RuleEntry,
  type RuleRecord,
  ruleRecordSchema,
} from '../core/rule-record.ts'
import { RULES, textOf } from './topics.ts'

/** All stand in one partition: they have one order. */
export const RULES_PARTITION = 0

export class RuleLog {
  /** Each revision once. Grows with edits only. */
  readonly entries: RuleEntry[] = []
  /** The newest revision of each rule and silence, and when its last copy was written. */
  private readonly newest = new Map<string, { entry: RuleEntry; copiedMs: number }>()
  /** The greatest revision of all. */
  revision = -1
  /** Offset to read next. */
  private next = 0
  private reading: Promise<void> | undefined

  constructor(private readonly log: Log) {}

  /** Reads on to the end of the topic. Afterwards all is known that was in the log before. */
  async refresh(): Promise<void> {
    // Who asks while another reads needs what comes after that began.
    if (this.reading !== undefined) await this.reading.catch(() => {})
    this.reading ??= this.read().finally(() => {
      this.reading = undefined
    })
    await this.reading
  }

  private async read(): Promise<void> {
    for (;;) {
      const records = await this.log.read(RULES, RULES_PARTITION, this.next)
      if (records.length === 0) return await this.startAnewIfCut()
      for (const record of records) {
        this.take(record)
        this.next = record.offset + 1
      }
    }
  }

  /**
   * A topic that was made anew is read from its start: what is known stays, and has no copy there
   * any more.
   */
  private async startAnewIfCut(): Promise<void> {
    if ((await this.log.offsetAt(RULES, RULES_PARTITION, 'latest')) >= this.next) return
    this.next = 0
    for (const known of this.newest.values()) known.copiedMs = 0
  }

  private take(record: LogRecord): void {
    const rule = parseRuleRecord(record)
    if (rule === undefined) return
    const entry: RuleEntry = { ...rule, timestampMs: record.timestamp }
    this.revision = Math.max(this.revision, rule.revision)
    const key = keyOf(rule)
    const known = this.newest.get(key)
    if (known === undefined || known.entry.revision < rule.revision) {
      this.newest.set(key, { entry, copiedMs: record.timestamp })
      this.entries.push(entry)
    } else if (known.entry.revision === rule.revision) {
      known.copiedMs = Math.max(known.copiedMs, record.timestamp)
    }
  }

  /** The newest record of each rule and silence. */
  known(): RuleEntry[] {
    return [...this.newest.values()].map(({ entry }) => entry)
  }

  /** Copies of what was written last before `timeMs`, so that the log does not drop it, by revision. */
  copiesBefore(timeMs: number): RuleRecord[] {
    return [...this.newest.values()]
      .filter(({ entry, copiedMs }) => copiedMs < timeMs && !isOver(entry, timeMs))
      .map(({ entry }) => {
        const { timestampMs, ...record } = entry
        return { ...record, since: new Date(inForceMs(entry)).toISOString() }
      })
      .sort((a, b) => a.revision - b.revision)
  }
}

const keyOf = ({ kind, id }: Pick<RuleRecord, 'kind' | 'id'>): string => `${kind}/${id}`

/** Deleted; or a silence that ended before `timeMs`. */
function isOver(record: RuleRecord, timeMs: number): boolean {
  if (record.kind === 'rule') return record.rule === null
  return record.silence === null || Date.parse(record.silence.until) < timeMs
}

/**
 * What a record of rules holds; undefined where it is none.
 * @throws Error for a record of a newer Shelf: to pass over it could miss an alert
 */
function parseRuleRecord(record: LogRecord): RuleRecord | undefined {
  let json: unknown
  try {
    json = JSON.parse(textOf(record.value))
  } catch {
    return undefined
  }
  const version = z.object({ version: z.int() }).safeParse(json).data?.version ?? 0
  if (version > RULE_RECORD_VERSION) {
    throw new Error(
      `offset ${record.offset} of ${RULES} was written by a newer Shelf (version ${version}): ` +
        'update this one',
    )
  }
  return ruleRecordSchema.safeParse(json).data
}
