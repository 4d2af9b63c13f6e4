/**
 * Confluent's REST API v3: Confluent Cloud, Confluent Server, and the REST Proxy of one's own. The
 * records stand in the body one behind the other, and so do their reports in the answer, in order.
 *
 * | answer                                            | outcome                                |
 * | ------------------------------------------------- | -------------------------------------- |
 * | 200, and for each record a report:                | one by one:                            |
 * | - error_code 200, an offset                       | ok                                     |
 * | - error_code 413, or 422xx: the payload           | reject                                 |
 * | - 429; 401, 403, 404: our settings; anything else | retry                                  |
 * | - none: the stream stopped, or was cut            | retry                                  |
 * | 200 with more reports than records                | retry, all: which is whose?            |
 * | 413, or 422 with error_code 422xx                 | reject, all                            |
 * | anything else                                     | retry, all                             |
 */
import * as z from 'zod'
import { textToBase64 } from './base64.ts'
import { allOf, type HttpDialect } from './http-sink.ts'
import { jsonObjects } from './json.ts'
import { isRefused, payloadErrorSchema } from './refused.ts'
import type { Outcome } from './sink.ts'
import type { Target } from './target.ts'

const writtenSchema = z.object({ error_code: z.literal(200), offset: z.int().min(0) })
const refusedSchema = z.union([z.object({ error_code: z.literal(413) }), payloadErrorSchema])

/** @param target its base names the cluster: `…/v3/clusters/ID` */
export function restV3({ base, headers }: Target): HttpDialect {
  return {
    post(topic, records) {
      const encoded = records.map(({ key, value }) =>
        // Without a type, a proxy of one's own looks for a schema.
        JSON.stringify({
          key: { type: 'BINARY', data: textToBase64(key) },
          value: { type: 'BINARY', data: value.toBase64() },
        }),
      )
      return {
        url: `${base}/topics/${encodeURIComponent(topic)}/records`,
        headers: { ...headers, 'content-type': 'application/json', accept: 'application/json' },
        body: encoded.join('\n'),
      }
    },
    outcomes(answer, count) {
      if (isRefused(answer)) return allOf(count, 'reject')
      const reports = answer.status === 200 ? jsonObjects(answer.text, count + 1) : []
      if (reports.length > count) return allOf(count, 'retry')
      return Array.from({ length: count }, (_, at) => outcomeOf(reports[at]))
    },
  }
}

function outcomeOf(report: unknown): Outcome {
  if (refusedSchema.safeParse(report).success) return 'reject'
  return writtenSchema.safeParse(report).success ? 'ok' : 'retry'
}
