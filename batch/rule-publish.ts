/**
 * Copies the rules and silences of the database into the topic rules. Any number of these may do so:
 * repeats fall away. While PostgreSQL is down nothing is copied, and check goes on with what it has.
 * To a database that never had them (a new one) they are copied back: else nobody could edit them.
 */
import type { Log } from '../broker/log.ts'
import {
  RULE_RECORD_VERSION,
  type RuleRecord,
  ruleRecordSchema,
  type Silence,
} from '../core/rule-record.ts'
import type { Sql } from '../db/client.ts'
import { restoreRules } from '../db/rules.ts'
import { appendAll } from './append.ts'
import { patiently, pause } from './loop.ts'
import { say } from './program.ts'
import { RULES_PARTITION, RuleLog } from './rule-log.ts'
import { RULES } from './topics.ts'

/** An edit is in force with the first window after it was copied. */
const LOOK_MS = 2000

/** The log drops what is older than 7 days. */
const COPY_AGE_MS = 24 * 3_600_000

/** Publishes until `signal`. */
export async function publishRules(log: Log, sql: Sql, signal: AbortSignal): Promise<void> {
  const publisher = new RulePublisher(log, sql)
  await patiently('rules', signal, async (succeeded) => {
    while (!signal.aborted) {
      await publisher.step()
      succeeded()
      await pause(LOOK_MS, signal)
    }
  })
}

export class RulePublisher {
  private readonly rules: RuleLog
  /** The greatest revision that was looked at. */
  private seen = -1
  private isRestored = false

  constructor(
    private readonly log: Log,
    private readonly sql: Sql,
  ) {
    this.rules = new RuleLog(log)
  }

  /**
   * Copies what the log lacks, in the order of revisions: so it holds all before its greatest,
   * wherever who copied died. @returns how many records were written
   */
  async step(): Promise<number> {
    await this.rules.refresh()
    if (!this.isRestored) await restoreRules(this.sql, this.rules.known())
    this.isRestored = true
    const rows = await readRows(this.sql, Math.max(this.rules.revision, this.seen))
    const news = rows.flatMap((row) => {
      const record = { version: RULE_RECORD_VERSION, ...row, [row.kind]: row.content }
      const parsed = ruleRecordSchema.safeParse(record)
      if (parsed.success) return [parsed.data]
      say(`rules: ${row.kind} ${row.id} can't be read, and is passed over`)
      return []
    })
    await this.append([...news, ...this.rules.copiesBefore(Date.now() - COPY_AGE_MS)])
    this.seen = rows.at(-1)?.revision ?? this.seen
    return news.length
  }

  private async append(records: readonly RuleRecord[]): Promise<void> {
    const values = records.map((record) => ({
      partition: RULES_PARTITION,
      value: JSON.stringify(record),
    }))
    await appendAll(this.log, RULES, values)
  }
}

interface Row {
  kind: 'rule' | 'silence'
  id: string
  revision: number
  content: unknown
}

interface SilenceRow extends Omit<Row, 'content'>, Omit<Silence, 'since' | 'until'> {
  since: Date
  until: Date
  deleted: boolean
}

/** Who writes rules does so one after the other, so that none comes behind a greater revision. */
async function readRows(sql: Sql, after: number): Promise<Row[]> {
  const rules = await sql<Row[]>`
    select 'rule' as kind, id, revision, case when deleted_at is null then definition end as content
    from shelf.rules where revision > ${after}`
  const silences = await sql<SilenceRow[]>`
    select 'silence' as kind, id, revision, deleted_at is not null as deleted,
      app, rule, since, until, author, reason
    from shelf.silences where revision > ${after}`
  const contents = silences.map(({ kind, id, revision, deleted, since, until, ...words }): Row => {
    const content = { ...words, since: since.toISOString(), until: until.toISOString() }
    return { kind, id, revision, content: deleted ? null : content }
  })
  return [...rules, ...contents].sort((a, b) => a.revision - b.revision)
}
