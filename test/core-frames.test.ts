import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { cutFrames, FRAME_BYTES_MAX } from '../core/frames.ts'
import { sharedData, testOn } from './data.ts'
import { bytesOf, cut, frame, routerMessage } from './frames.ts'

const examples = sharedData('logplex-examples.body')
const exampleRows = sharedData('logplex-examples.jsonl')
const madeBody = sharedData('drains/heroku.logplex')

/** What a message may hold that looks like the framing around it. */
const lookalikes = [
  '\n12 <1>1 x',
  '7 <1>1 y',
  '5 ',
  '<45>1 ',
  '123',
  '\n',
  '\r\n',
  ' ',
  '0 ',
  '\n9999999 <1>1 ',
]

const arbitraryMessage = fc
  .record({
    priority: fc.integer({ min: 0, max: 191 }),
    parts: fc.array(
      fc.oneof(
        fc.constantFrom(...lookalikes),
        fc.string({ unit: 'binary-ascii' }),
        fc.uint8Array({ maxLength: 20 }).map((bytes) => Buffer.from(bytes).toString('latin1')),
      ),
      { maxLength: 6 },
    ),
    end: fc.constantFrom('', '\n', '0', '12', '26\n'),
  })
  .map(({ priority, parts, end }) => `<${priority}>1 ${parts.join('')}${end}`)

const arbitraryMessages = fc.array(arbitraryMessage, { maxLength: 12 })

const bodyOf = (messages: readonly string[]): string => messages.map(frame).join('')

describe('a body is cut into the messages that it was made of', () => {
  test('whatever they hold: newlines or none, digits at the end, what looks like frames', () => {
    fc.assert(
      fc.property(arbitraryMessages, (messages) => {
        expect(cut(bodyOf(messages))).toEqual({ messages, malformed: 0 })
      }),
      { numRuns: 2000 },
    )
  })

  test('with blanks before and behind it, as files and shells leave them', () => {
    const blank = fc.string({ unit: fc.constantFrom('\n', '\r', ' ') })
    fc.assert(
      fc.property(arbitraryMessages, blank, blank, (messages, before, behind) => {
        const body = before + bodyOf(messages) + behind
        expect(cut(body)).toEqual({ messages, malformed: 0 })
      }),
    )
  })

  test('with a newline behind each frame', () => {
    fc.assert(
      fc.property(arbitraryMessages, (messages) => {
        expect(cut(messages.map((message) => `${frame(message)}\n`).join(''))).toEqual({
          messages,
          malformed: 0,
        })
      }),
    )
  })

  test('with leading zeros in the count', () => {
    expect(cut('0007 <1>1 ab007 <1>1 cd')).toEqual({
      messages: ['<1>1 ab', '<1>1 cd'],
      malformed: 0,
    })
  })

  test('of the longest length taken, and one longer costs only itself', () => {
    const longest = `<1>1 ${'x'.repeat(FRAME_BYTES_MAX - 5)}`
    const messages = [routerMessage(1), longest, routerMessage(2)]
    expect(cut(bodyOf(messages))).toEqual({ messages, malformed: 0 })
    const tooLong = [routerMessage(1), `${longest}x`, routerMessage(2)]
    expect(cut(bodyOf(tooLong))).toEqual({
      messages: [routerMessage(1), routerMessage(2)],
      malformed: 1,
    })
  })

  test('an empty body is no frame, and nothing is wrong with it', () => {
    expect(cut('')).toEqual({ messages: [], malformed: 0 })
    expect(cut(' \r\n')).toEqual({ messages: [], malformed: 0 })
  })
})

