/** Drain bodies for the tests of core/: how they are framed, and what comes of cutting them. */
import { cutFrames } from '../core/frames.ts'

/** Latin-1, so that any byte can be written in a test. */
export const bytesOf = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'latin1'))

export const textOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1')

/** A message with the octet count before it. */
export const frame = (message: string): string => `${message.length} ${message}`

/** The messages that a body is cut into, and how many stretches of it were none. */
export function cut(body: string | Uint8Array): { messages: string[]; malformed: number } {
  const bytes = typeof body === 'string' ? bytesOf(body) : body
  const messages: string[] = []
  const { frames, malformed } = cutFrames(bytes, (start, end) => {
    messages.push(textOf(bytes.subarray(start, end)))
  })
  if (frames !== messages.length) throw new Error(`${frames} frames, ${messages.length} taken`)
  return { messages, malformed }
}

/** A router line's message, as Heroku sends it: with a newline. */
export function routerMessage(serviceMs: number, path = '/'): string {
  return (
    `<158>1 2025-11-22T08:00:00.123456+00:00 host heroku router - at=info method=GET path="${path}" ` +
    `host=app.example.com request_id=8601b555-6a83-4c12-8269-97c8e32cdb22 fwd="203.0.113.4" ` +
    `dyno=web.1 connect=1ms service=${serviceMs}ms status=200 bytes=13 protocol=https\n`
  )
}
