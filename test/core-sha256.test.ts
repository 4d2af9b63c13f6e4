import { expect, test } from 'bun:test'
import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { sha256 } from '../core/sha256.ts'

const expected = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

test('SHA-256 of the examples of FIPS 180-4 is as the standard has it', () => {
  expect(sha256(Buffer.from('abc')).toHex()).toBe(
    'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad',
  )
  expect(sha256(new Uint8Array()).toHex()).toBe(
    'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
  )
})

test('SHA-256 is the same as another implementation’s, at any length around the blocks', () => {
  for (let length = 0; length <= 200; length++) {
    const bytes = Uint8Array.from({ length }, (_, i) => (i * 151 + length) & 0xff)
    expect(sha256(bytes).toHex()).toBe(expected(bytes))
  }
})

test('SHA-256 of any bytes is the same as another implementation’s', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 500 }), (bytes) => {
      expect(sha256(bytes).toHex()).toBe(expected(bytes))
    }),
  )
})
