/** A real Apache Kafka for tests, on Java: one node on 127.0.0.1, the same for all files of a run. */
import { describe } from 'bun:test'
import { createHash } from 'node:crypto'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  writeFileSync,
} from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from './sql-server.ts'

const ROOT = join(import.meta.dir, '..')
const POM = join(ROOT, 'test/kafka/pom.xml')
const CACHE = join(ROOT, 'node_modules/.cache/shelf-kafka')

/** A JVM on a loaded machine; and Maven, where it has to download 60 MB first. */
const START_MS_MAX = 60_000
const JAVA = ['java', '-Xmx384m', '-XX:TieredStopAtLevel=1', '-XX:+UseSerialGC']

export const USER = 'shelf'
export const PASSWORD = 'p@ss:word/1'

export interface KafkaServer {
  /** Plain, no password. */
  url: string
  /** Asks for USER and PASSWORD, over TLS: `…/?ca=FILE` is all but the mechanism. */
  saslUrl: string
  /** Asks for a client certificate: `cert=` and `key=` of `folder`. */
  tlsUrl: string
  /** A listener that is to be reached through a proxy of the test. */
  behind: { port: number; proxyPort: number }
  /** Holds ca.crt, client.crt and client.key. */
  folder: string
  /** Of the broker that runs now. */
  readonly pid: number
  /** kill -9. */
  kill(): Promise<void>
  /** Starts it again, on the same ports and data. */
  restart(): Promise<void>
  freeze(): void
  thaw(): void
}

/** Why the tests of Kafka can't run here; undefined where they can. */
export const missing = ['java', 'mvn', 'openssl'].find((program) => Bun.which(program) === null)

/** `describe`, or a skipped test whose name says why; SHELF_KAFKA_REQUIRED=1 fails instead. */
export function onKafka(name: string, suite: () => void): void {
  if (missing === undefined) describe(name, suite)
  else if (process.env.SHELF_KAFKA_REQUIRED === '1') {
    throw new Error(`the tests of Kafka need ${missing}: install Java 17, Maven and OpenSSL`)
  } else {
    console.error(`NOT TESTED: ${name}: ${missing} is not installed (Java 17, Maven, OpenSSL)`)
    describe.skip(`${name} (needs ${missing})`, suite)
  }
}

declare global {
  /** Test files are modules apart; this is what they share. */
  var shelfTestKafka: Promise<KafkaServer> | undefined
}

/** The Kafka of this run: started by the first who asks, ended with the process. */
export function kafka(): Promise<KafkaServer> {
  globalThis.shelfTestKafka ??= startKafka()
  return globalThis.shelfTestKafka
}

async function startKafka(): Promise<KafkaServer> {
  const classPath = await resolveClassPath()
  const folder = mkdtempSync(join(tmpdir(), 'shelf-kafka-'))
  const ports = {
    plain: await freePort(),
    sasl: await freePort(),
    tls: await freePort(),
    behind: await freePort(),
    proxy: await freePort(),
    controller: await freePort(),
  }
  await makeCertificates(folder)
  const properties = join(folder, 'server.properties')
  const values: Record<string, unknown> = { ...ports, folder, user: USER, password: PASSWORD }
  const template = readFileSync(join(ROOT, 'test/kafka/server.properties'), 'utf8')
  writeFileSync(
    properties,
    template.replace(/\{(\w+)\}/g, (_, name: string) => String(values[name])),
  )
  const scram = ['SCRAM-SHA-256', 'SCRAM-SHA-512'].flatMap((mechanism) => [
    '--add-scram',
    `${mechanism}=[name=${USER},password=${PASSWORD}]`,
  ])
  const format = ['kafka.tools.StorageTool', 'format', '-t', 'c2hlbGYtdGVzdC1rYWZrYQ']
  await run([...JAVA, '-cp', classPath, ...format, '-c', properties, ...scram])

  const start = keeper(folder, [...JAVA, '-cp', classPath, 'kafka.Kafka', properties])
  let pid = await start()
  await untilReady(ports.plain, folder)
  return {
    behind: { port: ports.behind, proxyPort: ports.proxy },
    url: `kafka://127.0.0.1:${ports.plain}`,
    saslUrl: `kafka+ssl://${USER}:${encodeURIComponent(PASSWORD)}@127.0.0.1:${ports.sasl}/?ca=${folder}/ca.crt`,
    tlsUrl: `kafka+ssl://127.0.0.1:${ports.tls}/?ca=${folder}/ca.crt`,
    folder,
    get pid() {
      return pid
    },
    async kill() {
      process.kill(pid, 'SIGKILL')
      await untilGone(pid)
    },
    async restart() {
      pid = await start()
      await untilReady(ports.plain, folder)
    },
    freeze: () => process.kill(pid, 'SIGSTOP'),
    thaw: () => process.kill(pid, 'SIGCONT'),
  }
}

