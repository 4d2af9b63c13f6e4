/** Rules and silences in the database. Each change takes a revision greater than all before it. */
import { type Rule, ruleSchema } from '../core/rule.ts'
import type { RuleRecord, Silence } from '../core/rule-record.ts'
import type { Sql, Transaction } from './client.ts'

export interface StoredSilence extends Silence {
  id: string
}

/** All rules, by id. One that can't be read is passed over, and said to `warn`. */
export async function listRules(
  sql: Sql | Transaction,
  warn: (words: string) => void = () => {},
): Promise<Rule[]> {
  const rows = await sql<{ id: string; definition: unknown }[]>`
    select id, definition from shelf.rules where deleted_at is null order by id`
  return rows.flatMap(({ id, definition }) => {
    const parsed = ruleSchema.safeParse(definition)
    if (!parsed.success) warn(`rule ${id} can't be read: ${parsed.error.issues[0]?.message}`)
    return parsed.success ? [parsed.data] : []
  })
}

export async function findRule(sql: Sql | Transaction, id: string): Promise<Rule | undefined> {
  return (await listRules(sql)).find((rule) => rule.id === id)
}

/** Changes rules or silences: all of it or nothing, and nobody else at the same time. */
export async function change(
  sql: Sql,
  work: (transaction: Transaction) => Promise<void>,
): Promise<void> {
  await sql.begin(async (transaction) => {
    // Revisions are committed in their order: who copies asks for those behind the last it knows.
    await transaction`lock table shelf.rules, shelf.silences in share row exclusive mode`
    await work(transaction)
  })
}

/** By the clock too: a database that was set back must not take a revision twice. */
async function nextRevision(sql: Transaction): Promise<number> {
  const [row] = await sql<{ revision: number }[]>`
    select greatest(
      (extract(epoch from clock_timestamp()) * 1000)::bigint,
      coalesce((select max(revision) from shelf.rules), 0) + 1,
      coalesce((select max(revision) from shelf.silences), 0) + 1
    ) as revision`
  if (row === undefined) throw new Error('no revision')
  return row.revision
}

/** Writes records of the log that the database never had. What was deleted is left out. */
export async function restoreRules(sql: Sql, records: readonly RuleRecord[]): Promise<void> {
  for (const record of records) {
    const { id, revision } = record
    if (record.kind === 'silence') {
      if (record.silence === null) continue
      const row = { id, revision, ...record.silence }
      await sql`insert into shelf.silences ${sql(row)} on conflict do nothing`
    } else if (record.rule !== null) {
      const definition = sql.json({ ...record.rule })
      await sql`
        insert into shelf.rules (id, revision, definition) values (${id}, ${revision}, ${definition})
        on conflict do nothing`
    }
  }
}

export async function saveRule(sql: Transaction, rule: Rule): Promise<void> {
  const revision = await nextRevision(sql)
  await sql`
    insert into shelf.rules (id, revision, definition)
    values (${rule.id}, ${revision}, ${sql.json({ ...rule })})
    on conflict (id) do update set
      revision = excluded.revision, definition = excluded.definition,
      updated_at = now(), deleted_at = null`
}

/** The row stays, to be told to those who have a copy. */
export async function deleteRule(sql: Transaction, id: string): Promise<void> {
  const revision = await nextRevision(sql)
  await sql`
    update shelf.rules set revision = ${revision}, updated_at = now(), deleted_at = now()
    where id = ${id}`
}

/** Silences that are not over, the first to begin first. */
export async function listSilences(sql: Sql): Promise<StoredSilence[]> {
  const rows = await sql<
    (Omit<StoredSilence, 'since' | 'until'> & Record<'since' | 'until', Date>)[]
  >`
    select id, app, rule, since, until, author, reason from shelf.silences
    where deleted_at is null and until > now() order by since, id`
  return rows.map(({ since, until, ...row }) => {
    return { ...row, since: since.toISOString(), until: until.toISOString() }
  })
}

export async function saveSilence(sql: Transaction, silence: StoredSilence): Promise<void> {
  const revision = await nextRevision(sql)
  await sql`insert into shelf.silences ${sql({ ...silence, revision })}`
}

/** @returns false where there is none */
export async function deleteSilence(sql: Transaction, id: string): Promise<boolean> {
  const revision = await nextRevision(sql)
  const found = await sql`
    update shelf.silences set revision = ${revision}, deleted_at = now()
    where id = ${id} and deleted_at is null returning id`
  return found.length > 0
}
