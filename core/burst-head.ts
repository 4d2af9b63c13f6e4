/** The first fields of a burst, without the rest: reading them costs a hundredth of decoding it. */
import { BURST_VERSION, ID_BYTES, toBytes } from './burst.ts'
import { ByteReader } from './bytes.ts'

export interface BurstHead {
  id: string
  /** When the edge took it, Unix ms. */
  receivedAtMs: number
}

/** Undefined where the value does not begin as a burst; what follows may be damaged all the same. */
export function readBurstHead(value: string | Uint8Array): BurstHead | undefined {
  try {
    const reader = new ByteReader(toBytes(value))
    if (reader.byte() !== BURST_VERSION) return undefined
    const id = reader.hex(ID_BYTES)
    // The app and the drain.
    for (let skipped = 0; skipped < 2; skipped++) reader.skip(reader.varint())
    return { id, receivedAtMs: reader.varint() }
  } catch {
    return undefined
  }
}
