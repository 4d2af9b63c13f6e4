/** Whatever is taken fits in one record of the log: Kafka refuses a larger one for ever. */
import { afterAll, expect, setDefaultTimeout, test } from 'bun:test'
import { BODY_BYTES_MAX } from '../edge/body.ts'
import { body, message, startEdge, TEST_MS_MAX, totals } from './edge.ts'

setDefaultTimeout(TEST_MS_MAX)

/** Kafka's max.message.bytes. */
const MESSAGE_BYTES_MAX = 1_048_588

const edge = await startEdge()
afterAll(() => edge.stop())

/** As many of `lines` as a body holds. */
function fullBody(
  lines: (i: number) => string,
  bytesMax = BODY_BYTES_MAX,
): Uint8Array<ArrayBuffer> {
  const all: string[] = []
  for (let i = 0, bytes = 0; ; i++) {
    const line = lines(i)
    bytes += line.length + String(line.length).length + 1
    if (bytes > bytesMax) break
    all.push(line)
  }
  return body(...all)
}

test('the widest requests that a body can hold', async () => {
  const wide = 'service=999999999 connect=999999999 bytes=99999999999999 status=999'
  const first = [message('code=', { time: '1970-01-01T00:00:00Z' }), message(wide)]
  const sent = fullBody((i) => first[i] ?? `<1>1 - h t. router - code=${(i % 64).toString(36)}`)
  expect(sent.length).toBeGreaterThan(BODY_BYTES_MAX - 40)
  const { status, bursts, records } = await edge.post(sent)
  expect([status, totals(bursts[0]).malformed]).toEqual([204, undefined])
  expect(String(records[0]?.value).length).toBeGreaterThan(700_000)
  expect(String(records[0]?.value).length).toBeLessThan(MESSAGE_BYTES_MAX)
})

const dense: [string, (i: number) => string][] = [
  ['metrics', () => message('count#a '.repeat(200), { app: 'app', process: 'web.1' })],
  [
    'metrics of many names',
    (i) => {
      const samples = Array.from(
        { length: 200 },
        (_, k) => `sample#${(i * 200 + k).toString(36)}=1`,
      )
      return message(samples.join(' '), { app: 'app', process: `heroku-${'x'.repeat(80)}` })
    },
  ],
  ['markers', () => message(`Scaled to ${'a=1 '.repeat(100)}`, { app: 'app', process: 'api' })],
]

test.each(dense)('%s that come to more than a record: 413, and no more tries', async (_, line) => {
  const { status, text, records } = await edge.post(fullBody(line))
  expect([status, records]).toEqual([413, []])
  expect(JSON.parse(text)).toMatchObject({ code: 'body-too-large', status: 413 })
})

test.each(dense)('%s of a usual body, 100 KiB, are taken', async (what, line) => {
  const { status, records } = await edge.post(fullBody(line, 102_400))
  const values = records.map(({ value }) => String(value).length)
  expect([what, status, Math.max(...values) < MESSAGE_BYTES_MAX]).toEqual([what, 204, true])
})
