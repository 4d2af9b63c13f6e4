/** Texts in the log: names and words. What one program writes, all that read behind it must take. */

/** In UTF-16 code units. The longest that is made is a marker of many config vars. */
export const TEXT_CHARS_MAX = 1000

/** Whether the log holds `text`: not too long, and without NUL, which Postgres does not take. */
export function isLoggable(text: string): boolean {
  return text.length <= TEXT_CHARS_MAX && !text.includes('\0')
}
