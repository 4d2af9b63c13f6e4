/** What was done to an app, by whom: lines of Heroku's API, of today and of old. */
import { afterAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { drainKeysToText, userHasher } from '../core/credential.ts'
import { APP, body, KEY, message, startEdge, TEST_MS_MAX, TIME_MS, totals } from './edge.ts'
import { RUNTIMES } from './edge-runtimes.ts'
import { wordsOf } from './edge-words.ts'

setDefaultTimeout(TEST_MS_MAX)

describe.each(RUNTIMES)('in %s,', async (runtime) => {
  const edge = await startEdge({ runtime })
  afterAll(() => edge.stop())

  const ADA = 'ada@example.com'
  const by = `by ${await userHasher(KEY)(APP, ADA)}`

  const line = (text: string): string => message(text, { app: 'app', process: 'api' })

  describe('a line of the API is a marker for each thing that was done:', () => {
    test.each<[string, string[]]>([
      [`Build started by user ${ADA}`, [`build started ${by}`]],
      ['Build succeeded', ['build succeeded']],
      ['Build failed -- check your build output', ['build failed']],
      [`Deploy 059375fe by user ${ADA}`, [`deploy 059375fe ${by}`]],
      [`Release v16 created by user ${ADA}`, [`release v16 ${by}`]],
      [`Initial release by user ${ADA}`, [`release v1 ${by}`]],
      [`Running release v3 commands by user ${ADA}`, []],
      [`Rollback to v11 by user ${ADA}`, [`rollback v11 ${by}`]],
      [
        `Scaled to web@2:Standard-1X worker@1:Standard-2X by user ${ADA}`,
        [`scale web 2:Standard-1X ${by}`, `scale worker 1:Standard-2X ${by}`],
      ],
      [`Scaled to web@0:Free by user ${ADA}`, [`scale web 0:Free ${by}`]],
      [`Set CRON_ENABLED config vars by user ${ADA}`, [`config set CRON_ENABLED ${by}`]],
      [`Set FOO, BAR config vars by user ${ADA}`, [`config set FOO, BAR ${by}`]],
      [`Remove FOO config vars by user ${ADA}`, [`config removed FOO ${by}`]],
      [
        `@ref:postgresql-defined-96677 completed provisioning, setting DATABASE_URL. by user ${ADA}`,
        [`addon provisioned postgresql-defined-96677 ${by}`],
      ],
      ['Attach LOGDNA (@ref:logdna-deep-31633)', ['addon attach LOGDNA']],
      [`Detach LOGDNA (@ref:logdna-deep-31633) by user ${ADA}`, [`addon detach LOGDNA ${by}`]],
      [`Enable Logplex by user ${ADA}`, []],
    ])('%s', async (text, expected) => {
      const burst = await edge.burstOf(line(text))
      expect(wordsOf(burst)).toEqual(expected.map((words) => `marker ${words}`))
      expect(totals(burst)).toEqual({ received: 1, kept: 1 })
      expect(burst.signals.markers.map(({ timeMs }) => timeMs)).toEqual(expected.map(() => TIME_MS))
    })

    test.each<[string, string[]]>([
      [`Release v1822 created by ${ADA}`, [`release v1822 ${by}`]],
      [`Deploy 02c1dab by ${ADA}`, [`deploy 02c1dab ${by}`]],
      [`Scale to mailer=1, web=3 by ${ADA}`, [`scale mailer 1 ${by}`, `scale web 3 ${by}`]],
      [`Remove FOO config vars by ${ADA}`, [`config removed FOO ${by}`]],
    ])('as `heroku api` wrote it, without `user`: %s', async (text, expected) => {
      const old = message(text, { process: 'api' })
      const burst = await edge.burstOf(old, line(text))
      const markers = expected.map((words) => `marker ${words}`)
      expect(wordsOf(burst)).toEqual([...markers, ...markers])
      expect(totals(burst)).toEqual({ received: 2, kept: 2 })
    })

    test.each(['', 'hello', `by user ${ADA}`, `Created by user ${ADA}`, 'Set', 'Scaled to'])(
      'what it does not know is ignored: %p',
      async (text) => {
        const burst = await edge.burstOf(line(text))
        expect(wordsOf(burst)).toEqual([])
        expect(totals(burst)).toEqual({ received: 1, ignoredUnknown: 1 })
      },
    )

    test('an app that writes such a line did nothing', async () => {
      const output = message(`Deploy 059375fe by user ${ADA}`, { app: 'app', process: 'web.1' })
      expect(totals(await edge.burstOf(output))).toEqual({ received: 1, ignoredOutput: 1 })
    })
  })

  describe('who did it', () => {
    const done = body(line(`Deploy 059375fe by user ${ADA}`), line(`Set FOO config vars by ${ADA}`))
    const bysOf = async (app = APP): Promise<string[]> => {
      const { bursts } = await edge.post(done, { app })
      return bursts.flatMap(({ signals }) => signals.markers.map((marker) => marker.by))
    }

    test('is 8 hex digits, the same for one person of an app', async () => {
      const [first = ''] = await bysOf()
      expect(first).toMatch(/^[0-9a-f]{8}$/)
      expect(await bysOf()).toEqual([first, first])
    })

    test('differs between two people, between two apps, and between two keys', async () => {
      const [here = ''] = await bysOf()
      const [there = ''] = await bysOf('other')
      const burst = await edge.burstOf(line('Deploy 059375fe by user bob@example.com'))
      const another = burst.signals.markers[0]?.by ?? ''
      const newKey = { id: 'k2', key: Buffer.alloc(32, 2).toString('base64url') }
      await edge.configure({ SHELF_DRAIN_KEYS: drainKeysToText([newKey, KEY]) })
      const [byNewKey = ''] = await bysOf()
      await edge.configure({})
      expect(new Set([here, there, another, byNewKey, '']).size).toBe(5)
      expect(await bysOf()).toEqual([here, here])
    })

    test('is nobody where the line names nobody', async () => {
      const burst = await edge.burstOf(line('Build succeeded'))
      expect(burst.signals.markers.map((marker) => marker.by)).toEqual([''])
    })

    test('is told in time for as many people as a body can name', async () => {
      const people = Array.from({ length: 8000 }, (_, i) =>
        line(`Deploy 059375fe by user ${i}@a.b`),
      )
      const startMs = performance.now()
      const burst = await edge.burstOf(...people)
      // The edge's whole budget: three files of tests run at a time.
      expect(performance.now() - startMs).toBeLessThan(4000)
      expect(new Set(burst.signals.markers.map((marker) => marker.by)).size).toBe(8000)
    })
  })

  test.each([
    ['blanks', ' '.repeat(60_000)],
    ['dots', '.'.repeat(60_000)],
    ['words', ' by x'.repeat(12_000)],
    ['names', 'web@1 '.repeat(10_000)],
  ])('a long line of %s is read in time', async (_, long) => {
    const starts = ['Release v1', 'Scaled to ', 'Set ', 'Deploy '].map((start) =>
      line(start + long),
    )
    const startMs = performance.now()
    const burst = await edge.burstOf(...starts, ...starts, ...starts)
    expect(performance.now() - startMs).toBeLessThan(1000)
    expect(totals(burst).received).toBe(12)
  })
})
