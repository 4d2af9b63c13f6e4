/** From what was logged to what people are told, and when: each word of it is compared. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { rmSync } from 'node:fs'
import { z } from 'zod'
import { compose, Incidents } from '../batch/notify-incidents.ts'
import type { AggregateRecord } from '../core/aggregate-record.ts'
import type { CheckRecord } from '../core/check-result.ts'
import { partitionOf } from '../core/partition.ts'
import type { Rule } from '../core/rule.ts'
import { itemSchema } from '../notify/message.ts'
import { at, check, checkAgain, History, MINUTE_MS, results, START_MS } from './check-history.ts'
import { httpReceiver } from './notify-receivers.ts'
import { Restarted, type Stack, startStack, until } from './stack.ts'

const MAX = { metric: 'max', threshold: 1000, windowMinutes: 1, notify: ['oncall'] }
const SLOW = { serviceMs: 3000 }

/** `03:05:05 fired demo 3000`: the log's time, what is told of whom, the value; a line a message. */
function told(records: readonly CheckRecord[]): string[] {
  const incidents = new Incidents()
  return [...Map.groupBy(results(records), (record) => record.at)].flatMap(([time, batch], cut) =>
    compose(batch, incidents, time, 200).map((message) => {
      for (const item of message.items) incidents.note(message, item, cut)
      const items = message.items.map(({ event, app, value }) => `${event} ${app} ${value}`)
      return `${time.slice(11, 19)} ${items.join(', ')}`
    }),
  )
}

describe('people are told', () => {
  const rule = (more: Partial<Rule> = {}): History => new History().rule({ ...MAX, ...more })

  test('of a slow ramp once the window is across, and once it is back', () => {
    const history = rule({ metric: 'mean', windowMinutes: 5 })
    for (let m = 0; m < 20; m++) history.minute(m, { serviceMs: m < 12 ? 500 + 100 * m : 100 })
    expect(told(check(history, 21))).toEqual([
      '03:08:05 fired demo 1000',
      '03:14:05 recovered demo 940',
    ])
  })

  test('once of what flaps at the threshold', () => {
    const history = rule({ recoveryThreshold: 800, recoveryMinutes: 3 })
    const values = [500, 1200, 900, 1200, 700, 900, 700, 700, 1200, 700, 700, 700, 700]
    values.forEach((serviceMs, m) => {
      history.minute(m, { serviceMs })
    })
    expect(told(check(history, 14))).toEqual([
      '03:02:05 fired demo 1200',
      '03:12:05 recovered demo 700',
    ])
  })

  test('of what fires, as long as it does, at the interval of reminders', () => {
    const history = rule({ reminderMinutes: 5 }).minutes(0, 11, SLOW).minutes(12, 14, {})
    expect(told(check(history, 15))).toEqual([
      '03:01:05 fired demo 3000',
      '03:06:05 reminder demo 3000',
      '03:11:05 reminder demo 3000',
      '03:13:05 recovered demo 100',
    ])
  })

  test('that nobody knows, where the log was away while something fired, and of nothing else', () => {
    const history = rule().rule({
      ...MAX,
      id: 'silent',
      metric: 'no-data',
      operator: '<',
      threshold: 1,
    })
    history.minutes(0, 4, {}).minutes(5, 7, SLOW).minutes(15, 20, SLOW).minutes(21, 24, {})
    history.outage(at(8), at(15))
    // What the edge held on to comes when the log is back.
    for (let m = 8; m < 15; m++) history.minute(m, SLOW, at(15, 20))
    expect(told(check(history, 25))).toEqual([
      '03:06:05 fired demo 3000',
      '03:15:05 unknown demo null',
      '03:22:05 recovered demo 100',
    ])
  })

  test('of what comes late by the windows that are open still', () => {
    const history = rule()
      .rule({ ...MAX, id: 'three', windowMinutes: 3 })
      .minutes(0, 9, {})
    history.minute(4, SLOW, at(5, 30))
    expect(told(check(history, 10))).toEqual([
      '03:06:05 fired demo 3000',
      '03:08:05 recovered demo 100',
    ])
  })

  test('nothing new in a storm of L10, but that nobody knows of what fired', () => {
    const history = rule().minutes(0, 1, {}).minutes(2, 9, SLOW).minutes(10, 12, {})
    history.minutes(0, 12, { app: 'other', ...SLOW }).rule({ ...MAX, apps: ['other'], id: 'o' })
    for (const m of [4, 5, 6]) history.ledger(m, { received: 1, kept: 1, lostL10: 400 })
    for (let m = 0; m < 13; m++) history.ledger(m, { lostL10: 400 }, 'other')
    expect(told(check(history, 13))).toEqual([
      '03:03:05 fired demo 3000',
      '03:05:05 unknown demo 3000',
      '03:11:05 recovered demo 100',
    ])
  })

  test('of a bad deploy when its time is over, and of a good one nothing', () => {
    const history = rule({ apps: ['demo', 'shop'], deployMuteMinutes: 3 })
    history.minutes(0, 1, {}).deploy(2).minutes(2, 9, SLOW).minutes(10, 11, {})
    history
      .deploy(2, 'shop')
      .minutes(2, 3, { app: 'shop', ...SLOW })
      .minutes(4, 11, { app: 'shop' })
    expect(told(check(history, 12))).toEqual([
      '03:07:05 fired demo 3000',
      '03:11:05 recovered demo 100',
    ])
  })

  test('of maintenance nothing, also in a minute without a request', () => {
    const history = rule({ metric: 'throughput', operator: '<', threshold: 50 })
    history
      .minutes(0, 1, {})
      .minutes(9, 10, {})
      .minutes(11, 11, { requests: 10 })
      .minutes(12, 13, {})
    for (const m of [2, 3, 6]) history.counter(m, 'H80', 3).minute(m, { requests: 3, failed: 3 })
    expect(told(check(history, 14))).toEqual([
      '03:12:05 fired demo 10',
      '03:13:05 recovered demo 100',
    ])
  })

  test('of what still fires when a silence ends', () => {
    const history = rule().minutes(0, 1, {}).minutes(2, 9, SLOW).minutes(10, 11, {})
    history.silence(at(0), at(6), at(0), 'demo')
    expect(told(check(history, 12))).toEqual([
      '03:06:05 fired demo 3000',
      '03:11:05 recovered demo 100',
    ])
  })

  test('of fifty apps in one message', () => {
    const apps = Array.from({ length: 50 }, (_, i) => `app-${String(i).padStart(2, '0')}`)
    const history = rule({ apps: ['*'] })
    for (const app of apps)
      history
        .minutes(0, 1, { app })
        .minute(2, { app, ...SLOW })
        .minute(3, { app })
    expect(told(check(history, 4))).toEqual([
      `03:03:05 ${apps.map((app) => `fired ${app} 3000`).join(', ')}`,
      `03:04:05 ${apps.map((app) => `recovered ${app} 100`).join(', ')}`,
    ])
  })

  test('nothing twice, where two check and one of them begins anew at any time', () => {
    const history = rule({ reminderMinutes: 5 }).minutes(0, 39, { app: 'other' })
    for (let m = 0; m < 40; m++) history.minute(m, { serviceMs: m % 11 < 4 ? 3000 : 100 })
    const aggregates = history.until(41)
    const written = check(history, 41)
    const alone = told(written)
    expect(alone.length).toBeGreaterThan(6)
    for (let known = 1; known < written.length; known += 3) {
      const doubles = [
        ...written.slice(0, known),
        ...checkAgain(history, aggregates, written.slice(0, known)),
      ]
      const both = [...written, ...doubles].sort((a, b) => Date.parse(a.at) - Date.parse(b.at))
      expect(told(both)).toEqual(alone)
    }
  })
})

