import { expect, test } from 'bun:test'
import fc from 'fast-check'
import { murmur2, partitionOf } from '../core/partition.ts'

// org.apache.kafka.common.utils.UtilsTest.testMurmur2
const kafkaVectors: [string, number][] = [
  ['21', -973932308],
  ['foobar', -790332482],
  ['a-little-bit-long-string', -985981536],
  ['a-little-bit-longer-string', -1486304829],
  ['lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8', -58897971],
  ['abc', 479470107],
  ['', 275646681],
]

test.each(kafkaVectors)('murmur2 of %p is what Kafka computes', (text, hash) => {
  expect(murmur2(new TextEncoder().encode(text))).toBe(hash)
})

test('a key goes to the partition that Kafka gives it', () => {
  for (const [key, hash] of kafkaVectors) {
    for (const partitions of [1, 3, 4, 12]) {
      expect(partitionOf(key, partitions)).toBe((hash & 0x7fffffff) % partitions)
    }
  }
})

test('every key has one partition, within the count', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), fc.integer({ min: 1, max: 1000 }), (key, count) => {
      const partition = partitionOf(key, count)
      expect(partition).toBeWithin(0, count)
      expect(partitionOf(key, count)).toBe(partition)
    }),
  )
})

test('bytes inside a larger buffer hash like bytes of their own', () => {
  const bytes = new TextEncoder().encode('xxfoobarxx').subarray(2, 8)
  expect(murmur2(bytes)).toBe(-790332482)
})
