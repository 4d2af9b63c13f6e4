import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import {
  appNameSchema,
  type DrainKey,
  drainKeysSchema,
  drainKeysToText,
  drainSecret,
} from '../core/credential.ts'

const keyOf = (id: string, byte: number): DrainKey => ({
  id,
  key: new Uint8Array(32).fill(byte).toBase64({ alphabet: 'base64url', omitPadding: true }),
})

const key1 = keyOf('k1', 1)
const key2 = keyOf('k2', 2)

describe('the keys of the edge', () => {
  test('are read as they are written', () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(
          fc.record({
            id: fc.stringMatching(/^[A-Za-z0-9]{1,16}$/),
            key: fc
              .uint8Array({ minLength: 32, maxLength: 80 })
              .map((bytes) => bytes.toBase64({ alphabet: 'base64url', omitPadding: true })),
          }),
          { selector: ({ id }) => id, minLength: 1, maxLength: 2 },
        ),
        (keys) => {
          expect<readonly DrainKey[]>(drainKeysSchema.parse(drainKeysToText(keys))).toEqual(keys)
        },
      ),
    )
  })

  test('may have blanks around the comma, and padding', () => {
    expect(drainKeysSchema.parse(` k1:${key1.key}= , k2:${key2.key} `)).toEqual([
      { id: 'k1', key: `${key1.key}=` },
      key2,
    ])
  })

  const long = 'A'.repeat(44)
  test.each([
    ['nothing', ''],
    ['no id', key1.key],
    ['an empty id', `:${key1.key}`],
    ['an id with a dot', `k.1:${key1.key}`],
    ['an id of 17 letters', `${'k'.repeat(17)}:${key1.key}`],
    ['an empty key', 'k1:'],
    [
      'a key of 31 bytes',
      `k1:${new Uint8Array(31).toBase64({ alphabet: 'base64url', omitPadding: true })}`,
    ],
    ['a key that is no base64', `k1:${'!'.repeat(43)}`],
    ['a key in the other alphabet', `k1:${'+/'.repeat(22)}`],
    ['a key of a length that base64 does not have', `k1:${long}A`],
    ['too much padding', `k1:${key1.key}==`],
    ['three keys', `k1:${long},k2:${long},k3:${long}`],
    ['a comma at the end', `k1:${long},`],
    ['two keys of one id', `k1:${key1.key},k1:${key2.key}`],
    ['something behind the key', `k1:${long}:more`],
  ])('are refused with %s', (_what, text) => {
    expect(drainKeysSchema.safeParse(text).success).toBe(false)
  })

  test('that are accepted can all be used', async () => {
    const some = fc.stringMatching(/^k1:[A-Za-z0-9_-]{40,60}={0,2}$/)
    await fc.assert(
      fc.asyncProperty(some, async (text) => {
        const parsed = drainKeysSchema.safeParse(text)
        for (const key of parsed.data ?? []) await drainSecret(key, 'demo', 'd1')
      }),
      { numRuns: 300 },
    )
  })
})

test.each([
  ['demo', true],
  ['my-app-27764', true],
  ['A.b_c', true],
  ['a'.repeat(64), true],
  ['a'.repeat(65), false],
  ['', false],
  ['-a', false],
  ['a b', false],
  ['a\n', false],
  ['caf\u00e9', false],
])('%p is an app name: %p', (name, accepted) => {
  expect(appNameSchema.safeParse(name).success).toBe(accepted)
})
