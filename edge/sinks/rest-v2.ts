/**
 * Confluent's REST Proxy v2, and those that followed it: Redpanda, Karapace, the Strimzi bridge.
 *
 * | answer                                        | who                 | outcome             |
 * | --------------------------------------------- | ------------------- | ------------------- |
 * | 200 or 422 with a result for every record     |                     | one by one:         |
 * | - an offset, no error_code                    | all                 | ok                  |
 * | - error_code 10 or 18: message, list too large| Redpanda (Kafka's)  | reject              |
 * | - 50002, 50003, 401xx, 403xx                  | Confluent           | retry               |
 * | - any other of Kafka's, with offset -1        | Redpanda            | retry               |
 * | - 1 not or not known to be retriable, 2 is    | Karapace, in a 422  | retry               |
 * | - 404, 500                                    | Strimzi             | retry               |
 * | 413                                           | all, and proxies    | reject, all         |
 * | 422 with error_code 422xx: the payload        | Confluent, Karapace | reject, all         |
 * | another 422; 401, 403, 404: our settings      | all                 | retry, all          |
 * | anything else                                 |                     | retry, all          |
 *
 * A reject counts of a large record alone (http-sink.ts): Redpanda's proxy makes one batch of several
 * requests, and refuses all of them for its size. 50002 and 1 stand for a record that is too large,
 * too, but for much else that an operator mends.
 */
import * as z from 'zod'
import type { Answer } from './ask.ts'
import { textToBase64 } from './base64.ts'
import { allOf, type HttpDialect } from './http-sink.ts'
import { parseJson } from './json.ts'
import { isRefused } from './refused.ts'
import type { Outcome } from './sink.ts'
import type { Target } from './target.ts'

/** Kafka's MESSAGE_TOO_LARGE and RECORD_LIST_TOO_LARGE. */
const TOO_LARGE_CODES: readonly unknown[] = [10, 18]

const resultSchema = z.object({ offset: z.int().nullish(), error_code: z.int().nullish() })
const resultsSchema = z.object({ offsets: z.array(resultSchema) })

/** Only the members `key` and `value`: Redpanda and Karapace refuse a request with any other. */
export function restV2({ base, headers }: Target): HttpDialect {
  return {
    post(topic, records) {
      const encoded = records.map(({ key, value }) => ({
        key: textToBase64(key),
        value: value.toBase64(),
      }))
      return {
        url: `${base}/topics/${encodeURIComponent(topic)}`,
        headers: {
          ...headers,
          'content-type': 'application/vnd.kafka.binary.v2+json',
          accept: 'application/vnd.kafka.v2+json',
        },
        body: JSON.stringify({ records: encoded }),
      }
    },
    outcomes(answer, count) {
      const results = resultsOf(answer)
      if (results?.length === count) return results.map(outcomeOf)
      return allOf(count, isRefused(answer) ? 'reject' : 'retry')
    },
  }
}

function resultsOf({ status, text }: Answer): z.infer<typeof resultSchema>[] | undefined {
  if (status !== 200 && status !== 422) return undefined
  return resultsSchema.safeParse(parseJson(text)).data?.offsets
}

function outcomeOf({ offset, error_code }: z.infer<typeof resultSchema>): Outcome {
  if (TOO_LARGE_CODES.includes(error_code)) return 'reject'
  // 0 is Kafka's "none".
  return (offset ?? -1) >= 0 && (error_code ?? 0) === 0 ? 'ok' : 'retry'
}
