/**
 * Records of the raw topic that speak of the log itself. A burst begins with its version, from 1
 * on; these begin with 0 and the byte of what they say.
 */

/**
 * "The topic has more partitions now." Keys move then: a resend may land in another partition than
 * its first try, where nobody knows its id. In base64, as a dialect of text carries it.
 */
export const REPARTITIONED = 'AAE='

/** The same in hex, as bytes and as base64 that came as bytes. */
const AS_BYTES = ['0001', '4141453d']

/** Whether a raw record's value says so. */
export function isRepartitioned(value: string | Uint8Array): boolean {
  if (typeof value === 'string') return value === REPARTITIONED
  return value.length <= REPARTITIONED.length && AS_BYTES.includes(value.toHex())
}
