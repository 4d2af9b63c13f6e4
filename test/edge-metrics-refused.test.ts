/** Posts of metrics that are not taken, and what their agent is told: a 4xx is not tried again. */
import { afterAll, expect, setDefaultTimeout, test } from 'bun:test'
import { gzipSync } from 'node:zlib'
import { drainSecret } from '../core/credential.ts'
import { BODY_BYTES_MAX } from '../edge/body.ts'
import { APP, basic, KEY, type Posted, startEdge, TEST_MS_MAX } from './edge.ts'
import { JVM, METRICS_PATH, postMetrics, secondsAgo } from './edge-metrics.ts'

setDefaultTimeout(TEST_MS_MAX)

const edge = await startEdge()
afterAll(() => edge.stop())

const secret = await drainSecret(KEY, APP, 'd1')

function expectRefused({ status, text, records }: Posted, expected: number): void {
  expect([status, records]).toEqual([expected, []])
  expect(JSON.parse(text)).toMatchObject({ error: expect.any(String), status: expected })
}

test.each<[string, string | undefined]>([
  ['no credentials', undefined],
  ['those of another app', basic('other', secret)],
  ['another drain’s', basic(APP, secret.replace('.d1.', '.d2.'))],
  ['another scheme', `Bearer ${secret}`],
])('%s: 401', async (_, authorization) => {
  const refused = await postMetrics(edge, JVM, { headers: { authorization } })
  expectRefused(refused, 401)
  expect(refused.headers.get('www-authenticate')).toBe('Basic realm="shelf"')
})

test.each([
  `other/${secret}`,
  `${APP}/${secret.replace('.d1.', '.d2.')}`,
  `${APP}/secret`,
  `d%C3%A4mo/${secret}`,
  `%FF/${secret}`,
  `${APP}%3A/${secret}`,
])('a path of credentials that are none: 401, %s', async (credentials) => {
  // The header's would be good: it is the path that counts.
  expectRefused(await postMetrics(edge, JVM, { path: `${METRICS_PATH}/${credentials}` }), 401)
})

test('a revoked drain: 401, with the header and with the path', async () => {
  await edge.configure({ SHELF_REVOKED: 'd1' })
  expectRefused(await postMetrics(edge, JVM), 401)
  expectRefused(await postMetrics(edge, JVM, { path: `${METRICS_PATH}/${APP}/${secret}` }), 401)
  await edge.configure({})
  expect((await postMetrics(edge, JVM)).status).toBe(200)
})

test.each([
  ['not JSON', 'gauges=1'],
  ['nothing', ''],
  ['cut off', JSON.stringify(JVM).slice(0, -1)],
  ['JSON twice', '{}{}'],
  ['a list', '[]'],
  ['null', 'null'],
  ['a number', '7'],
  ['gauges as a list', '{"gauges":[1]}'],
  ['gauges as a number', '{"gauges":7}'],
  ['gauges as null', '{"gauges":null}'],
  ['counters as text', '{"counters":"7"}'],
  ['NaN, which is no JSON', '{"gauges":{"a":NaN}}'],
])('a body that is %s: 400', async (_, sent) => {
  expectRefused(await postMetrics(edge, sent), 400)
})

test('bytes that are not UTF-8 are no JSON: 400', async () => {
  expectRefused(await postMetrics(edge, Uint8Array.of(0x7b, 0xff, 0x7d)), 400)
})

test.each<[string, string | undefined]>([
  ['none', undefined],
  ['empty', ''],
  ['a word', 'now'],
  ['a Unix time', String(Math.floor(Date.now() / 1000))],
  ['of another form', new Date().toUTCString()],
  ['without an offset', secondsAgo(0).slice(0, -1)],
  ['a day alone', secondsAgo(0).slice(0, 10)],
  ['a day that is none', `2026-02-30${secondsAgo(0).slice(10)}`],
  ['stale', secondsAgo(242)],
  ['of last year', secondsAgo(365 * 86_400)],
  ['ahead', secondsAgo(-245)],
])('a time of measurement that is %s: 400', async (_, time) => {
  expectRefused(await postMetrics(edge, JVM, { headers: { 'measurements-time': time } }), 400)
})

test.each([undefined, '', 'text/plain', 'application/logplex-1', 'application/jsonx'])(
  'a content type of %p: 400, as the agents know no 415',
  async (type) => {
    expectRefused(await postMetrics(edge, JVM, { headers: { 'content-type': type } }), 400)
  },
)

test.each(['', 'a b', 'ada@example.com', '203.0.113.77', 'x'.repeat(101)])(
  'a process type in the URL that is no name: 400, %p',
  async (process) => {
    const path = `${METRICS_PATH}?process=${encodeURIComponent(process)}`
    expectRefused(await postMetrics(edge, JVM, { path }), 400)
  },
)

test('a body over the limit, packed or not: 413', async () => {
  const large = new Uint8Array(BODY_BYTES_MAX + 1).fill(0x20)
  expectRefused(await postMetrics(edge, large), 413)
  const headers = { 'content-encoding': 'gzip' }
  expectRefused(await postMetrics(edge, gzipSync(large), { headers }), 413)
})

test('a log that is down: 503, which an agent tries again', async () => {
  await edge.brokerDown()
  const refused = await postMetrics(edge, JVM).catch(() => undefined)
  edge.brokerUp()
  expect(refused?.status).toBe(503)
  expect((await postMetrics(edge, JVM)).status).toBe(200)
})

test.each(['GET', 'HEAD', 'PUT', 'DELETE'])(
  'metrics are posted: %s is answered 405 with Allow, on both paths',
  async (method) => {
    for (const path of [METRICS_PATH, `${METRICS_PATH}/${APP}/${secret}`]) {
      const response = await fetch(edge.url + path, { method })
      await response.text()
      expect([response.status, response.headers.get('allow')]).toEqual([405, 'POST'])
    }
  },
)

test.each([`${METRICS_PATH}/${APP}`, `${METRICS_PATH}/${APP}/${secret}/more`])(
  'there is nothing at a path of other parts: 404',
  async (path) => {
    expectRefused(await postMetrics(edge, JVM, { path }), 404)
  },
)
