/** JSON as it comes from a server, or from whatever stands before it. */

/** @returns undefined where the text is not JSON */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/**
 * The objects of concatenated JSON, with white space or nothing between them, and `countMax` at
 * most. Stops at the first thing that is no whole object: garbage, or the end of a text that was cut.
 */
export function jsonObjects(text: string, countMax: number): unknown[] {
  const objects: unknown[] = []
  let start = 0
  while (objects.length < countMax) {
    while (' \t\r\n'.includes(text[start] ?? '-')) start++
    const end = text[start] === '{' ? objectEnd(text, start) : undefined
    const value = end === undefined ? undefined : parseJson(text.slice(start, end))
    if (end === undefined || value === undefined) break
    objects.push(value)
    start = end
  }
  return objects
}

/** Behind the bracket that closes the one at `start`; undefined where the text ends before it. */
function objectEnd(text: string, start: number): number | undefined {
  let depth = 0
  let quoted = false
  for (let at = start; at < text.length; at++) {
    const char = text[at]
    if (quoted) {
      if (char === '\\') at++
      else if (char === '"') quoted = false
    } else if (char === '"') quoted = true
    else if (char === '{') depth++
    else if (char === '}' && --depth === 0) return at + 1
  }
  return undefined
}
