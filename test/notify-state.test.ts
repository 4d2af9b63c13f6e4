/** The topic deliveries decides who sends what, whoever reads it and from where. */
import { describe, expect, test } from 'bun:test'
import type { DeliveryRecord, NewDelivery } from '../batch/notify-record.ts'
import { DeliveryState, LEASE_MS } from '../batch/notify-state.ts'
import { backoffMs, tryRecord } from '../batch/notify-try.ts'
import type { Message } from '../notify/message.ts'
import { groupOf, itemSchema } from '../notify/message.ts'
import { minute, result } from './notify-receivers.ts'

function message(app: string): Message {
  const to = { target: 'oncall', name: 'slow', severity: 'critical' } as const
  const item = itemSchema.parse({ ...result(app, 'firing', 1), event: 'fired' })
  return { ...to, key: `msg_${app}`, group: groupOf(to), at: minute(1), items: [item], open: 1 }
}

const BEGIN_MS = Date.parse(minute(1))

/** A topic that grows by a record a second; each says which cut was in force for its author. */
class Topic {
  readonly records: { record: DeliveryRecord; offset: number; atMs: number }[] = []
  readonly state = new DeliveryState()

  /** @returns whether it counts */
  add(by: string, content: NewDelivery, at = this.records.length, after = this.state.cut): boolean {
    const record: DeliveryRecord = { version: 1, by, after, ...content }
    const entry = { record, offset: this.records.length, atMs: BEGIN_MS + at * 1000 }
    this.records.push(entry)
    return this.state.apply(record, entry.offset, entry.atMs)
  }

  cut(by: string, apps: string[], at?: number, after?: number | null): boolean {
    const messages = apps.map(message)
    const { since } = this.state
    return this.add(
      by,
      { kind: 'cut', since, places: { 0: this.records.length }, messages },
      at,
      after,
    )
  }

  delivered(by: string, app: string): boolean {
    const outcome = { isDelivered: true } as const
    return this.add(by, tryRecord(message(app), outcome, { tries: 1, sinceMs: 0 }))
  }
}

test('of two cuts of the same place the first one counts', () => {
  const topic = new Topic()
  expect(topic.cut('a', ['x'])).toBe(true)
  topic.delivered('a', 'x')
  const before = topic.state.cut
  expect(topic.cut('b', ['y'])).toBe(true)
  expect(topic.cut('a', ['y'], undefined, before)).toBe(false)
  expect(topic.state.holder).toBe('b')
  expect([...topic.state.waiting.keys()]).toEqual(['msg_y'])
})

describe('who has messages to deliver', () => {
  test('is left alone as long as it speaks', () => {
    const topic = new Topic()
    topic.cut('a', ['x'], 0)
    expect(topic.add('a', { kind: 'beat' }, 8)).toBe(true)
    expect(topic.add('b', { kind: 'beat' }, 15)).toBe(false)
    expect(topic.cut('b', ['y'], 16)).toBe(false)
    expect(topic.state.holder).toBe('a')
  })

  test('is taken over from when it fell silent, and what it delivers yet counts', () => {
    const topic = new Topic()
    topic.cut('a', ['x', 'y'], 0)
    expect(topic.add('b', { kind: 'beat' }, LEASE_MS / 1000)).toBe(true)
    expect(topic.state.holder).toBe('b')
    expect(topic.add('a', { kind: 'beat' }, LEASE_MS / 1000 + 1)).toBe(false)
    expect(topic.delivered('a', 'x')).toBe(true)
    expect([...topic.state.waiting.keys()]).toEqual(['msg_y'])
  })
})

test('a try that failed says how many there were, and when the next is due', () => {
  const topic = new Topic()
  topic.cut('a', ['x'])
  const failed = { isDelivered: false, isFinal: false, words: '503', retryAfterMs: 30_000 } as const
  topic.add('a', tryRecord(message('x'), failed, { tries: 3, sinceMs: Date.now() }))
  const waiting = topic.state.waiting.get('msg_x')
  expect(waiting?.tries).toBe(3)
  expect((waiting?.retryAtMs ?? 0) - Date.now()).toBeGreaterThan(25_000)
})

test('who reads from the oldest cut that matters knows what who read all knows', () => {
  const topic = new Topic()
  const hour = 3600
  for (const app of ['a', 'b']) {
    topic.cut('one', [app], topic.records.length)
    topic.delivered('one', app)
  }
  // Hours later, b has ended; a fires still.
  const end = { ...message('b'), key: 'msg_b_end' }
  const items = end.items.map((item) => ({ ...item, event: 'recovered' as const }))
  const { since } = topic.state
  topic.add(
    'two',
    { kind: 'cut', since, places: { 0: 9 }, messages: [{ ...end, items }] },
    3 * hour,
  )
  topic.cut('one', ['c'], 3 * hour + 1, 0)
  topic.add('two', { kind: 'beat' }, 3 * hour + 2)

  const { cut } = topic.state
  const record = topic.records[cut ?? 0]?.record
  const from = record?.kind === 'cut' ? record.since : null
  expect(from).toBe(0)
  const again = new DeliveryState()
  for (const { record, offset, atMs } of topic.records.slice(from ?? 0)) {
    again.apply(record, offset, atMs, offset === cut)
  }
  expect(again).toEqual(topic.state)
  expect(again.places).toEqual({ 0: 9 })
})

test('tries come soon at first, then each minute, never in step, and not before they may', () => {
  expect([1, 2, 3, 4, 7, 8, 50].map((tries) => backoffMs(tries, 0, 1))).toEqual([
    ...[1000, 2000, 4000, 8000, 60_000, 60_000, 60_000],
  ])
  expect(backoffMs(7, 0, 0)).toBe(30_000)
  expect(backoffMs(1, 300_000)).toBe(300_000)
})

test('what is refused, or too old, is given up', () => {
  const after = (isFinal: boolean, ageMs: number) =>
    tryRecord(
      message('x'),
      { isDelivered: false, isFinal, words: 'no' },
      { tries: 2, sinceMs: Date.now() - ageMs },
    ).outcome
  expect(after(false, 0)).toBe('failed')
  expect(after(true, 0)).toBe('dead')
  expect(after(false, 6 * 3_600_000)).toBe('dead')
})
