/** Reads many bursts: with the memory of the last one, and the names it knows. */
import { type PackedBurst, parseBurst, toBytes } from './burst.ts'
import { ByteReader, byteAt, textAt } from './bytes.ts'
import { isText } from './message.ts'

/** A burst of 100 requests takes about 1 KB of base64; what is longer gets memory of its own. */
const SCRATCH_BYTES = 65_536

const scratch = new Uint8Array(SCRATCH_BYTES)

/**
 * The burst of a record's value. Its requests are good until the next one is read.
 * @throws BurstError
 */
export function readNextBurst(value: string | Uint8Array): PackedBurst {
  const isFitting = typeof value === 'string' && value.length <= scratch.length
  if (!isFitting) return readKeptBurst(value)
  return parseBurst(
    () => new ByteReader(scratch, scratch.setFromBase64(value).written, knownTextAt),
  )
}

/**
 * The same, good for ever.
 * @throws BurstError
 */
export function readKeptBurst(value: string | Uint8Array): PackedBurst {
  return parseBurst(() => new ByteReader(toBytes(value), undefined, knownTextAt))
}

const TEXTS = 4096
const TEXT_BYTES_MAX = 64

/** The last ASCII texts, by a hash of their bytes: names of apps and processes come all the time. */
const texts: (string | undefined)[] = Array.from({ length: TEXTS })

function knownTextAt(bytes: Uint8Array, start: number, end: number): string {
  if (end - start > TEXT_BYTES_MAX) return textAt(bytes, start, end)
  let hash = 0
  for (let at = start; at < end; at++) hash = (Math.imul(hash, 31) + byteAt(bytes, at)) | 0
  const slot = hash & (TEXTS - 1)
  const known = texts[slot]
  if (known !== undefined && isText(bytes, start, end, known)) return known
  const text = textAt(bytes, start, end)
  // What is not ASCII takes more bytes: isText would not know it again, or take others for it.
  if (text.length === end - start) texts[slot] = text
  return text
}
