/**
 * SHA-256 (FIPS 180-4) of short bytes, at once: WebCrypto's digest is a promise, and costs as much as
 * reading 10 to 20 router lines in Bun. For long bytes WebCrypto is faster.
 */

const BLOCK_BYTES = 64

/** The first 32 bits of the fractional parts of the roots of primes, as the standard has them. */
const PRIMES = Array.from({ length: 312 }, (_, n) => n).filter(isPrime)
const ROUNDS = Int32Array.from(PRIMES.slice(0, 64), (prime) => fraction(Math.cbrt(prime)))
const START = Int32Array.from(PRIMES.slice(0, 8), (prime) => fraction(Math.sqrt(prime)))

function isPrime(n: number): boolean {
  for (let by = 2; by * by <= n; by++) if (n % by === 0) return false
  return n > 1
}

function fraction(root: number): number {
  return ((root % 1) * 2 ** 32) | 0
}

/** Words of a block, filled again for each. */
const words = new Int32Array(64)

export function sha256(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  // A bit, zeros, and the count of bits fill the last block.
  const padded = new Uint8Array(Math.ceil((bytes.length + 9) / BLOCK_BYTES) * BLOCK_BYTES)
  padded.set(bytes)
  padded[bytes.length] = 0x80
  const view = new DataView(padded.buffer)
  view.setUint32(padded.length - 4, bytes.length * 8)
  const state = START.slice()
  for (let at = 0; at < padded.length; at += BLOCK_BYTES) addBlock(state, view, at)
  const digest = new DataView(new ArrayBuffer(32))
  state.forEach((word, i) => {
    digest.setInt32(i * 4, word)
  })
  return new Uint8Array(digest.buffer)
}

function rotate(word: number, by: number): number {
  return (word >>> by) | (word << (32 - by))
}

function addBlock(state: Int32Array, view: DataView, at: number): void {
  for (let i = 0; i < 16; i++) words[i] = view.getInt32(at + i * 4)
  for (let i = 16; i < 64; i++) {
    const a = words[i - 15] as number
    const b = words[i - 2] as number
    const low = rotate(a, 7) ^ rotate(a, 18) ^ (a >>> 3)
    const high = rotate(b, 17) ^ rotate(b, 19) ^ (b >>> 10)
    words[i] = (words[i - 16] as number) + low + (words[i - 7] as number) + high
  }
  let [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0, h = 0] = state
  for (let i = 0; i < 64; i++) {
    const high = rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)
    const choice = (e & f) ^ (~e & g)
    const first = (h + high + choice + (ROUNDS[i] as number) + (words[i] as number)) | 0
    const low = rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)
    const majority = (a & b) ^ (a & c) ^ (b & c)
    h = g
    g = f
    f = e
    e = (d + first) | 0
    d = c
    c = b
    b = a
    a = (first + low + majority) | 0
  }
  ;[a, b, c, d, e, f, g, h].forEach((word, i) => {
    state[i] = (state[i] as number) + word
  })
}
