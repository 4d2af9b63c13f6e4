/**
 * A message: all that one target is to hear at once of one rule name and severity, so that an
 * incident of fifty apps is one message. It is written to the topic deliveries before it is sent,
 * and holds all that is said: sent again, it is the same.
 */
import { createHash } from 'node:crypto'
import { z } from 'zod'
import { checkResultSchema } from '../core/check-result.ts'
import { SEVERITIES } from '../core/rule.ts'

/**
 * What happened to an incident. `unknown`: it fired, and now the data is late or has holes. `test`
 * is what `shelf notify test` says.
 */
export const EVENTS = ['fired', 'reminder', 'unknown', 'recovered', 'test'] as const

export const itemSchema = checkResultSchema
  .omit({
    version: true,
    key: true,
    kind: true,
    partition: true,
    notify: true,
    muted: true,
    saidAt: true,
  })
  .extend({ event: z.enum(EVENTS) })

export const messageSchema = z.object({
  /** The same message has the same key, however often it is sent. */
  key: z.string().min(1).max(100),
  /** What the messages of one target, rule name and severity have in common: groupOf(). */
  group: z.string().min(1).max(100),
  /** As the rule has it. */
  target: z.string(),
  name: z.string(),
  severity: z.enum(SEVERITIES),
  at: z.iso.datetime(),
  items: z.array(itemSchema).min(1),
  /** How many incidents of the group are still open after this. */
  open: z.int().min(0),
})

export type Event = (typeof EVENTS)[number]
export type Item = z.infer<typeof itemSchema>
export type Message = z.infer<typeof messageSchema>

type Group = Pick<Message, 'target' | 'name' | 'severity'>

/** The name of a group. No secret of the target can be read from it. */
export const groupOf = ({ target, name, severity }: Group): string =>
  `shelf-${digest([target, name, severity])}`

/** The key of a message: what it says of what, and to whom. Without a dot, as webhook ids must be. */
export const keyOf = (group: string, resultKeys: readonly string[]): string =>
  `msg_${digest([group, ...resultKeys])}`

const digest = (words: readonly string[]): string =>
  createHash('sha256').update(JSON.stringify(words)).digest('hex').slice(0, 32)

/** What the message is about as a whole: its most urgent event, but over is over. */
export function eventOf({ items, open }: Pick<Message, 'items' | 'open'>): Event {
  const has = (event: Event) => items.some((item) => item.event === event)
  if (open === 0 && has('recovered')) return 'recovered'
  return EVENTS.find(has) ?? 'test'
}

/** The apps it speaks of, each once. */
export const appsOf = ({ items }: Pick<Message, 'items'>): string[] => [
  ...new Set(items.map(({ app }) => app)),
]
