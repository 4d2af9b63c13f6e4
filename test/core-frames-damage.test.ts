import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { cut, frame, routerMessage } from './frames.ts'

const LINES = 12

/** Good frames, with what stands in the place of one of them. */
function bodyWith(damaged: string, at: number, messages: readonly string[]): string {
  return messages.map((message, i) => (i === at ? damaged : frame(message))).join('')
}

const arbitraryLines = fc.array(
  fc
    .record({ serviceMs: fc.nat(30_000), path: fc.webPath() })
    .map(({ serviceMs, path }) => routerMessage(serviceMs, path)),
  { minLength: 1, maxLength: LINES },
)

/** Expects that all frames but the damaged one are handed over, and just that one is counted. */
function expectOnlyOneLost(messages: readonly string[], at: number, damaged: string): void {
  const others = messages.filter((_, i) => i !== at)
  expect(cut(bodyWith(damaged, at, messages))).toEqual({ messages: others, malformed: 1 })
}

/**
 * Whether a count ends where another frame begins, or just before the newline there: then it is the
 * right count of a longer message, and nothing tells the two apart.
 */
function isRightOfAnother(messages: readonly string[], at: number, octets: number): boolean {
  let end = 0
  return messages.slice(at).some((message, i) => {
    end += i === 0 ? message.length : frame(message).length
    return octets === end || octets === end - 1
  })
}

describe('one wrong octet count among router lines costs only its own frame', () => {
  test('be it too small or too large', () => {
    fc.assert(
      fc.property(
        arbitraryLines,
        fc.nat(),
        fc.integer({ min: 0, max: 5000 }),
        (lines, nth, octets) => {
          const at = nth % lines.length
          fc.pre(!isRightOfAnother(lines, at, octets))
          expectOnlyOneLost(lines, at, `${octets} ${lines[at]}`)
        },
      ),
      { numRuns: 1000 },
    )
  })

  test('be it any count around it', () => {
    const lines = [1, 22, 333, 4444].map((ms) => routerMessage(ms))
    const body = lines.map(frame).join('')
    for (let at = 0; at < lines.length; at++) {
      for (let octets = 0; octets <= body.length + 20; octets++) {
        if (isRightOfAnother(lines, at, octets)) continue
        expectOnlyOneLost(lines, at, `${octets} ${lines[at]}`)
      }
    }
  })

  const unreadable = [
    ['way too large', '9999999 '],
    ['of more digits than are read', '12345678901234567890 '],
    ['negative', '-262 '],
    ['a fraction', '262.5 '],
    ['with a power', '1e3 '],
    ['hexadecimal', '0x106 '],
    ['a word', 'many '],
    ['digits and a word', '26x2 '],
    ['not there', ''],
    ['not there, its space is', ' '],
    ['without its space', '262'],
    ['with two spaces', '262  '],
    ['with a tab', '262\t'],
    ['not ASCII', '\u00b2\u00b6\u00b2 '],
    ['zero', '0 '],
    ['a NUL', '\0 '],
  ] as const

  test.each(unreadable)('be it %s', (_what, count) => {
    const lines = [1, 22, 333].map((ms) => routerMessage(ms))
    for (const [at, line] of lines.entries()) expectOnlyOneLost(lines, at, `${count}${line}`)
  })

  test.each(['-', '+', 'x', '1e', '0x'])('be it right, but for a %p before it', (sign) => {
    const lines = [1, 22, 333].map((ms) => routerMessage(ms))
    for (const [at, line] of lines.entries()) expectOnlyOneLost(lines, at, `${sign}${frame(line)}`)
  })

  test('be it that of the line without its newline: then nothing is lost at all', () => {
    const lines = [1, 22, 333].map((ms) => routerMessage(ms))
    for (const [at, line] of lines.entries()) {
      const taken = lines.map((other, i) => (i === at ? other.trimEnd() : other))
      const body = bodyWith(`${line.length - 1} ${line}`, at, lines)
      expect(cut(body)).toEqual({ messages: taken, malformed: 0 })
    }
  })
})

describe('one damaged frame among router lines costs only itself', () => {
  const lines = [1, 22, 333].map((ms) => routerMessage(ms))

  test.each([
    ['bytes cut out of its middle', (text: string) => text.slice(0, 60) + text.slice(90)],
    [
      'a message that does not begin with a priority',
      (text: string) => text.replace('<158>1', '158 1'),
    ],
    ['an empty message', () => '0 '],
    ['a count alone', () => '17 '],
    ['no message, and no count', () => 'x\n'],
    [
      'a path that looks like a frame, and a wrong count',
      (text: string) => text.replace('path="/"', 'path="/ 12 <1"').replace(/^\d+/, '400'),
    ],
  ])('%s', (_what, damage) => {
    for (const [at, line] of lines.entries()) expectOnlyOneLost(lines, at, damage(frame(line)))
  })

  test('two damaged frames, side by side or apart, cost two', () => {
    const body = (bad: number[]): string =>
      lines.map((line, i) => (bad.includes(i) ? `77 ${line}` : frame(line))).join('')
    expect(cut(body([0, 1]))).toEqual({ messages: lines.slice(2), malformed: 2 })
    expect(cut(body([0, 2]))).toEqual({ messages: lines.slice(1, 2), malformed: 2 })
  })
})

describe('a wrong count beside a message without a newline', () => {
  const redis = '<134>1 2025-11-22T08:00:00+00:00 host app heroku-redis - sample#evicted-keys=0'
  const l10 =
    '<172>1 2025-11-22T08:00:00+00:00 host heroku logplex - Error L10 (output buffer overflow): ' +
    '1 messages dropped since 2025-11-22T07:59:00+00:00.'
  const line = routerMessage(5)

  test.each([
    ['that ends in a digit', redis],
    ['that ends in a dot', l10],
  ])('costs not the one before it, %s', (_what, message) => {
    for (const octets of [0, 1, 17, 200, 9_999_999]) {
      expect(cut(`${frame(message)}${octets} ${line}${frame(line)}`)).toEqual({
        messages: [message, line],
        malformed: 1,
      })
    }
  })

  test.each([
    ['that ends in a digit', redis],
    ['that ends in a dot', l10],
  ])('costs not the one behind it, %s', (_what, message) => {
    for (const octets of [0, 1, 17, message.length + 1, message.length + 2, 9_999_999]) {
      expect(cut(`${frame(line)}${octets} ${message}${frame(line)}${frame(line)}`)).toEqual({
        messages: [line, line, line],
        malformed: 1,
      })
    }
  })
})