describe('a body that was cut short', () => {
  const routerBody = [1, 2, 3].map((ms) => routerMessage(ms))

  /** The messages that `length` bytes of the body hold whole. */
  function wholeIn(messages: readonly string[], length: number): string[] {
    let end = 0
    return messages.filter((message) => {
      end += frame(message).length
      return end <= length
    })
  }

  test('anywhere loses only the last frame of router lines, counted once', () => {
    const body = bodyOf(routerBody)
    for (let length = 0; length <= body.length; length++) {
      const whole = wholeIn(routerBody, length)
      const rest = length - bodyOf(whole).length
      expect(cut(body.slice(0, length))).toEqual({ messages: whole, malformed: rest > 0 ? 1 : 0 })
    }
  })

  test('anywhere loses no message that came whole, whatever messages hold', () => {
    fc.assert(
      fc.property(arbitraryMessages, fc.nat(), (messages, at) => {
        const body = bodyOf(messages)
        const length = at % (body.length + 1)
        const whole = wholeIn(messages, length)
        expect(cut(body.slice(0, length)).messages.slice(0, whole.length)).toEqual(whole)
      }),
      { numRuns: 2000 },
    )
  })

  test('at its front is found again at the next frame', () => {
    const body = bodyOf(routerBody)
    for (let from = 1; from < frame(routerMessage(1)).length; from++) {
      expect(cut(body.slice(from)).messages.slice(-2)).toEqual(routerBody.slice(1))
    }
  })
})

describe('any bytes', () => {
  test('never throw, and what is handed over lies in the body, in order, without overlap', () => {
    const piece = fc.oneof(
      fc.constantFrom(...lookalikes, '300 <158>1 ', '65536 '),
      arbitraryMessage.map(frame),
      fc.string({ unit: 'binary-ascii' }),
    )
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 30 }), (pieces) => {
        const body = bytesOf(pieces.join(''))
        let behind = 0
        cutFrames(body, (start, end) => {
          // A count and a space stand before it.
          expect(start).toBeGreaterThanOrEqual(behind + 2)
          expect(body[start]).toBe(0x3c)
          expect(end).toBeWithin(start + 1, body.length + 1)
          behind = end
        })
      }),
      { numRuns: 1000, examples: [[['<45>1 ', '5 ', '<45>1 ']]] },
    )
  })

  const MEBIBYTE = 1_048_576
  const repeated = (text: string, bytes = MEBIBYTE): string =>
    text.repeat(Math.ceil(bytes / text.length)).slice(0, bytes)

  /** Frames that all end far behind themselves, in a field of something. */
  const allInto = (field: string): string =>
    repeated('80000 <1>1 ', 80_000) + repeated(field, 900_000)

  test.each([
    ['<', repeated('<')],
    ['digits', repeated('1')],
    ['digits and spaces', repeated('1 ')],
    ['tiny frames that are none', repeated('1 <1>1 ')],
    ['priorities', repeated('<1>1 ')],
    ['counts before priorities', repeated('9999999 <1>1 ')],
    ['counts of zero', repeated('0 <1>1 ')],
    ['blanks', repeated(' ')],
    ['newlines', repeated('\n')],
    ['frames of one blank line each', repeated('6 <1>1 \n')],
    ['blanks between look-alikes', repeated(`1 <1>1 ${' '.repeat(1000)}`)],
    ['frames that all end in one field of blanks', `${allInto(' ')}x`],
    ['frames that all end in one field of digits', allInto('7')],
  ])('a body of 1 MiB of %s is cut without hesitation', (_what, body) => {
    const bytes = bytesOf(body)
    const started = performance.now()
    cut(bytes)
    expect(performance.now() - started).toBeLessThan(2500)
  })
})

describe('real bodies', () => {
  testOn(
    [examples, exampleRows],
    'the 55 frames of every kind are cut as their source has them',
    () => {
      const rows = exampleRows.text
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line))
      const messages = rows.map(({ pri, ts, hostname, appname, procid, msgid, msg }) =>
        Buffer.from(`<${pri}>1 ${ts} ${hostname} ${appname} ${procid} ${msgid} ${msg}`).toString(
          'latin1',
        ),
      )
      expect(messages).toHaveLength(55)
      expect(cut(examples.bytes)).toEqual({ messages, malformed: 0 })
    },
  )

  testOn([madeBody], 'an L10 line without a newline, a line with one inside, UTF-8', () => {
    const { messages, malformed } = cut(madeBody.bytes)
    expect({ frames: messages.length, malformed }).toEqual({ frames: 8, malformed: 0 })
    expect(messages[0]).toEndWith('07:59:00+00:00.')
    expect(messages[1]).toStartWith('<158>1 2026-11-22T08:00:00.123456+00:00 host heroku router - ')
    expect(messages[5]).toEndWith('\nsecond line 12 <1>\n')
    expect(messages[7]).toEndWith('Release v42 created by user@example.com\n')
  })
})
