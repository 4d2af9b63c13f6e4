/** `shelf gateway`: a native Kafka behind the REST dialect that the edge speaks. */
import { z } from 'zod'
import type { BrokerLog } from '../broker/dialect.ts'
import { LogError } from '../broker/error.ts'
import { type KafkaLog, openKafka } from '../broker/kafka.ts'
import { isKafkaUrl } from '../broker/kafka-url.ts'
import { HOSTNAME, PORT_DEFAULT, serve } from '../broker/serve.ts'
import { type Program, say, UsageError } from './program.ts'
import { RAW } from './topics.ts'

/** Of an append: the edge has 4 s for a drain request, and a second is for the way. */
const APPEND_MS_MAX = 3_000
/** Of one answer of a broker: so that a second one can be asked in time. */
const ANSWER_MS_MAX = 1_400

const environmentShape = z.object({
  SHELF_LOG: z.string('not set: it is kafka://USER:PASSWORD@HOST:PORT').refine(isKafkaUrl, {
    error: 'is no kafka:// or kafka+ssl:// URL',
  }),
  SHELF_BROKER_PASSWORD: z.string('not set').min(1, 'not set'),
  /** 0 takes a free port, which the ready line names. */
  SHELF_BROKER_PORT: z
    .string()
    .regex(/^\d{1,5}$/, 'is no port')
    .transform(Number)
    .pipe(z.int().max(65_535, 'is no port'))
    .default(PORT_DEFAULT),
})

export const gateway: Program = {
  usage: 'gateway',
  summary: 'Serves a native Kafka over HTTP, as the edge speaks it, until it is stopped.',
  details: `
SHELF_LOG is the Kafka: kafka://USER:PASSWORD@HOST:PORT,…; kafka+ssl:// for TLS.
SHELF_BROKER_PASSWORD is what clients say, as user shelf; SHELF_BROKER_PORT where (${PORT_DEFAULT}).
Any number of gateways can serve one Kafka. The way to them is not encrypted: see to it.`,
  options: {
    host: { type: 'string', value: 'ADDRESS', help: `where to listen (default: ${HOSTNAME})` },
  },
  async run({ text }, signal) {
    const environment = environmentShape.safeParse(process.env)
    if (!environment.success) {
      const [issue] = environment.error.issues
      throw new UsageError(`${issue?.path.join('.')} ${issue?.message}`)
    }
    const { SHELF_LOG: url, SHELF_BROKER_PASSWORD: password } = environment.data
    const log = openKafka(url, { appendMs: APPEND_MS_MAX, answerMs: ANSWER_MS_MAX })
    const serving = serve(told(log), {
      hostname: text.host ?? HOSTNAME,
      port: environment.data.SHELF_BROKER_PORT,
      password,
    })
    say(`gateway: ready at ${serving.url}, log at ${hostsOf(url)}`)
    await look(log)
    await stopped(signal)
    await serving.stop()
  },
}

/** A word on what is missing; it may come later. */
async function look(log: KafkaLog): Promise<void> {
  try {
    const topics = await log.topics()
    if (topics[RAW] === undefined) say(`gateway: topic ${RAW} is missing: shelf migrate makes it`)
  } catch (error) {
    say(`gateway: ${error instanceof Error ? error.message : error}`)
  }
}

/** The hosts of a Kafka's URL: without the password. */
const hostsOf = (url: string): string => url.replace(/^(.*:\/\/)?.*@/, '$1').replace(/\/?\?.*$/, '')

function stopped(signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  signal.addEventListener('abort', () => resolve())
  if (signal.aborted) resolve()
  return promise
}

/**
 * The log, with a line when appends begin to fail and one when they go on. Where Kafka refuses us,
 * that is no fault of the client's credentials.
 */
function told(log: KafkaLog): BrokerLog & { close(): Promise<void> } {
  let failing = false
  const produce: BrokerLog['produce'] = async (records) => {
    try {
      const appended = await log.produce(records)
      if (failing) say('gateway: appends go on')
      failing = false
      return appended
    } catch (error) {
      if (!(error instanceof LogError)) throw error
      const ours = error.retryable || error.code === 'unauthorized'
      if (ours && !failing) say(`gateway: appends fail: ${error.message}`)
      failing ||= ours
      throw error.code === 'unauthorized' ? new LogError('failed', error.message) : error
    }
  }
  return {
    produce,
    append: (topic, records) => log.append(topic, records),
    read: (topic, partition, offset, options) => log.read(topic, partition, offset, options),
    fetch: (places, options) => log.fetch(places, options),
    topics: () => log.topics(),
    offsetAt: (topic, partition, at) => log.offsetAt(topic, partition, at),
    createTopics: (wanted) => log.createTopics(wanted),
    close: () => log.close(),
  }
}
