/** Rules of the database, for people at a terminal. */
import type { Rule } from '../core/rule.ts'
import type { Sql, Transaction } from '../db/client.ts'
import { findRule, listRules } from '../db/rules.ts'
import { say, UsageError } from './program.ts'

/** All rules, by id. One that can't be read is passed over, and said. */
export const storedRules = (sql: Sql | Transaction): Promise<Rule[]> => listRules(sql, say)

/** @throws UsageError where there is none */
export async function mustFindRule(sql: Sql | Transaction, id: string): Promise<Rule> {
  const rule = await findRule(sql, id)
  if (rule === undefined) throw new UsageError(`there is no rule ${id}: shelf rule list has them`)
  return rule
}
