/** Most router lines are read by a shorter way than word by word: it must not show. */
import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { viewOf } from '../core/ascii.ts'
import { emptyRouterLine, isReadable, type RouterLine, RouterLines } from '../core/router-line.ts'
import { RouterTail } from '../core/router-tail.ts'
import { readWords } from '../core/router-words.ts'
import { sharedData, testOn } from './data.ts'
import { bytesOf } from './frames.ts'
import { FIGURES } from './router-lines.ts'

const routerLog = sharedData('playlab-router.log')

const KEYS = ['dyno', 'connect', 'service', 'status', 'bytes', 'code', 'at', 'path', 'protocol']
const VALUES = ['', 'web.1', '18ms', '18', '200', '13', 'info', 'H12', 'https', '"/ a"', '"', 'a=b']

/** Words of a line, of the router or of someone who knows how they are read. */
const word = fc.oneof(
  fc.tuple(fc.constantFrom(...KEYS), fc.constantFrom(...VALUES)).map(([key, value]) => {
    return `${key}=${value}`
  }),
  fc.constantFrom('', '"', '=', ' ', 'xdyno=web.1', 'status', 'desc="status=1 bytes=2"'),
  fc.string({ unit: 'binary-ascii', maxLength: 8 }),
)

const words = fc.array(word, { maxLength: 4 }).map((parts) => parts.join(' '))

/** Lines as the router writes them, with something else at any place. */
const line = fc
  .tuple(
    fc.constantFrom('at=info', 'at=error code=H12', 'at=error code=', 'at=info code=H80', ''),
    words,
    fc.shuffledSubarray(FIGURES.split(' '), { minLength: 4 }),
    fc.constantFrom(FIGURES, ''),
    words,
    fc.constantFrom(' protocol=https', ''),
  )
  .map(([head, before, some, figures, behind, end]) => {
    return `${head} ${before} ${some.join(' ')} ${figures}${behind && ` ${behind}`}${end}`
  })

/** The same with one byte changed, gone or more. */
const damaged = fc
  .tuple(
    line,
    fc.nat(),
    fc.constantFrom('', ' ', '"', '=', '1', 'm', '\u0000', '\u00ff'),
    fc.nat(1),
  )
  .map(([text, place, byte, gone]) => {
    const at = place % (text.length + 1)
    return text.slice(0, at) + byte + text.slice(at + gone)
  })

/** What is read of the line by either way, behind another line; the words behind it are not its. */
function read(
  before: string,
  text: string,
): { fast: RouterLine | false; slow: RouterLine | false } {
  const body = bytesOf(`${before} status=999 <158>1 - host heroku router - ${text} status=999`)
  const beforeEnd = bytesOf(before).length
  const [start, end] = [body.length - bytesOf(text).length - 11, body.length - 11]
  const lines = new RouterLines(body)
  const slow = emptyRouterLine()
  lines.read(0, beforeEnd)
  const isFast = lines.read(start, end)
  const isSlow = readWords(body, start, end, slow) && isReadable(body, slow)
  return { fast: isFast && lines.line, slow: isSlow && slow }
}

describe('a line is read the same way as word by word', () => {
  test('whatever stands where', () => {
    fc.assert(
      fc.property(fc.oneof(line, damaged), fc.oneof(line, damaged), (before, text) => {
        const { fast, slow } = read(before, text)
        expect(fast).toEqual(slow)
      }),
      { numRuns: 10_000 },
    )
  })

  testOn([routerLog], 'in real lines, and they go the shorter way', () => {
    for (const row of routerLog.text.trimEnd().split('\n')) {
      const { fast, slow } = read(row, row.slice(row.indexOf(': ') + 2))
      expect(fast).toEqual(slow)
      const bytes = bytesOf(row)
      const tail = new RouterTail(bytes, viewOf(bytes))
      expect(tail.read(0, bytes.length, emptyRouterLine())).toBe(true)
    }
  })
})