describe('while PostgreSQL is down, and both are killed again and again', () => {
  const PARTITION = partitionOf('demo', 4)
  /** The log's time: a while ago, so that windows close as fast as we write. */
  const moveMs = Math.floor(Date.now() / MINUTE_MS) * MINUTE_MS - 40 * MINUTE_MS - START_MS
  const isoOf = (ms: number): string => new Date(ms + moveMs).toISOString()
  const hook = httpReceiver()
  let stack: Stack
  let workers: Restarted[] = []

  beforeAll(async () => {
    stack = await startStack()
  })
  afterAll(async () => {
    await Promise.all(workers.map((worker) => worker.stop()))
    await hook.stop()
    await stack.stop()
    rmSync(stack.dir, { recursive: true, force: true })
  })

  /** The record as it would have been written then. */
  const moved = (record: AggregateRecord): AggregateRecord => {
    const text = JSON.stringify({ ...record, partition: PARTITION })
    return JSON.parse(
      text.replaceAll(/"(2026-11-23T0[^"]+Z)"/g, (_, iso) => `"${isoOf(Date.parse(iso))}"`),
    )
  }

  const heard = (): string[] =>
    hook.received.flatMap(({ body }) => {
      const { items } = z.object({ items: z.array(itemSchema) }).parse(JSON.parse(body).data)
      return items.map(
        ({ event, app, window, value }) => `${event} ${app} ${window.until} ${value}`,
      )
    })

  test('people are told what one that lives would have told', async () => {
    const history = new History().rule({ ...MAX, reminderMinutes: 5 }).minutes(0, 3, {})
    history.minutes(4, 13, SLOW).minutes(14, 15, {})
    const expected = [
      `fired demo ${isoOf(at(5))} 3000`,
      `reminder demo ${isoOf(at(10))} 3000`,
      `recovered demo ${isoOf(at(15))} 100`,
    ]
    for (const { timestampMs, ...entry } of history.rules) {
      const value = JSON.stringify({ ...entry, since: isoOf(timestampMs) })
      await stack.log.append('rules', [{ partition: 0, value }])
    }
    const records = history.until(16).map(moved)
    const append = async (record: AggregateRecord | undefined): Promise<void> => {
      const value = JSON.stringify(record)
      await stack.log.append('aggregates', [{ partition: PARTITION, value }])
    }
    await append(records.shift())
    const env = {
      // Nobody listens there.
      ...stack.env('postgres://shelf:none@127.0.0.1:1/shelf'),
      SHELF_CHANNEL_ONCALL: hook.url,
    }
    const checkers = [new Restarted(['check'], env), new Restarted(['check'], env)]
    workers = [...checkers, new Restarted(['notify'], env)]
    await until('a checkpoint', async () => {
      const found = await stack.log.read('check-results', PARTITION, 0)
      return found.length > 0
    })
    const toldUntil = (ms: number): string[] =>
      expected.filter((line) => Date.parse(line.split(' ')[2] ?? '') + 5000 <= ms)
    for (const record of records) {
      const before = hook.received.length
      await append(record)
      const due = toldUntil(Date.parse(record.watermark))
      await until(`${due.at(-1)}`, async () => new Set(heard()).size >= due.length)
      expect([...new Set(heard())]).toEqual(due)
      if (hook.received.length === before) continue
      // The first time between what was told and its note: all of them, at once.
      for (const worker of before === 0 ? workers : checkers) worker.kill()
    }
    expect([...new Set(heard())]).toEqual(expected)
    // What was sent twice has the same key.
    const keys = new Set(hook.received.map(({ headers }) => headers['webhook-id']))
    expect(keys.size).toBe(expected.length)
  }, 60_000)
})
