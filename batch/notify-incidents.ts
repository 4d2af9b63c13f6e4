/**
 * Which incidents were told to whom. From it follows what a record of check-results is to a target:
 * news or nothing. A repeat is nothing; so is an end of what nobody was told of.
 */
import type { CheckRecord, CheckResult } from '../core/check-result.ts'
import {
  type Event,
  groupOf,
  type Item,
  itemSchema,
  keyOf,
  type Message,
} from '../notify/message.ts'

/** How long an incident that ended is known, log time: a second checker may be that much behind. */
const ENDED_MS = 3_600_000

interface Told {
  target: string
  name: string
  severity: Message['severity']
  /** End of the window of what was told last. */
  untilMs: number
  isUnknown: boolean
  /** Offset of the cut that told it first. */
  cut: number
}

export class Incidents {
  /** By group, then by incident. */
  private readonly open = new Map<string, Map<string, Told>>()
  /** When incidents ended, by log time. */
  private readonly ended = new Map<string, number>()

  /** How many incidents of a group are open. */
  count(group: string): number {
    return this.open.get(group)?.size ?? 0
  }

  /** The oldest cut that told of an incident which is open still. */
  get since(): number {
    let since = Number.POSITIVE_INFINITY
    for (const told of this.open.values()) {
      for (const { cut } of told.values()) since = Math.min(since, cut)
    }
    return since
  }

  /** A copy, to find out what records would tell. */
  copy(): Incidents {
    const copy = new Incidents()
    for (const [group, told] of this.open) {
      copy.open.set(group, new Map([...told].map(([id, value]) => [id, { ...value }])))
    }
    for (const [id, atMs] of this.ended) copy.ended.set(id, atMs)
    return copy
  }

  /** What was told of an incident, to a group, by the cut at `offset`. */
  note(group: Message, item: Item, cut: number): void {
    const { incident, event } = item
    if (incident === null) return
    const told = this.open.get(group.group) ?? new Map<string, Told>()
    if (event === 'recovered') {
      told.delete(incident)
      const atMs = Date.parse(item.at)
      this.ended.set(incident, atMs)
      this.forget(atMs)
    } else {
      const { target, name, severity } = group
      const first = told.get(incident)?.cut ?? cut
      const isUnknown = event === 'unknown'
      const untilMs = Date.parse(item.window.until)
      told.set(incident, { target, name, severity, untilMs, isUnknown, cut: first })
    }
    if (told.size > 0) this.open.set(group.group, told)
    else this.open.delete(group.group)
  }

  private forget(nowMs: number): void {
    for (const [incident, atMs] of this.ended) {
      if (atMs < nowMs - ENDED_MS) this.ended.delete(incident)
    }
  }

  /** To whom a record is news, and what. */
  newsOf(
    result: CheckResult,
  ): { to: Pick<Message, 'target' | 'name' | 'severity'>; event: Event }[] {
    const { incident, name, severity } = result
    if (incident === null || result.kind === 'standing') return []
    if (this.ended.has(incident) || result.state === 'pending') return []
    const targets = [...new Set(result.notify)].map((target) => ({ target, name, severity }))
    if (result.state === 'ok') {
      // To all who were told that it began, whatever the rule says now, and muted or not.
      const told = this.toldOf(incident)
      // One that is older than what we remember was told to somebody all the same.
      const to = told.length > 0 || result.saidAt === null ? told : targets
      return to.map((to) => ({ to, event: 'recovered' }))
    }
    if (result.muted !== null) return []
    return targets.flatMap((to) => {
      const event = eventFor(result, this.open.get(groupOf(to))?.get(incident))
      return event === undefined ? [] : [{ to, event }]
    })
  }

  private toldOf(incident: string): Told[] {
    return [...this.open.values()].flatMap((told) => told.get(incident) ?? [])
  }
}

/** A reminder of what nobody was told of, as it was muted then, is the first word of it. */
function eventFor(result: CheckResult, told: Told | undefined): Event | undefined {
  if (told === undefined) return result.state === 'unknown' ? undefined : 'fired'
  // A second checker may be behind the first one. By the window: one watermark may close several.
  if (Date.parse(result.window.until) <= told.untilMs) return undefined
  if (result.state === 'unknown') return told.isUnknown ? undefined : 'unknown'
  return result.kind === 'reminder' ? 'reminder' : undefined
}

/**
 * The messages that records make, in their order: one for each target, rule name and severity, in
 * pieces of `itemsMax`.
 */
export function compose(
  records: readonly CheckRecord[],
  known: Incidents,
  at: string,
  itemsMax: number,
): Message[] {
  const incidents = known.copy()
  const drafts = new Map<string, { message: Message; keys: string[] }[]>()
  for (const record of records) {
    if (record.kind === 'checkpoint') continue
    for (const { to, event } of incidents.newsOf(record)) {
      const group = groupOf(to)
      const pieces = drafts.get(group) ?? []
      drafts.set(group, pieces)
      let draft = pieces.at(-1)
      if (draft === undefined || draft.message.items.length === itemsMax) {
        const { target, name, severity } = to
        draft = {
          message: { key: '', group, target, name, severity, at, items: [], open: 0 },
          keys: [],
        }
        pieces.push(draft)
      }
      const item = itemOf(record, event)
      draft.message.items.push(item)
      draft.keys.push(record.key)
      incidents.note(draft.message, item, Number.POSITIVE_INFINITY)
      draft.message.open = incidents.count(group)
    }
  }
  return [...drafts.values()]
    .flat()
    .map(({ message, keys }) => ({ ...message, key: keyOf(message.group, keys) }))
}

function itemOf(result: CheckResult, event: Event): Item {
  return itemSchema.parse({ ...result, event })
}
