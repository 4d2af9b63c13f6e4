/** Passwords and certificates of a native Kafka, and the URLs that name them. */
import { beforeAll, describe, expect, test } from 'bun:test'
import { LogError } from '../broker/error.ts'
import { openKafka } from '../broker/kafka.ts'
import { parseKafkaUrl } from '../broker/kafka-url.ts'
import { type KafkaServer, kafka, onKafka, PASSWORD } from './kafka-server.ts'

async function works(url: string): Promise<void> {
  const log = openKafka(url)
  await log.createTopics({ secure: 1 })
  const [appended] = await log.append('secure', [{ value: url }])
  const [record] = await log.read('secure', 0, appended?.offset ?? 0)
  expect(new TextDecoder().decode(record?.value)).toBe(url)
  await log.close()
}

async function refusal(url: string): Promise<LogError> {
  const log = openKafka(url, { answerMs: 2_000 })
  const error = await log.topics().then(
    () => undefined,
    (reason) => reason,
  )
  await log.close()
  if (error instanceof LogError) return error
  throw new Error(`no LogError: ${error}`)
}

onKafka('a native Kafka that asks who is there', () => {
  let server: KafkaServer
  beforeAll(async () => {
    server = await kafka()
  }, 120_000)

  test('PLAIN over TLS', () => works(server.saslUrl))
  for (const mechanism of ['scram-sha-256', 'scram-sha-512']) {
    test(`${mechanism} over TLS`, () => works(`${server.saslUrl}&sasl=${mechanism}`))
  }

  test('a client certificate', () =>
    works(`${server.tlsUrl}&cert=${server.folder}/client.crt&key=${server.folder}/client.key`))

  for (const mechanism of ['plain', 'scram-sha-512']) {
    test(`a wrong password is said, and is not told (${mechanism})`, async () => {
      const wrong = server.saslUrl.replace(encodeURIComponent(PASSWORD), 'wr0ng-one')
      const error = await refusal(`${wrong}&sasl=${mechanism}`)
      expect(error).toMatchObject({ code: 'unauthorized', retryable: false })
      expect(error.message).toMatch(/authentication failed/i)
      expect(error.message).not.toContain('wr0ng-one')
    })
  }

  test('without its certificate a client is refused', async () => {
    expect((await refusal(server.tlsUrl)).code).toMatch(/^(unreachable|timeout)$/)
  })

  test('a server whose certificate nobody vouches for is refused', async () => {
    const error = await refusal(server.saslUrl.replace(/\?.*/, ''))
    expect(error.code).toBe('unreachable')
    expect(error.message).toMatch(/certificate/i)
  })

  test('a server of another name is refused, unless verify=ca', async () => {
    const elsewhere = server.saslUrl.replace('@127.0.0.1', '@localhost')
    expect((await refusal(elsewhere)).code).toBe('unreachable')
    await works(`${elsewhere}&verify=ca`)
  })
})

describe('the URL of a Kafka', () => {
  const parse = (url: string) => parseKafkaUrl(url)

  test('one host or several, with a port or without, as Heroku writes them too', () => {
    const a = { host: 'a', port: 9092 }
    const b = { host: 'b.example.com', port: 1234 }
    expect(parse('kafka://a')).toMatchObject({ brokers: [a], compression: 'lz4' })
    expect(parse('kafka://a:9092,b.example.com:1234/')).toMatchObject({ brokers: [a, b] })
    expect(parse('kafka+ssl://a:9092,kafka+ssl://b.example.com:1234')).toMatchObject({
      brokers: [a, b],
      tls: {},
    })
    expect(parse('kafka+ssl://[::1]:9').brokers).toEqual([{ host: '::1', port: 9 }])
  })

  test('user and password are percent-encoded; the mechanism is PLAIN unless it is said', () => {
    const sasl = { username: 'us@r', password: 'p:w/d%' }
    expect(parse('kafka://us%40r:p%3Aw%2Fd%25@a').sasl).toEqual({ mechanism: 'PLAIN', ...sasl })
    expect(parse('kafka://u:p:q@a/?sasl=scram-sha-512&compression=zstd')).toMatchObject({
      sasl: { mechanism: 'SCRAM-SHA-512', username: 'u', password: 'p:q' },
      compression: 'zstd',
    })
  })

  test('what is wrong is said, without the password', () => {
    const wrong = [
      'http://a',
      'kafka://',
      'kafka://u:secret@',
      'kafka://u:secret@a:0',
      'kafka://u:secret@a:99999',
      'kafka://u:secret@a:b',
      'kafka://u:secret@a/topic',
      'kafka://u@a',
      'kafka://u:secret%@a',
      'kafka://u:secret@a?sasl=gssapi',
      'kafka://a?sasl=plain',
      'kafka://u:secret@a?compression=rar',
      'kafka://u:secret@a?nonsense=1',
      'kafka://u:secret@a?ca=/x',
      'kafka+ssl://u:secret@a?ca=/no/such/file',
      'kafka+ssl://u:secret@a?verify=ca',
      'kafka+ssl://u:secret@a?verify=none',
    ]
    for (const url of wrong) {
      const error = catchOf(() => parse(url))
      expect(error).toMatchObject({ name: 'LogError', code: 'bad-request' })
      expect(String(error)).not.toContain('secret')
    }
  })
})

function catchOf(work: () => unknown): unknown {
  try {
    return work()
  } catch (error) {
    return error
  }
}
