/** Which lines are kept, which are not, and what the platform says it lost. */
import { afterAll, describe, expect, test } from 'bun:test'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  DATA,
  type MessageOptions,
  message,
  request,
  requestsOf,
  startEdge,
  TIME,
  totals,
} from './edge.ts'
import { wordsOf } from './edge-words.ts'

const edge = await startEdge()
afterAll(() => edge.stop())

describe('what a line is, its source and process say:', () => {
  test.each<[string, MessageOptions, object]>([
    ['the app’s output', { app: 'app', process: 'web.1' }, { ignoredOutput: 1 }],
    ['the app’s output as its router', { app: 'app', process: 'router' }, { ignoredOutput: 1 }],
    ['the platform’s API', { app: 'app', process: 'api' }, { ignoredUnknown: 1 }],
    ['the API as it once was', { process: 'api' }, { ignoredUnknown: 1 }],
    ['an add-on', { app: 'app', process: 'heroku-redis' }, { ignoredUnknown: 1 }],
    ['a dyno', { process: 'web.1' }, { ignoredUnknown: 1 }],
    ['another source', { app: 'nginx', process: 'router' }, { ignoredUnknown: 1 }],
    [
      'a token in the place of heroku',
      { app: 't.7a6b1f3e-8b7d-4a7e-9c56-0c5a2d3b4e5f' },
      { kept: 1 },
    ],
  ])('%s', async (_, options, expected) => {
    const burst = await edge.burstOf(message('at=info dyno=web.1 service=1ms status=200', options))
    expect(totals(burst)).toEqual({ received: 1, ...expected })
  })

  test('priority says nothing', async () => {
    const lines = ['<0>1', '<134>1', '<191>1'].map((head) => request().replace('<158>1', head))
    expect(totals(await edge.burstOf(...lines))).toEqual({ received: 3, kept: 3 })
  })
})

const logplex = { process: 'logplex' }
const shuttle = { app: 'app', process: 'log-shuttle' }

describe('what was lost on the way is counted:', () => {
  const l10 = 'Error L10 (output buffer overflow): '
  test.each<[string, string, MessageOptions, object]>([
    ['L10', `${l10}500 messages dropped since ${TIME}.`, logplex, { lostL10: 500 }],
    ['L10 of one', `${l10}1 messages dropped since ${TIME}.`, logplex, { lostL10: 1 }],
    [
      'L10 of today',
      `${l10}drain 'd.efe51fd5-8fdb-4153-b094-f5e9f7df3058' dropped 12 messages since ${TIME}.`,
      logplex,
      { lostL10: 12 },
    ],
    [
      'L10 by a token',
      `${l10}7 messages dropped since ${TIME}.`,
      { app: 't.7a6b', process: 'logplex' },
      { lostL10: 7 },
    ],
    ['L12', `Error L12: 222 messages dropped since ${TIME}`, shuttle, { lostL12: 222 }],
    [
      'L12 as log-shuttle frames it',
      `- Error L12: 222 messages dropped since ${TIME}`,
      shuttle,
      { lostL12: 222 },
    ],
    ['L13', `Error L13: 111 messages lost since ${TIME}`, shuttle, { lostL13: 111 }],
  ])('%s', async (_, text, options, expected) => {
    expect(totals(await edge.burstOf(message(text, options)))).toEqual({
      received: 1,
      kept: 1,
      ...expected,
    })
  })

  test.each<[string, string, MessageOptions, object]>([
    [
      'an app that writes an L10',
      `${l10}9 messages dropped`,
      { app: 'app', process: 'web.1' },
      { ignoredOutput: 1 },
    ],
    [
      'a process named logplex',
      `${l10}9 messages dropped`,
      { app: 'app', process: 'logplex' },
      { ignoredOutput: 1 },
    ],
    [
      'a dyno that writes an L10',
      `${l10}9 messages dropped`,
      { process: 'web.1' },
      { ignoredUnknown: 1 },
    ],
    ['an L10 that is quoted', `said: ${l10}9 messages dropped`, logplex, { ignoredUnknown: 1 }],
    [
      'L11, which no drain gets',
      'Error L11 (Tail buffer overflow) -> dropped 9 messages',
      logplex,
      { ignoredUnknown: 1 },
    ],
    ['an L10 without a number', `${l10}some messages dropped`, logplex, { ignoredUnknown: 1 }],
  ])('nothing is believed of %s', async (_, text, options, expected) => {
    expect(totals(await edge.burstOf(message(text, options)))).toEqual({ received: 1, ...expected })
  })
})

test('each line of a loss is a counter by its code, whatever it lost', async () => {
  const lost = (code: string): string => message(`Error ${code}: 5 messages dropped`, shuttle)
  const burst = await edge.burstOf(lost('L12'), lost('L13'), lost('L12'))
  expect(wordsOf(burst)).toEqual(['counter - L12 = 1', 'counter - L13 = 1', 'counter - L12 = 1'])
})

describe.skipIf(!existsSync(DATA))('captured lines', () => {
  test('an L10 without a newline, then the lines behind it', async () => {
    const { bursts } = await edge.post(readFileSync(join(DATA, 'drains/heroku.logplex')))
    expect(totals(bursts[0])).toMatchObject({
      received: 8,
      kept: 7,
      ignoredOutput: 1,
      lostL10: 500,
    })
    expect(requestsOf(bursts[0]).map(({ status, service }) => [status, service])).toEqual([
      [200, 18],
      [503, 30_000],
    ])
  })
})
