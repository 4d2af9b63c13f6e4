/** What records of check are to people: news, once, to those whom it concerns. */
import { describe, expect, test } from 'bun:test'
import { compose, Incidents } from '../batch/notify-incidents.ts'
import type { CheckRecord } from '../core/check-result.ts'
import { eventOf, type Message } from '../notify/message.ts'
import { minute, result } from './notify-receivers.ts'

/** Messages of batches of records, one behind the other; each batch is a cut. */
function told(...batches: CheckRecord[][]): Message[][] {
  const incidents = new Incidents()
  return batches.map((records, cut) => {
    const messages = compose(records, incidents, minute(9), 200)
    for (const message of messages) {
      for (const item of message.items) incidents.note(message, item, cut)
    }
    return messages
  })
}

const events = (batches: Message[][]) =>
  batches.map((messages) => messages.map((message) => `${message.target} ${eventOf(message)}`))

const APPS = Array.from({ length: 50 }, (_, i) => `app-${i}`)

test('fifty apps at once are one message, and so is their end', () => {
  const [fired, some, rest] = told(
    APPS.map((app) => result(app, 'firing', 1)),
    APPS.slice(0, 20).map((app) => result(app, 'ok', 4)),
    APPS.slice(20).map((app) => result(app, 'ok', 5)),
  )
  expect(fired).toMatchObject([{ open: 50, items: APPS.map((app) => ({ app, event: 'fired' })) }])
  expect(some).toMatchObject([{ open: 30 }])
  expect(rest).toMatchObject([{ open: 0 }])
  const groups = [fired, some, rest].flatMap((messages) => messages?.map(({ group }) => group))
  expect(new Set(groups).size).toBe(1)
})

test('another target, another severity and another name are messages of their own', () => {
  const [messages = []] = told([
    result('a', 'firing', 1, { notify: ['oncall', 'log:'] }),
    result('b', 'firing', 1, { severity: 'info' }),
    result('c', 'firing', 1, { name: 'p95 over 2 s' }),
  ])
  expect(messages.map(({ target, severity, name }) => [target, severity, name])).toEqual([
    ['oncall', 'critical', 'p95 over 1 s'],
    ['log:', 'critical', 'p95 over 1 s'],
    ['oncall', 'info', 'p95 over 1 s'],
    ['oncall', 'critical', 'p95 over 2 s'],
  ])
  expect(new Set(messages.map(({ key }) => key)).size).toBe(4)
})

test('the same records make the same keys', () => {
  const records = APPS.map((app) => result(app, 'firing', 1))
  expect(told(records)[0]?.[0]?.key).toBe(told(records)[0]?.[0]?.key ?? '')
})

test('a record that comes again is no news, also when the incident is over', () => {
  const fired = result('a', 'firing', 1)
  const reminder = result('a', 'firing', 3, { kind: 'reminder', previous: 'firing' })
  const over = result('a', 'ok', 5)
  const all = [[fired], [reminder], [over]]
  expect(events(told(...all, ...all))).toEqual([
    ['oncall fired'],
    ['oncall reminder'],
    ['oncall recovered'],
    ...[[], [], []],
  ])
})

describe('what is muted is not sent', () => {
  test('but a reminder after it is the first word', () => {
    const reminder = result('a', 'firing', 6, { kind: 'reminder', startedAt: minute(1) })
    expect(
      events(told([result('a', 'firing', 1, { muted: 'deploy', saidAt: null })], [reminder])),
    ).toEqual([[], ['oncall fired']])
  })
  test('and its end neither, as nobody waits for it', () => {
    const muted = { muted: 'silence', saidAt: null } as const
    expect(
      events(told([result('a', 'firing', 1, muted)], [result('a', 'ok', 2, { saidAt: null })])),
    ).toEqual([[], []])
  })
  test('but the end of what was told is told in any case', () => {
    const over = result('a', 'ok', 2, { muted: 'silence' })
    expect(events(told([result('a', 'firing', 1)], [over]))).toEqual([
      ['oncall fired'],
      ['oncall recovered'],
    ])
  })
})

test('pending, standing, checkpoints, and unknown of what never fired are no news', () => {
  const none = { incident: null, startedAt: null, saidAt: null }
  expect(
    told([
      result('a', 'pending', 1, none),
      result('a', 'unknown', 2, none),
      result('a', 'ok', 3, none),
      result('b', 'firing', 3, { kind: 'standing' }),
      { version: 1, kind: 'checkpoint', key: 'c', partition: 0, at: minute(3), until: minute(3) },
    ]),
  ).toEqual([[]])
})

test('that a firing one is unknown is told once, and that it fires again is nothing new', () => {
  const again = result('a', 'firing', 4, {
    incident: `slow/a/${minute(1)}`,
    startedAt: minute(1),
    previous: 'unknown',
  })
  expect(
    events(
      told(
        [result('a', 'firing', 1)],
        [result('a', 'unknown', 2)],
        [result('a', 'unknown', 3)],
        [again],
        [result('a', 'ok', 5)],
      ),
    ),
  ).toEqual([['oncall fired'], ['oncall unknown'], [], [], ['oncall recovered']])
})

test('a second checker that is behind says nothing new, of what is unknown neither', () => {
  const unknown = result('a', 'unknown', 2)
  const reminder = result('a', 'firing', 3, { kind: 'reminder', previous: 'firing' })
  expect(
    events(told([result('a', 'firing', 1)], [unknown], [reminder], [unknown], [reminder])),
  ).toEqual([['oncall fired'], ['oncall unknown'], ['oncall reminder'], [], []])
})

test('what one watermark closed is told window by window', () => {
  const at = minute(9)
  const [messages] = told([result('a', 'firing', 1, { at }), result('a', 'unknown', 2, { at })])
  expect(messages?.[0]?.items.map(({ event }) => event)).toEqual(['fired', 'unknown'])
})

test('who was told that it began hears that it is over, whatever the rule says by then', () => {
  const over = result('a', 'ok', 5, { notify: ['log:'], severity: 'info', name: 'new name' })
  expect(told([result('a', 'firing', 1)], [over])[1]).toMatchObject([
    { target: 'oncall', severity: 'critical', name: 'p95 over 1 s', open: 0 },
  ])
})

test('the end of an incident that is older than the memory is told to those of the rule', () => {
  expect(events(told([result('a', 'ok', 5)]))).toEqual([['oncall recovered']])
})

test('what began and ended at once is told with its end, and nothing stays open', () => {
  const [messages] = told([result('a', 'firing', 1), result('a', 'ok', 5)])
  expect(messages).toMatchObject([{ open: 0, items: [{ event: 'fired' }, { event: 'recovered' }] }])
  expect(messages?.map(eventOf)).toEqual(['recovered'])
})

test('more than a message holds is several messages of one group', () => {
  const apps = Array.from({ length: 450 }, (_, i) => `app-${i}`)
  const [messages = []] = told(apps.map((app) => result(app, 'firing', 1)))
  expect(messages.map(({ items, open }) => [items.length, open])).toEqual([
    [200, 200],
    [200, 400],
    [50, 450],
  ])
  expect(new Set(messages.map(({ group }) => group)).size).toBe(1)
})
