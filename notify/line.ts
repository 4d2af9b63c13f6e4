/** A line on stderr, where the operator's own log takes it up. */
import type { Message } from './message.ts'
import { DELIVERED, type Outcome } from './outcome.ts'
import { linesOf, titleOf } from './words.ts'

export function sendLine(message: Message): Outcome {
  const text = [titleOf(message), ...linesOf(message)].join('; ')
  process.stderr.write(`alert ${message.key}: ${text.replace(/\s+/g, ' ')}\n`)
  return DELIVERED
}
