import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { FIGURES, READ, read } from './router-lines.ts'

describe('what a client can write into a line changes nothing', () => {
  const forged = 'dyno=x.1 connect=7ms service=1ms status=500 bytes=1 code=H99'

  test.each([
    ['a path with spaces', `path="/a ${forged} b"`],
    ['a path with a quote and a space', `path="/" ${forged} ""`],
    ['a path that is not quoted', 'path=/?service=1ms&status=500&code=H99'],
    ['a path of quotes', 'path="""""""""'],
    ['a path with equals signs', 'path="/?a=b=c&status=500"'],
    ['a path with quotes inside', 'path="/?q="a"=b"'],
    ['a forwarded-for that goes on', `path="/" fwd="203.0.113.4" ${forged}"`],
    ['a forwarded-for with an open quote', `path="/" fwd="203.0.113.4 ${forged}`],
    ['a host that goes on', `host=a.example ${forged}`],
    ['an empty forwarded-for', 'fwd=""'],
    ['a level', `path="/" at=error ${forged} "`],
    ['bytes that are no text', 'path="/\u00ff\u0000\u0080"'],
  ])('%s', (_what, text) => {
    expect(read(`at=info method=GET ${text} ${FIGURES} protocol=https`)).toEqual(READ)
    const failed = `at=error code=H12 desc="Request timeout" method=GET ${text} ${FIGURES}`
    expect(read(failed)).toEqual({ ...READ, code: 'H12' })
  })

  test('be it whatever', () => {
    const words = fc.constantFrom(
      '"',
      ' ',
      '=',
      'service=1ms',
      'status=500',
      'bytes=',
      'code=H99',
      '/',
      'at=error',
      'dyno=',
    )
    const path = fc
      .array(fc.oneof(words, fc.string({ unit: 'binary-ascii' })))
      .map((parts) => parts.join(''))
    fc.assert(
      fc.property(path, path, (target, forwarded) => {
        // An open quote must not reach behind the client's own value.
        const text = `at=info method=GET path="${target}" host=a.example fwd="${forwarded}" ${FIGURES}`
        expect(read(text)).toEqual(READ)
      }),
      { numRuns: 2000, examples: [['', '" code=H99']] },
    )
  })
})

describe('what is no line for a request, or cannot be read, is refused', () => {
  test.each([
    '',
    ' ',
    'hello',
    'at=info',
    'path="/"',
    'path="/ status=200"',
    'dyno=web.1 connect=1ms bytes=13',
    '=',
    '==',
    '"',
    'status',
    'service=soon',
    'service=1s',
    'service=1.5ms',
    'service=-1ms',
    'service=+1ms',
    'service=ms',
    'service=1msms',
    'service="18ms"',
    'service=1234567890ms',
    'service=0x10',
    'status=2000',
    'status=20x',
    'status=-1',
    'status=200ms',
    'status=2e2',
    'status=200 bytes=1kB',
    'status=200 bytes=123456789012345',
    'status=200 bytes=-1',
    'status=200 connect=never',
    'status=200 dyno=<b>.1',
    'status=200 dyno="web.1"',
    'status=200 dyno=.1',
    'status=200 dyno=w\u00e9b.1',
    `status=200 dyno=${'w'.repeat(65)}.1`,
    'code=H12;drop',
    'code="H12"',
    `code=${'H'.repeat(65)}`,
  ])('%p', (text) => {
    expect(read(text)).toBe(false)
  })

  test('any bytes are read or refused, and nothing beyond the line is', () => {
    const words = fc.constantFrom(
      'status=',
      'service=',
      '200',
      'ms',
      '"',
      ' ',
      '=',
      'dyno=',
      'web.1',
      'code=',
      'H12',
    )
    const some = fc.oneof(words, fc.string({ unit: 'binary-ascii' }))
    fc.assert(
      fc.property(fc.array(some), (parts) => {
        const found = read(parts.join(''))
        if (found !== false) expect(found.status).not.toBe(999)
      }),
      { numRuns: 2000 },
    )
  })

  test('a long line of open quotes takes no longer than any other', () => {
    const started = performance.now()
    for (let i = 0; i < 16; i++) expect(read('a="x '.repeat(13_000))).toBe(false)
    expect(performance.now() - started).toBeLessThan(2500)
  })
})
