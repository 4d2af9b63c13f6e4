/** A file of rules, as people write and keep it: YAML (or JSON, which is YAML too). */
import { parse, stringify, YAMLParseError } from 'yaml'
import { z } from 'zod'
import { type Rule, ruleSchema } from '../core/rule.ts'
import { UsageError } from './program.ts'
import { mustHaveTargets } from './rule-options.ts'

const fileSchema = z.strictObject({ rules: z.array(ruleSchema) })

/**
 * The rules of a file: `rules:`, a list.
 * @throws UsageError that says where it is wrong
 */
export function parseRulesFile(text: string): Rule[] {
  let content: unknown
  try {
    content = parse(text)
  } catch (error) {
    if (!(error instanceof YAMLParseError)) throw error
    throw new UsageError(error.message)
  }
  const parsed = fileSchema.safeParse(content)
  if (!parsed.success) throw new UsageError(z.prettifyError(parsed.error))
  const { rules } = parsed.data
  const ids = rules.map(({ id }) => id)
  const twice = ids.find((id, i) => ids.indexOf(id) !== i)
  for (const rule of rules) mustHaveTargets(rule)
  if (twice !== undefined) throw new UsageError(`the rule ${twice} is there twice`)
  return rules
}

/** What of a rule is not as it is by default. */
export function shortRule(rule: Rule): Record<string, unknown> {
  const { id, apps, metric, operator, threshold } = rule
  const least = ruleSchema.parse({ id, apps, metric, operator, threshold })
  const more = Object.entries(rule).filter(
    ([key, value]) =>
      JSON.stringify(value) !== JSON.stringify(Object.entries(least).find(([k]) => k === key)?.[1]),
  )
  return { id, apps, metric, operator, threshold, ...Object.fromEntries(more) }
}

/** The file that holds these rules. */
export function printRulesFile(rules: readonly Rule[]): string {
  return stringify({ rules: rules.map(shortRule) })
}
