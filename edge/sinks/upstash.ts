/**
 * The Upstash REST dialect, which our broker and our gateway speak. The answer is for the whole
 * request, and a list of as many offsets as there were records is the only proof of writing.
 *
 * | answer                                        | outcome of each record |
 * | --------------------------------------------- | ---------------------- |
 * | 200, an offset for every record               | ok                     |
 * | 413                                           | reject                 |
 * | 200 with anything else: a wrong URL, a proxy  | retry                  |
 * | 400, 401, 404: an operator mends our settings | retry                  |
 * | anything else                                 | retry                  |
 */
import * as z from 'zod'
import { allOf, type HttpDialect } from './http-sink.ts'
import { parseJson } from './json.ts'
import type { Target } from './target.ts'

const answerSchema = z.array(z.object({ offset: z.int().min(0) }))

/** Values are text there: a record's bytes go as base64, and come out of the log as that. */
export function upstash({ base, headers }: Target): HttpDialect {
  return {
    post(topic, records) {
      const body = records.map(({ key, value }) => ({ topic, key, value: value.toBase64() }))
      return {
        url: `${base}/produce`,
        headers: { ...headers, 'content-type': 'application/json' },
        body: JSON.stringify(body),
      }
    },
    outcomes({ status, text }, count) {
      if (status === 413) return allOf(count, 'reject')
      const written = answerSchema.safeParse(parseJson(text)).data?.length === count
      return allOf(count, status === 200 && written ? 'ok' : 'retry')
    },
  }
}
