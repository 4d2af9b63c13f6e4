/** Short ASCII words in bytes, told four or eight bytes at a time. */

/** A view of the very bytes. */
export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

/** What `getInt32` says where `text`, of four characters, stands. */
export function fourOf(text: string): number {
  return viewOf(new TextEncoder().encode(text)).getInt32(0)
}

/** What `getFloat64` says where `text`, of eight characters, stands. No ASCII is a NaN or a -0. */
export function eightOf(text: string): number {
  return viewOf(new TextEncoder().encode(text)).getFloat64(0)
}

/**
 * Whether the `length` bytes at `a` are those at `b`. Told as numbers: a byte of 0x80 before seven
 * NULs passes for eight NULs (-0), and eight that make a NaN are never the same.
 */
export function isSame(view: DataView, a: number, b: number, length: number): boolean {
  if (length < 8) {
    for (let i = 0; i < length; i++) {
      if (view.getUint8(a + i) !== view.getUint8(b + i)) return false
    }
    return true
  }
  for (let i = 0; i < length; i += 8) {
    const at = Math.min(i, length - 8)
    if (view.getFloat64(a + at) !== view.getFloat64(b + at)) return false
  }
  return true
}
