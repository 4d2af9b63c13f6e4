/** The URL of a Kafka: who and where it is, and how to talk to it. */

import { readFileSync } from 'node:fs'
import type { ConnectionOptions as TlsOptions } from 'node:tls'
import { LogError } from './error.ts'

const PORT_DEFAULT = 9092

const COMPRESSIONS = ['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const
const MECHANISMS = {
  plain: 'PLAIN',
  'scram-sha-256': 'SCRAM-SHA-256',
  'scram-sha-512': 'SCRAM-SHA-512',
} as const

type Compression = (typeof COMPRESSIONS)[number]
type Mechanism = keyof typeof MECHANISMS

export interface KafkaTarget {
  brokers: { host: string; port: number }[]
  compression: Compression
  sasl?: { mechanism: (typeof MECHANISMS)[Mechanism]; username: string; password: string }
  tls?: TlsOptions
}

const QUERY = ['sasl', 'ca', 'cert', 'key', 'verify', 'compression']

const FORM =
  'kafka://[USER:PASSWORD@]HOST:PORT[,HOST:PORT…], or kafka+ssl:// for TLS; behind it /? and ' +
  'sasl=plain|scram-sha-256|scram-sha-512, ca=FILE, cert=FILE, key=FILE, verify=full|ca, ' +
  'compression=none|gzip|snappy|lz4|zstd'

/** Whether a URL names a native Kafka. */
export const isKafkaUrl = (url: string): boolean => /^kafka(\+ssl)?:\/\//i.test(url)

/**
 * Reads `kafka://[user:password@]host:port[,host:port…][/?…]`; `kafka+ssl://` speaks TLS. User and
 * password are percent-encoded; each host may have the scheme before it, as Heroku writes them.
 * A user logs in by SASL PLAIN, unless `sasl=` says otherwise. `verify=ca` accepts a certificate
 * of any host, for brokers whose certificates do not name them (Heroku's): with `ca=` only.
 * @throws LogError 'bad-request', which never tells the password
 */
export function parseKafkaUrl(url: string): KafkaTarget {
  const [, ssl, authority = '', search = ''] =
    /^kafka(\+ssl)?:\/\/([^/?#]*(?:,kafka(?:\+ssl)?:\/\/[^/?#,]*)*)\/?(?:\?([^#]*))?$/i.exec(url) ??
    refuse(FORM)
  const at = authority.lastIndexOf('@')
  const query = readQuery(search)
  const target: KafkaTarget = {
    brokers: readHosts(authority.slice(at + 1)),
    compression: oneOf('compression', COMPRESSIONS, query.get('compression') ?? 'lz4'),
  }
  if (at >= 0) target.sasl = readSasl(authority.slice(0, at), query.get('sasl') ?? 'plain')
  else if (query.has('sasl')) refuse('sasl= needs USER:PASSWORD@ before the hosts')
  if (ssl !== undefined) target.tls = readTls(query)
  else if (['ca', 'cert', 'key', 'verify'].some((name) => query.has(name))) {
    refuse('ca=, cert=, key= and verify= are for TLS: write kafka+ssl://')
  }
  return target
}

function refuse(words: string): never {
  throw new LogError('bad-request', `the URL of a Kafka is wrong: ${words}`)
}

function readQuery(search: string): Map<string, string> {
  const query = new Map(new URLSearchParams(search))
  for (const name of query.keys()) {
    if (!QUERY.includes(name)) refuse(`there is no ${name}=; known are ${QUERY.join(', ')}`)
  }
  return query
}

function readHosts(text: string): KafkaTarget['brokers'] {
  const brokers = text
    .split(',')
    .map((host) => host.replace(/^kafka(\+ssl)?:\/\//i, '').trim())
    .filter((host) => host !== '')
    .map((host) => {
      const [, v6, name, port] =
        /^(?:\[([\da-f:.]+)\]|([^:[\]]+))(?::(\d{1,5}))?$/i.exec(host) ?? []
      const number = Number(port ?? PORT_DEFAULT)
      const found = v6 ?? name
      if (found === undefined || number < 1 || number > 65_535) refuse(`${host} is no HOST:PORT`)
      return { host: found, port: number }
    })
  return brokers.length > 0 ? brokers : refuse('it names no host')
}

function readSasl(credentials: string, mechanism: string): NonNullable<KafkaTarget['sasl']> {
  const [user = '', ...rest] = credentials.split(':')
  const username = decode('user', user)
  const password = decode('password', rest.join(':'))
  if (username === '' || password === '') refuse('before the @ stand USER:PASSWORD')
  const names: readonly Mechanism[] = ['plain', 'scram-sha-256', 'scram-sha-512']
  return { mechanism: MECHANISMS[oneOf('sasl', names, mechanism)], username, password }
}

function decode(what: string, text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return refuse(`the ${what} is not percent-encoded: a % in it is written %25`)
  }
}

function readTls(query: Map<string, string>): TlsOptions {
  const tls: TlsOptions = {}
  for (const name of ['ca', 'cert', 'key'] as const) {
    const file = query.get(name)
    if (file !== undefined) tls[name] = readFile(name, file)
  }
  if ((tls.cert === undefined) !== (tls.key === undefined)) refuse('cert= and key= go together')
  if (oneOf('verify', ['full', 'ca'], query.get('verify') ?? 'full') === 'ca') {
    if (tls.ca === undefined) refuse('verify=ca needs ca=FILE')
    tls.checkServerIdentity = () => undefined
  }
  return tls
}

function readFile(name: string, file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    return refuse(
      `${name}=${file} can't be read: ${error instanceof Error ? error.message : error}`,
    )
  }
}

function oneOf<T extends string>(name: string, values: readonly T[], value: string): T {
  const found = values.find((each) => each === value.toLowerCase())
  return found ?? refuse(`${name}= is one of ${values.join(', ')}, not ${value}`)
}
