/** Which whole answer of the REST APIs of Kafka says that no other try can go better. */
import * as z from 'zod'
import type { Answer } from './ask.ts'
import { parseJson } from './json.ts'

/** Confluent's 42201 and what follows: its own word that the payload is at fault. */
export const payloadErrorSchema = z.object({ error_code: z.int().min(42200).max(42299) })

/** A 422 without that code may be of a proxy, or of a server that wants another dialect. */
export function isRefused({ status, text }: Answer): boolean {
  if (status === 413) return true
  return status === 422 && payloadErrorSchema.safeParse(parseJson(text)).success
}
