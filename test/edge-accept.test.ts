/** Who is let in, and with what: credentials, methods, paths, content types. */
import { afterAll, describe, expect, test } from 'bun:test'
import { drainKeysToText, drainSecret } from '../core/credential.ts'
import {
  APP,
  authorization,
  basic,
  body,
  KEY,
  request,
  requestsOf,
  startEdge,
  TIME_MS,
} from './edge.ts'
import { RUNTIMES } from './edge-runtimes.ts'

const OTHER_KEY = { id: 'k2', key: Buffer.alloc(32, 2).toString('base64url') }

describe.each(RUNTIMES)('in %s,', async (runtime) => {
  const edge = await startEdge({ runtime })
  afterAll(() => edge.stop())

  const secret = await drainSecret(KEY, APP, 'd1')
  const good = body(request())

  test('a good body is answered 204 when its one record stands in the log', async () => {
    const { status, text, records, bursts } = await edge.post(good)
    expect([status, text]).toEqual([204, ''])
    expect(records.map(({ key }) => key)).toEqual([APP])
    const [burst] = bursts
    expect(burst).toMatchObject({ app: APP, drain: 'heroku' })
    expect(Math.abs(Date.now() - (burst?.receivedAtMs ?? 0))).toBeLessThan(10_000)
    expect(requestsOf(burst)).toEqual([
      {
        time: new Date(TIME_MS).toISOString(),
        process: 'web',
        connect: 1,
        service: 18,
        status: 200,
        bytes: 13,
      },
    ])
  })

  test('a path with a slash at its end is that path, with the same credentials', async () => {
    const path = '/drains/heroku/'
    const taken = await edge.post(good, { path })
    expect([taken.status, taken.records.length]).toEqual([204, 1])
    const refused = await edge.post(good, { path, headers: { authorization: 'Basic ' } })
    expect([refused.status, refused.records.length]).toEqual([401, 0])
  })

  const badCredentials: [string, string | undefined][] = [
    ['no credentials', undefined],
    ['an empty header', ''],
    ['another scheme', `Bearer ${secret}`],
    ['Basic with nothing behind it', 'Basic '],
    ['no base64', 'Basic %%%%'],
    ['no colon', `Basic ${btoa('demo')}`],
    ['no password', basic(APP, '')],
    ['a password of another form', basic(APP, 'secret')],
    ['a wrong MAC', basic(APP, secret.replace(/..$/, 'AA'))],
    ['a MAC that is too short', basic(APP, secret.slice(0, -1))],
    ['another app', basic('other', secret)],
    ['another drain', basic(APP, secret.replace('.d1.', '.d2.'))],
    ['an unknown key', basic(APP, secret.replace('k1.', 'k9.'))],
    ['a key that is not in force', await authorization(APP, 'd1', OTHER_KEY)],
    ['a key of the same name', await authorization(APP, 'd1', { ...OTHER_KEY, id: 'k1' })],
    ['an app that can have no drain', await authorization('a b')],
    ['an app outside ASCII', await authorization('dämo')],
    ['far too much', `Basic ${'A'.repeat(8000)}`],
  ]

  test.each(badCredentials)(
    '%s: answered 401, and nothing is produced',
    async (_, authorization) => {
      const { status, headers, records } = await edge.post(good, { headers: { authorization } })
      expect(status).toBe(401)
      expect(headers.get('www-authenticate')).toBe('Basic realm="shelf"')
      expect(records).toEqual([])
    },
  )

  test('credentials are looked at before the body: a stranger learns nothing of its limits', async () => {
    const { status } = await edge.post(new Uint8Array(2_000_000), {
      headers: { authorization: undefined, 'content-type': 'text/plain' },
    })
    expect(status).toBe(401)
  })

  test('two keys are valid at a time, and a key that is dropped is refused at once', async () => {
    const byOther = { headers: { authorization: await authorization(APP, 'd1', OTHER_KEY) } }
    await edge.configure({ SHELF_DRAIN_KEYS: drainKeysToText([OTHER_KEY, KEY]) })
    expect((await edge.post(good)).status).toBe(204)
    expect((await edge.post(good, byOther)).status).toBe(204)
    await edge.configure({ SHELF_DRAIN_KEYS: drainKeysToText([OTHER_KEY]) })
    expect((await edge.post(good)).status).toBe(401)
    expect((await edge.post(good, byOther)).status).toBe(204)
    await edge.configure({})
  })

  test('a revoked drain is refused at once, and the app’s other drains are not', async () => {
    const other = { headers: { authorization: await authorization(APP, 'd2') } }
    await edge.configure({ SHELF_REVOKED: 'd0,d1' })
    expect((await edge.post(good)).status).toBe(401)
    expect((await edge.post(good, other)).status).toBe(204)
    await edge.configure({ SHELF_REVOKED: '' })
    expect((await edge.post(good)).status).toBe(204)
  })

  test.each<[string | undefined, number]>([
    ['application/logplex-1', 204],
    ['Application/Logplex-1; charset=utf-8', 204],
    ['application/json', 415],
    ['application/x-www-form-urlencoded', 415],
    ['application/logplex-2', 415],
    ['', 415],
    [undefined, 415],
  ])('a body of content type %p is answered %i', async (type, expected) => {
    const { status, records } = await edge.post(good, { headers: { 'content-type': type } })
    expect(status).toBe(expected)
    expect(records).toHaveLength(expected === 204 ? 1 : 0)
  })

  test.each(['GET', 'HEAD', 'PUT', 'DELETE', 'OPTIONS'])(
    'a drain takes POST alone: %s is answered 405 with Allow',
    async (method) => {
      const response = await fetch(`${edge.url}/drains/heroku`, { method })
      expect([response.status, response.headers.get('allow')]).toEqual([405, 'POST'])
    },
  )

  test.each(['/', '/drains', '/drains/papertrail', '/drains/heroku/more'])(
    'there is nothing at %s: 404',
    async (path) => {
      for (const method of ['GET', 'POST']) {
        const response = await fetch(edge.url + path, { method })
        expect([response.status, await response.json()]).toEqual([
          404,
          { error: 'there is nothing here', status: 404 },
        ])
      }
    },
  )

  test('a query behind the drain’s path, as Heroku’s users write it, changes nothing', async () => {
    const response = await fetch(`${edge.url}/drains/heroku?app=foo`, {
      method: 'POST',
      headers: {
        authorization: await authorization(APP),
        'content-type': 'application/logplex-1',
      },
      body: good,
    })
    expect(response.status).toBe(204)
  })

  test('GET /healthz needs no credentials', async () => {
    const response = await fetch(`${edge.url}/healthz`)
    expect([response.status, await response.json()]).toEqual([200, { status: 'ok' }])
  })
})
