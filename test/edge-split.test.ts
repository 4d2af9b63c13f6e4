/** A line of more than 10,000 bytes comes in parts, cut anywhere: no half of a number is a number. */
import { afterAll, describe, expect, test } from 'bun:test'
import { message, startEdge, TIME, totals } from './edge.ts'
import { wordsOf } from './edge-words.ts'

const edge = await startEdge()
afterAll(() => edge.stop())

const PART_BYTES = 10_000

/** The messages of a line as a producer makes them: only the last part ends with a newline. */
function partsOf(text: string, process = 'web.1', time = TIME): Uint8Array[] {
  const bytes = Buffer.from(text)
  const head = message('', { app: 'app', process, time }).trimEnd()
  const parts: Uint8Array[] = []
  for (let at = 0; at < bytes.length; at += PART_BYTES) {
    const isLast = at + PART_BYTES >= bytes.length
    const part = bytes.subarray(at, at + PART_BYTES)
    parts.push(Buffer.concat([Buffer.from(`${head} `), part, Buffer.from(isLast ? '\n' : '')]))
  }
  return parts
}

/** A line whose first part ends within `cut`, behind `offset` of its characters. */
function lineCutAt(cut: string, offset: number, filler = 'x'): string {
  const before = 'count#before=1 '
  const room = PART_BYTES - Buffer.byteLength(before) - offset - 1
  const filled = filler.repeat(room / Buffer.byteLength(filler))
  const padded = filled + '.'.repeat(room - Buffer.byteLength(filled))
  return `${before}${padded} ${cut} count#behind=2`
}

const WHOLE = ['counter web custom.before = 1', 'counter web custom.behind = 2']

test('wherever a line is cut, what is whole is taken, and a half is counted, not believed', async () => {
  const metric = 'measure#latency=123456ms'
  for (let offset = 1; offset < metric.length; offset++) {
    const burst = await edge.burstOf(...partsOf(lineCutAt(metric, offset)))
    const unreadable = offset > 'measure'.length ? { unreadable: 1 } : {}
    expect([offset, wordsOf(burst)]).toEqual([offset, WHOLE])
    expect([offset, totals(burst)]).toEqual([offset, { received: 2, kept: 2, ...unreadable }])
  }
})

test('bytes are counted, not characters', async () => {
  const burst = await edge.burstOf(...partsOf(lineCutAt('measure#latency=123456ms', 18, 'ü')))
  expect(wordsOf(burst)).toEqual(WHOLE)
  expect(totals(burst)).toEqual({ received: 2, kept: 2, unreadable: 1 })
})

test('a word that ends in what looks like a metric is none', async () => {
  const burst = await edge.burstOf(...partsOf(lineCutAt('dis-count#x=5', 4)))
  expect(wordsOf(burst)).toEqual(WHOLE)
})

test('a line in three parts', async () => {
  const [first = '', rest = ''] = [lineCutAt('measure#a=123', 12), lineCutAt('sample#b=456', 10)]
  const line = first.slice(0, PART_BYTES) + '3'.padEnd(PART_BYTES, ' y') + rest.slice(PART_BYTES)
  const parts = partsOf(line)
  expect(parts).toHaveLength(3)
  expect(wordsOf(await edge.burstOf(...parts))).toEqual(WHOLE)
})

describe('a part is told from a line of its own:', () => {
  const [first = new Uint8Array(), second = new Uint8Array()] = partsOf(
    lineCutAt('measure#latency=123456ms', 18),
  )
  const own = 'count#own=1 count#more=1'
  const ownWords = ['counter web custom.own = 1', 'counter web custom.more = 1']

  test('another process’s lines between the parts are whole', async () => {
    const other = message(own, { app: 'app', process: 'web.2' })
    const burst = await edge.burstOf(first, other, second)
    expect(wordsOf(burst)).toEqual([WHOLE[0] ?? '', ...ownWords, WHOLE[1] ?? ''])
  })

  test('two processes’ lines, split at one time, their parts mixed', async () => {
    const [a = '', b = ''] = partsOf(lineCutAt('measure#latency=123456ms', 18), 'web.2')
    const burst = await edge.burstOf(first, a, second, b)
    expect(wordsOf(burst).sort()).toEqual([...WHOLE, ...WHOLE].sort())
    expect(totals(burst).unreadable).toBe(2)
  })

  test('the next line of the process, at the same time, is whole', async () => {
    const next = message(own, { app: 'app', process: 'web.1' })
    expect(wordsOf(await edge.burstOf(first, second, next))).toEqual([...WHOLE, ...ownWords])
    const plain = partsOf(`${'x'.repeat(PART_BYTES)}xx and no metric`)
    expect(wordsOf(await edge.burstOf(...plain, next))).toEqual(ownWords)
  })

  test('so is one at another time, where the last part went another way', async () => {
    const time = TIME.replace('.123', '.999')
    const next = message(own, { app: 'app', process: 'web.1', time })
    expect(wordsOf(await edge.burstOf(first, next))).toEqual([WHOLE[0] ?? '', ...ownWords])
  })

  test('a last part that comes alone brings no half of a number', async () => {
    expect(wordsOf(await edge.burstOf(second))).toEqual([WHOLE[1] ?? ''])
  })
})

test('a line of 10,000 bytes that ends there is whole', async () => {
  const text = `${'x'.repeat(PART_BYTES - 'x count#a=1'.length)}x count#a=12`
  const burst = await edge.burstOf(
    message(text.slice(0, PART_BYTES), { app: 'app', process: 'a.1' }),
  )
  expect(wordsOf(burst)).toEqual(['counter a custom.a = 1'])
})

test('words without an end are read in time', async () => {
  const head = message('', { app: 'app', process: 'web.1' }).trimEnd()
  const lines = Array.from({ length: 11 }, () => `${head} count#${'x'.repeat(60_000)} y #`)
  const startMs = performance.now()
  await edge.burstOf(...lines)
  await edge.burstOf(message('#'.repeat(65_000), { app: 'app' }), `${head} ${'e#'.repeat(30_000)}`)
  expect(performance.now() - startMs).toBeLessThan(1500)
})
