/** Frames that are cut, counted wrong, or no frames at all: what they cost, and whom. */
import { afterAll, describe, expect, test } from 'bun:test'
import { FRAME_BYTES_MAX } from '../core/frames.ts'
import { BODY_BYTES_MAX } from '../edge/body.ts'
import { body, message, request, requestsOf, startEdge, totals } from './edge.ts'
import { RUNTIMES } from './edge-runtimes.ts'

describe.each(RUNTIMES)('in %s,', async (runtime) => {
  const edge = await startEdge({ runtime })
  afterAll(() => edge.stop())

  const line = request()
  const good = body(line)
  const l10 = message('Error L10 (output buffer overflow): 500 messages dropped since -.', {
    process: 'logplex',
  }).trimEnd()
  const text = (length: number): string => message('x'.repeat(length), { app: 'app' })

  test('a frame is cut by its octets: neither a missing newline nor one inside matters', async () => {
    const burst = await edge.burstOf(
      l10,
      line,
      message('first line\nsecond line 12 <1>1 - h heroku router - status=500', { app: 'app' }),
      message('déjà vu', { app: 'app' }),
      line,
    )
    expect(totals(burst)).toEqual({ received: 5, kept: 3, ignoredOutput: 2, lostL10: 500 })
  })

  test('bytes that are not UTF-8 are bytes like others', async () => {
    const output = Buffer.concat([
      Buffer.from(text(1).trimEnd()),
      Uint8Array.from({ length: 256 }, (_, i) => i),
    ])
    const path = Buffer.from(line.replace('path="/"', 'path="/\u00ff\u00fe"'), 'latin1')
    expect(totals(await edge.burstOf(output, path, line))).toEqual({
      received: 3,
      kept: 2,
      ignoredOutput: 1,
    })
  })

  test('a message as long as a frame may be is taken, a longer one costs itself alone', async () => {
    const room = FRAME_BYTES_MAX - text(0).length
    expect(totals(await edge.burstOf(line, text(room), line))).toEqual({
      received: 3,
      kept: 2,
      ignoredOutput: 1,
    })
    expect(totals(await edge.burstOf(line, text(room + 1), line))).toEqual({
      received: 3,
      kept: 2,
      malformed: 1,
    })
  })

  describe('a bad frame costs itself alone:', () => {
    const octets = line.length
    test.each<[string, string]>([
      ['a count that is too large', `${octets + 150} ${line}`],
      ['a count behind the body’s end', `99999 ${line}`],
      ['a count that is too small', `${octets - 100} ${line}`],
      ['a count of 0', `0 ${line}`],
      ['a negative count', `-${octets} ${line}`],
      ['a count with a fraction', `${octets}.0 ${line}`],
      ['a count in hex', `0x${octets.toString(16)} ${line}`],
      ['a count of too many digits', `${'9'.repeat(30)} ${line}`],
      ['a word for a count', `many ${line}`],
      ['no count', line],
      ['no space behind the count', `${octets}${line}`],
      ['a message that is cut off', `${octets} ${line.slice(0, 60)}`],
      ['a message without its head', `${octets} ${line.slice(20)}`],
      ['a count and nothing else', `${octets} `],
      ['no frame at all', 'hello\n'],
      ['a syslog message of another version', body(line.replace('>1', '>2')).toString()],
      ['a syslog message without text', body('<158>1 - host heroku router').toString()],
      ['a priority that is none', body(line.replace('<158>', '<15x>')).toString()],
    ])('%s', async (_, bad) => {
      const { status, bursts } = await edge.post(Buffer.concat([good, Buffer.from(bad), good]))
      expect(status).toBe(204)
      expect(requestsOf(bursts[0])).toHaveLength(2)
      expect(totals(bursts[0])).toEqual({ received: 3, kept: 2, malformed: 1 })
    })

    test('the last one is cut off', async () => {
      const { bursts } = await edge.post(body(line, line, line).subarray(0, -1))
      expect(totals(bursts[0])).toEqual({ received: 3, kept: 2, malformed: 1 })
    })
  })

  describe('Logplex-Msg-Count', () => {
    const broken = Buffer.concat([good, Buffer.from('999 <158>1 2025')])

    test.each(['0', '1', '99', 'ten', '-3', '2.5', '1e9', '%!d(string=2)', ' ', undefined])(
      'is not needed where the frames are sound: %p',
      async (count) => {
        const headers = { 'logplex-msg-count': count }
        const { status, bursts } = await edge.post(body(line, line), { headers })
        expect([status, totals(bursts[0])]).toEqual([204, { received: 2, kept: 2 }])
      },
    )

    test('tells how many were not seen where the frames are broken', async () => {
      const { bursts } = await edge.post(broken, { headers: { 'logplex-msg-count': '5' } })
      expect(totals(bursts[0])).toEqual({ received: 5, kept: 1, malformed: 4 })
    })

    test.each(['0', '1', '2', 'ten', '-3', '2.5', '99999999999', '1e9', undefined])(
      'adds nothing where it can’t be right: %p',
      async (count) => {
        const { bursts } = await edge.post(broken, { headers: { 'logplex-msg-count': count } })
        expect(totals(bursts[0])).toEqual({ received: 2, kept: 1, malformed: 1 })
      },
    )
  })

  test('counts that all point into one long blank are not read through for each of them', async () => {
    const frames = 30_000
    const counts = Array.from({ length: frames }, (_, i) => {
      const octets = (frames - i) * 13 + 100
      return `${String(octets).padStart(6, '0')} <1>1 `
    })
    const hostile = `${counts.join('')}${' '.repeat(BODY_BYTES_MAX - frames * 13 - 1)}x`
    const startMs = performance.now()
    expect((await edge.post(hostile)).status).toBe(204)
    expect(performance.now() - startMs).toBeLessThan(2000)
  })
})
