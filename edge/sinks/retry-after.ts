/** How long a server asks to be left alone. */

/**
 * @param headers with `Retry-After` as RFC 9110 (10.2.3) has it: whole seconds, or a date in GMT
 * @returns ms from now, 0 where nothing that makes sense is asked
 */
export function retryAfterMs(headers: Headers | undefined): number {
  const value = headers?.get('retry-after') ?? ''
  if (/^\d{1,9}$/.test(value)) return Number(value) * 1000
  const atMs = value.endsWith('GMT') ? Date.parse(value) : Number.NaN
  return Number.isNaN(atMs) ? 0 : Math.max(atMs - Date.now(), 0)
}
