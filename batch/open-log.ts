/** The log that a URL names. */
import { restLog } from '../broker/client.ts'
import { isKafkaUrl, parseKafkaUrl } from '../broker/kafka-url.ts'
import type { Log } from '../broker/log.ts'

/**
 * `http(s)://user:password@host`: the broker or the gateway, over their REST dialect;
 * `kafka://` and `kafka+ssl://`: a native Kafka.
 * @throws LogError 'bad-request' for another URL
 */
export function openLog(url: string): Log {
  return isKafkaUrl(url) ? kafkaLog(url) : restLog({ url })
}

/** The client of a native Kafka takes a good part of a second to load: only who needs it waits. */
function kafkaLog(url: string): Log {
  parseKafkaUrl(url)
  const opened = import('../broker/kafka.ts').then(({ openKafka }) => openKafka(url))
  opened.catch(() => {})
  return {
    topics: async () => (await opened).topics(),
    read: async (...args) => (await opened).read(...args),
    offsetAt: async (...args) => (await opened).offsetAt(...args),
    append: async (...args) => (await opened).append(...args),
    createTopics: async (...args) => (await opened).createTopics(...args),
  }
}
