import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { isName, NAME_CHARS_MAX } from '../core/point.ts'

describe('a name', () => {
  test.each([
    'a',
    'memory_rss',
    'load_avg_15m',
    'R14',
    'db.latency',
    'db-latency',
    'http/requests',
    'active_record:query',
    'Sidekiq::Worker.perform',
    'queue:mailers:size',
    'jvm_memory_bytes_used.area_heap',
    'jvm_gc_collection_seconds_count.gc_G1_Young_Generation',
    'HEROKU_POSTGRESQL_GREEN',
    'postgresql-triangular-70792',
    'background_worker',
    'p99.9',
    'v1.2.3',
    'web-5d8f5f9b8-abcde',
    'status.2xx',
    '2025-11-22',
    'internationalizationAndAccessibility',
    'n'.repeat(NAME_CHARS_MAX),
  ])('may be %p', (name) => {
    expect(isName(name)).toBe(true)
  })

  test.each([
    ['nothing', ''],
    ['longer than its limit', 'n'.repeat(NAME_CHARS_MAX + 1)],
    ['10 kB', 'n.'.repeat(5000)],
    ['an e-mail', 'jane@example.com'],
    ['words', 'jane doe'],
    ['a line', 'a\nb'],
    ['a query', 'path?user=jane'],
    ['a pair', 'user=jane'],
    ['an escape', 'user%40example.com'],
    ['quotes', '"web"'],
    ['a path', '/users'],
    ['a NUL', 'a\0b'],
    ['letters beyond ASCII', 'wéb'],
    ['markup', '<script>'],
    ['SQL', "x';--"],
    ['a UUID', '7f9b14bc-1d3b-47f4-91c1-704964b8793f'],
    ['a UUID of letters', 'abcdefab-abcd-abcd-abcd-abcdefabcdef'],
    ['a UUID in large letters', 'B9DE5FCE-44B7-4287-99A7-504519070CBA'],
    ['a UUID with other marks', 'user.7f9b14bc_1d3b_47f4_91c1_704964b8793f'],
    ['a UUID without dashes', '7f9b14bc1d3b47f491c1704964b8793f'],
    ['an IP address', '203.0.113.4'],
    ['an IP address as names have it', 'hits.203_0_113_4'],
    ['an IP address of a host', 'ip-10-0-0-12'],
    ['an IPv6 address', '2001:db8:85a3::8a2e:370:7334'],
    ['an IPv6 address behind a word', 'ip.2001:db8::1'],
    ['a phone number', 'call.4915112345678'],
    ['a card number', '4111111111111111'],
    ['a key of a cloud', 'AKIAIOSFODNN7EXAMPLE'],
    ['a secret key', 'sk_live_4eC39HqLyjWDarjtT1zdp7dc'],
    ['a token of a forge', 'ghp_16C7e42F292c6912E7710c838347Ae178B4a'],
    ['a JWT', 'eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0'],
    ['an object id', 'user.507f1f77bcf86cd799439011'],
  ])('may not be %s', (_what, name) => {
    expect(isName(name)).toBe(false)
  })

  const hex = fc.constantFrom(...'0123456789abcdef'.split(''))
  const ofHex = (length: number) => fc.string({ unit: hex, minLength: length, maxLength: length })
  const personal = fc.oneof(
    fc.emailAddress({ size: 'small' }),
    fc.uuid(),
    fc.ipV4(),
    fc.tuple(...Array.from({ length: 7 }, () => ofHex(4)), fc.constant('0001')).map((groups) => {
      return groups.join(':')
    }),
    ofHex(24).map((id) => `0${id}`),
    fc.integer({ min: 10_000_000, max: 999_999_999_999 }).map(String),
  )

  test('holds nothing that identifies a person, wherever it stands', () => {
    const word = fc.constantFrom('', 'user', 'hits', 'db.latency')
    const mark = fc.constantFrom('.', '-', '_', '/', ':')
    fc.assert(
      fc.property(word, mark, personal, mark, word, (before, open, id, close, after) => {
        expect(isName(id)).toBe(false)
        expect(isName(`${before}${before && open}${id}${after && close}${after}`)).toBe(false)
      }),
      { numRuns: 2000 },
    )
  })
})
