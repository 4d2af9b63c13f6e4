/** The Upstash REST dialect, through its own client: our broker and our gateway speak it. */
import { Kafka } from '@upstash/kafka'
import * as z from 'zod'
import type { Outcome, Sink, SinkRecord } from './sink.ts'

/** What a log that wrote answers. A wrong URL may answer 200 as well, and wrote nothing. */
const writtenSchema = z.array(z.object({ offset: z.int().min(0) }))

/**
 * The client tries 6 times over 15.5 s, whatever the error, and has no deadline. We leave it its
 * first tries and stop waiting after the budget. A try that goes on behind our back may still
 * write: the burst's id makes that harmless.
 * @param url with user and password, `https://user:password@host`
 */
export function upstashSink(url: string): Sink {
  const { username, password, origin, pathname } = new URL(url)
  const kafka = new Kafka({
    url: origin + pathname.replace(/\/$/, ''),
    username: decodeURIComponent(username),
    password: decodeURIComponent(password),
  })
  const producer = kafka.producer()
  return {
    async produce(topic, records: readonly SinkRecord[], budgetMs) {
      const requests = records.map(({ key, value }) => ({ topic, key, value: value.toBase64() }))
      const answered = writtenSchema.length(records.length)
      const written = producer.produceMany(requests).then(
        (answer): Outcome => (answered.safeParse(answer).success ? 'ok' : 'retry'),
        (): Outcome => 'retry',
      )
      const outcome = await Promise.race([written, after(budgetMs)])
      return records.map(() => outcome)
    },
  }
}

function after(ms: number): Promise<Outcome> {
  return new Promise((resolve) => setTimeout(() => resolve('retry'), ms))
}
