/**
 * Which partition a key belongs to: the rule of Kafka's Java client, which librdkafka calls
 * `murmur2`, so that a record lands on the same partition whichever client appends it.
 */

const encoder = new TextEncoder()

/** Partition 0..partitions-1 of a key; `partitions` is 1 or more. */
export function partitionOf(key: string, partitions: number): number {
  return (murmur2(encoder.encode(key)) & 0x7fffffff) % partitions
}

/** MurmurHash2 (32 bit, Kafka's seed) as a signed 32-bit integer, as Kafka's own tests print it. */
export function murmur2(bytes: Uint8Array): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const tail = bytes.length & ~3
  let hash = seed ^ bytes.length
  for (let at = 0; at < tail; at += 4) {
    let word = Math.imul(view.getInt32(at, true), multiplier)
    word = Math.imul(word ^ (word >>> 24), multiplier)
    hash = Math.imul(hash, multiplier) ^ word
  }
  if (tail < bytes.length) {
    for (let at = bytes.length - 1; at >= tail; at--) {
      hash ^= view.getUint8(at) << ((at - tail) * 8)
    }
    hash = Math.imul(hash, multiplier)
  }
  hash = Math.imul(hash ^ (hash >>> 13), multiplier)
  return hash ^ (hash >>> 15)
}

/** Both from org.apache.kafka.common.utils.Utils.murmur2. */
const seed = 0x9747b28c
const multiplier = 0x5bd1e995
