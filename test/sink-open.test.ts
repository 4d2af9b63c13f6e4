/** What a setting may say, and the small parts that the sinks are made of. */
import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { jsonObjects } from '../edge/sinks/json.ts'
import { DIALECTS, openSink } from '../edge/sinks/open-sink.ts'
import { retryAfterMs } from '../edge/sinks/retry-after.ts'

describe('a URL', () => {
  test.each([
    ['upstash', 'https://shelf:secret@log.example.com'],
    ['upstash', 'http://shelf:s%40crét@127.0.0.1:8788/'],
    ['rest-v2', 'http://proxy:8082'],
    ['rest-v2', 'https://shelf:secret@example.com/kafka-rest/'],
    ['rest-v3', 'https://key:secret@pkc.example.com/kafka/v3/clusters/lkc-abc'],
    ['rest-v3', 'http://proxy:8082/v3/clusters/MkU3OEVBNTcwNTJENDM2Qg/'],
  ] as const)('of %s may be %s', (dialect, url) => {
    expect(() => openSink(dialect, url)).not.toThrow()
  })

  test.each([
    ['upstash', 'https://log.example.com', 'a part is missing'],
    ['upstash', 'https://shelf@log.example.com/s3cret', 'not both'],
    ['upstash', 'kafka://shelf:s3cret@log.example.com', 'no http(s) URL'],
    ['upstash', 's3cret', 'no http(s) URL'],
    ['upstash', 'https://shelf:s3cret%@log.example.com', 'not percent-encoded'],
    ['upstash', 'https://shelf:s3cret@log.example.com/?topic=raw', 'a query'],
    ['rest-v2', 'https://:s3cret@example.com', 'not both'],
    ['rest-v2', 'https://a%3Ab:s3cret@example.com', 'a colon'],
    ['rest-v2', 'https://a:s3cret@example.com/#x', 'a fragment'],
    ['rest-v3', 'https://key:s3cret@example.com/kafka', 'a part is missing'],
    ['rest-v3', 'https://key:s3cret@example.com/kafka/v3/clusters/', 'a part is missing'],
    ['rest-v3', 'https://key:s3cret@example.com/kafka/v3/clusters/a/topics', 'a part is missing'],
  ] as const)('of %s that is %s is refused, and not repeated', (dialect, url, why) => {
    const opened = (): unknown => openSink(dialect, url)
    expect(opened).toThrow(why)
    expect(opened).toThrow(/^the URL must be http/)
    expect(opened).not.toThrow('s3cret')
  })

  test('of every dialect has an example in its refusal that fits', () => {
    for (const dialect of DIALECTS) {
      let message = ''
      try {
        openSink(dialect, 'nothing')
      } catch (error) {
        message = String(error)
      }
      const examples = message.match(/https?:\/\/[^\s:]+(:[^\s:]+)*/g) ?? []
      expect(examples.length).toBeGreaterThan(0)
      for (const example of examples) expect(() => openSink(dialect, example)).not.toThrow()
    }
  })
})

describe('concatenated JSON', () => {
  const object = fc.dictionary(fc.string({ unit: 'binary' }), fc.jsonValue())
  const space = fc.constantFrom('', ' ', '\n', '\r\n', '\t \r\n')

  test('comes apart as it was put together, cut anywhere to what is whole', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(object, space)), fc.nat(), (parts, place) => {
        const texts = parts.map(([value, after]) => JSON.stringify(value) + after)
        const text = texts.join('')
        expect(jsonObjects(text, 100)).toEqual(JSON.parse(`[${texts.join(',')}]`))
        const cut = text.slice(0, place % (text.length + 1))
        const whole = jsonObjects(cut, 100)
        expect(whole).toEqual(jsonObjects(text, whole.length))
        const bytes = texts.slice(0, whole.length).join('').trimEnd().length
        expect(cut.trimEnd().length).toBeGreaterThanOrEqual(bytes)
        const next = texts
          .slice(0, whole.length + 1)
          .join('')
          .trimEnd().length
        if (whole.length < texts.length) expect(cut.length).toBeLessThan(next)
      }),
    )
  })

  test.each(['', ' ', '1 2', 'null', '[{}]', '<p>{}</p>', '"{}"', '}{', '{a}{}', '{]}'])(
    'that is %p has no object',
    (text) => {
      expect(jsonObjects(text, 9)).toEqual([])
    },
  )

  test('ends at garbage and at the count that is wanted', () => {
    expect(jsonObjects('{"a":1}x{"b":2}', 9)).toEqual([{ a: 1 }])
    expect(jsonObjects('{"a":1},{"b":2}', 9)).toEqual([{ a: 1 }])
    expect(jsonObjects('{}{}{}', 2)).toEqual([{}, {}])
  })
})

describe('Retry-After', () => {
  const of = (value: string): number => retryAfterMs(new Headers({ 'retry-after': value }))

  test('is seconds or a date', () => {
    expect(of('0')).toBe(0)
    expect(of('120')).toBe(120_000)
    const inAMinute = of(new Date(Date.now() + 60_000).toUTCString())
    expect(inAMinute).toBeGreaterThan(50_000)
    expect(inAMinute).toBeLessThanOrEqual(60_000)
  })

  test.each([
    '',
    'soon',
    '-5',
    '1.5',
    '1e3',
    '99 s',
    '2099-01-01',
    ' GMT',
    'Wed, 21 Oct 2015 07:28:00 GMT',
  ])('that is past or makes no sense, %p, asks for nothing', (value) => {
    expect(of(value)).toBe(0)
  })

  test('may be absent', () => {
    expect(retryAfterMs(undefined)).toBe(0)
    expect(retryAfterMs(new Headers())).toBe(0)
  })
})
