/** What identifies a person, and what is secret, does not enter the log. */
import { afterAll, expect, setDefaultTimeout, test } from 'bun:test'
import type { LogRecord } from '../broker/log.ts'
import { drainSecret } from '../core/credential.ts'
import { sharedData } from './data.ts'
import {
  APP,
  body,
  KEY,
  message,
  type Posted,
  request,
  startEdge,
  TEST_MS_MAX,
  totals,
} from './edge.ts'
import { METRICS_PATH, postMetrics } from './edge-metrics.ts'
import { leaksIn, plantedLines, SECRETS } from './edge-secrets.ts'
import { wordsOf } from './edge-words.ts'

setDefaultTimeout(TEST_MS_MAX)

const edge = await startEdge()
afterAll(() => edge.stop())

const HEADERS = {
  'logplex-drain-token': 'd.7c1d4d8e-0b7f-4d6e-a3d5-5f1c0b6a9e11',
  'logplex-frame-id': '09C557EAFCFB6CF2740EE62F62971098',
  'cf-connecting-ip': '203.0.113.77',
  'x-forwarded-for': '203.0.113.77',
  'user-agent': 'Lovelace/1.0',
  referer: 'https://user-900000417.example.com/',
}

/** All that a request left in the log, as Latin-1: each byte is one character. */
function leftBy({ records }: Posted): string {
  expect(records).toHaveLength(1)
  return records.map(bytesOf).join()
}

function bytesOf({ value, ...rest }: LogRecord): string {
  const bytes = typeof value === 'string' ? Buffer.from(value, 'base64') : Buffer.from(value)
  return bytes.toString('latin1') + JSON.stringify(Object.values(rest))
}

test('of e-mails, addresses, ids, tokens, queries, commands and config values nothing is in the record', async () => {
  const lines = plantedLines()
  expect(leaksIn(lines.join())).toEqual(Object.values(SECRETS))
  const posted = await edge.post(body(...lines), { headers: HEADERS })
  const left = leftBy(posted)
  expect(leaksIn(left)).toEqual([])
  for (const value of Object.values(HEADERS)) expect(left).not.toContain(value)
  // The lines themselves were read: what is not there was left out, not missed.
  const counts = totals(posted.bursts[0])
  expect(counts.received).toBe(lines.length)
  expect(counts.kept).toBeGreaterThan(lines.length / 2)
  const kinds = new Set(posted.bursts.flatMap(wordsOf).map((words) => words.split(' ')[0]))
  expect(kinds).toEqual(new Set(['request', 'gauge', 'measure', 'counter', 'marker']))
})

test('nor each alone, where one line might hide what the others show', async () => {
  const lines = plantedLines()
  for (const line of lines) {
    const { records } = await edge.post(body(line))
    expect([line, leaksIn(records.map(bytesOf).join())]).toEqual([line, []])
  }
})

test('of a post of metrics neither, nor of the credentials in its path', async () => {
  const secret = await drainSecret(KEY, APP, 'd1')
  const names = Object.keys(SECRETS).flatMap((each) => [each, `heap.${each}`, `${each}.heap`])
  const gauges = Object.fromEntries(names.map((name) => [name, 1]))
  const posted = await postMetrics(
    edge,
    { gauges, counters: { ...gauges, gc: 1 }, ...gauges },
    { path: `${METRICS_PATH}/${APP}/${secret}`, headers: HEADERS },
  )
  expect(posted.status).toBe(200)
  const left = leftBy(posted)
  expect(leaksIn(left)).toEqual([])
  expect(left).not.toContain(secret.split('.')[2] ?? secret)
  expect(totals(posted.bursts[0]).unreadable).toBe(names.length * 2)
})

test('what was not readable leaves no bytes behind', async () => {
  const broken = Buffer.concat([
    body(request()).subarray(0, -40),
    Buffer.from(`999 <158>1 ${Object.keys(SECRETS).join(' ')}`),
  ])
  expect(leaksIn(leftBy(await edge.post(Buffer.from(broken))))).toEqual([])
})

test('a split line leaves none of its words behind', async () => {
  const [email = ''] = Object.keys(SECRETS)
  const text = `count#a=1 ${'x'.repeat(9990 - 10)} ${email} count#b=${email} count#c=1`
  const head = message('', { app: 'app', process: 'web.1' }).trimEnd()
  const parts = [`${head} ${text.slice(0, 10_000)}`, `${head} ${text.slice(10_000)}\n`]
  expect(leaksIn(leftBy(await edge.post(body(...parts))))).toEqual([])
})

const captured = sharedData('logplex-examples.body')

test.skipIf(captured.absent)(
  'captured lines leave names of platform and metrics alone',
  async () => {
    const left = leftBy(await edge.post(Buffer.from(captured.bytes)))
    expect(left).toContain('H12')
    const lines = Buffer.from(captured.bytes).toString('latin1')
    // Addresses, hosts, paths, request ids, e-mails, commands: what stands behind these words.
    const values = lines.match(
      /(?<=(?:fwd|host|path|request_id)="?| by (?:user )?|command )[^\s",]{4,}/g,
    )
    expect(values?.length).toBeGreaterThan(50)
    for (const value of new Set(values))
      expect([value, left.includes(value)]).toEqual([value, false])
  },
)