/** What starts a broker for each line it reads, and prints its pid. */
const KEEPER = `
trap '' INT TERM HUP
while read -r; do "$@" > "$0/server.log" 2>&1 & pid=$!; echo $pid; done
kill -9 $pid; wait; rm -rf "$0"`

/**
 * Brokers under a shell that holds a pipe of ours: when this process ends, however it does, the
 * shell ends the broker and deletes its data.
 */
function keeper(folder: string, command: readonly string[]): () => Promise<number> {
  const shell = Bun.spawn(['bash', '-c', KEEPER, folder, ...command], {
    stdin: 'pipe',
    stdout: 'pipe',
    stderr: 'ignore',
  })
  shell.unref()
  const pids = shell.stdout.pipeThrough(new TextDecoderStream()).getReader()
  return async () => {
    shell.stdin.write('start\n')
    shell.stdin.flush()
    return Number((await pids.read()).value)
  }
}

async function untilReady(port: number, folder: string): Promise<void> {
  const log = join(folder, 'server.log')
  const deadlineMs = Date.now() + START_MS_MAX
  for (;;) {
    const text = existsSync(log) ? readFileSync(log, 'utf8') : ''
    if (/Kafka Server started/.test(text) && (await answers(port))) return
    if (Date.now() > deadlineMs) throw new Error(`Kafka did not start:\n${text.slice(-3000)}`)
    await Bun.sleep(50)
  }
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false))
    socket.once('connect', () => socket.destroy())
  })
}

export async function untilGone(pid: number): Promise<void> {
  try {
    for (;;) {
      process.kill(pid, 0)
      await Bun.sleep(10)
    }
  } catch {}
}

/** Class path of the broker, resolved by Maven once for each pom.xml. */
async function resolveClassPath(): Promise<string> {
  const version = createHash('sha256').update(readFileSync(POM)).digest('hex').slice(0, 16)
  const file = join(CACHE, version)
  const cached = existsSync(file) ? readFileSync(file, 'utf8').trim() : ''
  if (cached !== '' && cached.split(':').every((jar) => existsSync(jar))) return cached
  mkdirSync(CACHE, { recursive: true })
  const fresh = `${file}.${process.pid}`
  const goal = ['dependency:build-classpath', '-Dmdep.includeScope=runtime']
  await run(['mvn', '-q', '-B', '-f', POM, ...goal, `-Dmdep.outputFile=${fresh}`])
  renameSync(fresh, file)
  return readFileSync(file, 'utf8').trim()
}

/** An authority, what it signed for the server at 127.0.0.1, and for a client. */
async function makeCertificates(folder: string): Promise<void> {
  const script = `
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 \
  -subj /CN=test-authority -keyout ca.key -out ca.crt
for name in server client; do
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes \
    -subj /CN=$name -keyout $name.key -out $name.csr
  openssl x509 -req -in $name.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 \
    -extfile <(echo subjectAltName=IP:127.0.0.1) -out $name.crt
done
cat server.key server.crt > server.pem`
  await run(['bash', '-ec', script], folder)
}

async function run(command: string[], cwd: string = ROOT): Promise<void> {
  const child = Bun.spawn(command, { cwd, stdin: 'ignore', stdout: 'pipe', stderr: 'pipe' })
  const [out, err] = await Promise.all(
    [child.stdout, child.stderr].map((stream) => new Response(stream).text()),
  )
  if ((await child.exited) === 0) return
  throw new Error(`${command[0]} failed:\n${`${out}${err}`.slice(-3000)}`)
}
