import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { emptyMessage, isText, parseMessage } from '../core/message.ts'
import { sharedData, testOn } from './data.ts'
import { bytesOf, cut, textOf } from './frames.ts'

const exampleRows = sharedData('logplex-examples.jsonl')
const examples = sharedData('logplex-examples.body')

interface Parts {
  timeMs: number
  app: string
  proc: string
  text: string
}

/** The parts of a message, where it lies between two frames; undefined where it is none. */
function partsOf(text: string): Parts | undefined {
  const body = bytesOf(`7 <1>1 ab${text}12 <1>1 - h a b - x`)
  const message = emptyMessage()
  if (!parseMessage(body, 9, 9 + text.length, message)) return undefined
  const slice = (start: number, end: number): string => textOf(body.subarray(start, end))
  return {
    timeMs: message.timeMs,
    app: slice(message.appStart, message.appEnd),
    proc: slice(message.procStart, message.procEnd),
    text: slice(message.textStart, message.textEnd),
  }
}

describe('a message', () => {
  const token = fc.stringMatching(/^[!-~]{1,20}$/)
  const anyText = fc
    .uint8Array({ maxLength: 40 })
    .map((bytes) => Buffer.from(bytes).toString('latin1'))

  test('gives back the parts that it was made of', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 191 }),
        fc.integer({ min: 0, max: Date.UTC(2200, 0, 1) }),
        fc.record({ host: token, app: token, proc: token, text: anyText }),
        fc.constantFrom('', '\n', '\r\n', '\n\n'),
        (priority, timeMs, { host, app, proc, text }, lineEnd) => {
          const time = new Date(timeMs).toISOString()
          const message = `<${priority}>1 ${time} ${host} ${app} ${proc} - ${text}${lineEnd}`
          expect(partsOf(message)).toEqual({
            timeMs,
            app,
            proc,
            text: text.replace(/[\r\n]+$/, ''),
          })
        },
      ),
      { numRuns: 500 },
    )
  })

  const at = '2025-11-22T08:00:00+00:00'
  const timeMs = Date.parse(at)

  test.each<[string, string, Parts]>([
    [
      'without a time',
      '<1>1 - host app web.1 - hi',
      { timeMs: Number.NaN, app: 'app', proc: 'web.1', text: 'hi' },
    ],
    [
      'without a text',
      `<1>1 ${at} host app web.1 - `,
      { timeMs, app: 'app', proc: 'web.1', text: '' },
    ],
    [
      'that ends at its message id',
      `<1>1 ${at} host app web.1 -`,
      { timeMs, app: 'app', proc: 'web.1', text: '' },
    ],
    [
      'of a newline',
      `<1>1 ${at} host app web.1 - \n`,
      { timeMs, app: 'app', proc: 'web.1', text: '' },
    ],
    [
      'with a dash before its text',
      `<1>1 ${at} d.8f7a app web.2 - - Started`,
      { timeMs, app: 'app', proc: 'web.2', text: '- Started' },
    ],
    [
      'with a newline inside',
      `<191>1 ${at} host app web.1 - a\nb\n`,
      { timeMs, app: 'app', proc: 'web.1', text: 'a\nb' },
    ],
    [
      'that ends in a blank',
      `<1>1 ${at} host app web.1 - a \n`,
      { timeMs, app: 'app', proc: 'web.1', text: 'a ' },
    ],
  ])('%s is read', (_what, message, parts) => {
    expect(partsOf(message)).toEqual(parts)
  })

  test.each([
    '',
    '<',
    '<1>',
    '<1>1',
    '<1>1 ',
    '<1>2 - h a p - x',
    '<>1 - h a p - x',
    '<1234>1 - h a p - x',
    '<1a>1 - h a p - x',
    '1>1 - h a p - x',
    '<1>1- h a p - x',
    '<1>1 -',
    '<1>1 - ',
    '<1>1 - h',
    '<1>1 - h a',
    '<1>1 - h a p',
    '<1>1 - h a p ',
    '<1>1 - h a p x',
    '<1>1 - h a p -x',
    '<1>1  - h a p - x',
    '<1>1 -  a p - x',
    '<1>1 - h  p - x',
    '<1>1 - h a  - x',
    '<1>1 yesterday h a p - x',
    '<1>1 2025-11-22 h a p - x',
    '<1>1 -- h a p - x',
  ])('that is not of the form is refused: %p', (message) => {
    expect(partsOf(message)).toBeUndefined()
  })

  test('cut short anywhere is refused or read within its end', () => {
    const whole = `<158>1 ${at} host heroku router - at=info`
    for (let length = 0; length < whole.length; length++) {
      const parts = partsOf(whole.slice(0, length))
      if (length < whole.indexOf(' - ') + 2) expect(parts).toBeUndefined()
      else expect(parts?.text).toBe(whole.slice(whole.indexOf(' - ') + 3, length))
    }
  })

  testOn([exampleRows, examples], 'of the real captures gives back its parts', () => {
    const rows = exampleRows.text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line))
    const parts = cut(examples.bytes).messages.map(partsOf)
    expect(parts).toEqual(
      rows.map(({ ts, appname, procid, msg }) => ({
        timeMs: Date.parse(ts),
        app: appname,
        proc: procid,
        text: Buffer.from(msg).toString('latin1').replace(/\n$/, ''),
      })),
    )
  })
})

test('text is compared whole', () => {
  const body = bytesOf('heroku')
  expect(isText(body, 0, 6, 'heroku')).toBe(true)
  expect(isText(body, 0, 5, 'heroku')).toBe(false)
  expect(isText(body, 0, 6, 'herok')).toBe(false)
  expect(isText(body, 0, 6, 'Heroku')).toBe(false)
  expect(isText(body, 0, 0, '')).toBe(true)
})
