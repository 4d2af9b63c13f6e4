/** The base64 of a text's UTF-8; `btoa` takes no character beyond U+00FF. */
export function textToBase64(text: string): string {
  return new TextEncoder().encode(text).toBase64()
}
