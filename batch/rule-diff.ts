/** What it takes to get from the rules that are there to those that are wanted. */
import { type Rule, summaryOf } from '../core/rule.ts'
import { showTarget } from '../notify/target.ts'

export interface RuleDiff {
  save: Rule[]
  delete: string[]
  /** For people: `+ id`, `~ id field: before → after`, `- id`. */
  lines: string[]
}

/** @param keep whether rules that are not wanted stay */
export function diffRules(
  before: readonly Rule[],
  wanted: readonly Rule[],
  { keep }: { keep: boolean },
): RuleDiff {
  const diff: RuleDiff = { save: [], delete: [], lines: [] }
  const known = new Map(before.map((rule) => [rule.id, rule]))
  for (const rule of wanted) {
    const old = known.get(rule.id)
    known.delete(rule.id)
    // Who muted it meanwhile did so on purpose, and not in the file.
    const next = { ...rule, mutedUntil: rule.mutedUntil ?? old?.mutedUntil ?? null }
    const changes = old === undefined ? [] : changesOf(old, next)
    if (old === undefined) diff.lines.push(`+ ${rule.id} ${summaryOf(rule)}`)
    else for (const change of changes) diff.lines.push(`~ ${rule.id} ${change}`)
    if (old === undefined || changes.length > 0) diff.save.push(next)
  }
  for (const rule of keep ? [] : known.values()) {
    diff.delete.push(rule.id)
    diff.lines.push(`- ${rule.id} ${summaryOf(rule)}`)
  }
  return diff
}

function changesOf(before: Rule, after: Rule): string[] {
  const old = new Map<string, unknown>(Object.entries(before))
  return Object.entries(after).flatMap(([field, value]) => {
    const [was, is] = [JSON.stringify(old.get(field)), JSON.stringify(value)]
    if (was === is) return []
    if (field === 'notify') return [`notify: ${shownTargets(before)} → ${shownTargets(after)}`]
    return [`${field}: ${was} → ${is}`]
  })
}

/** A difference stands in logs: there are no secrets in it. */
const shownTargets = ({ notify }: Rule): string => JSON.stringify(notify.map(showTarget))
