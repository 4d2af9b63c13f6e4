/** Short ASCII words in bytes, told four or eight bytes at a time. */

/** A view of the very bytes. */
export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

/** What `getInt32` says, lowest byte first, where `text`, of four characters, stands. */
export function fourOf(text: string): number {
  return viewOf(new TextEncoder().encode(text)).getInt32(0, true)
}

/** What `getFloat64` says, lowest byte first, where `text`, of eight characters, stands. No ASCII is a NaN or a -0. */
export function eightOf(text: string): number {
  return viewOf(new TextEncoder().encode(text)).getFloat64(0, true)
}

/**
 * Bytes that may come again: kept as numbers of eight each, the last of which may overlap the one
 * before it; fewer than eight one by one. To compare them where they lie takes twice as long.
 */
export class KnownBytes {
  length = 0
  private words: number[] = []

  remember(view: DataView, start: number, length: number): void {
    this.length = length
    this.words = []
    if (length < 8) {
      for (let i = 0; i < length; i++) this.words.push(view.getUint8(start + i))
      return
    }
    for (let i = 0; i < length - 8; i += 8) this.words.push(view.getFloat64(start + i, true))
    this.words.push(view.getFloat64(start + length - 8, true))
  }

  /**
   * Whether they stand at `start`. Told as numbers: eight that are a NaN are never the same, and
   * seven NULs before a byte of 0x80 (-0) pass for eight NULs.
   */
  areAt(view: DataView, start: number): boolean {
    const { length, words } = this
    if (length < 8) {
      for (let i = 0; i < length; i++) if (view.getUint8(start + i) !== words[i]) return false
      return true
    }
    const last = words.length - 1
    for (let i = 0; i < last; i++) {
      if (view.getFloat64(start + i * 8, true) !== words[i]) return false
    }
    return view.getFloat64(start + length - 8, true) === words[last]
  }
}
