import { afterEach, expect, test } from 'bun:test'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { restLog } from '../broker/client.ts'
import { LogError } from '../broker/error.ts'
import type { Log, LogRecord } from '../broker/log.ts'

const main = join(import.meta.dir, '../broker/main.ts')
const folders: string[] = []
const running = new Set<Broker>()

afterEach(async () => {
  for (const broker of running) await broker.kill()
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true })
})

function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'shelf-broker-'))
  folders.push(folder)
  return folder
}

interface Broker {
  log: Log
  url: string
  pid: number
  stdin: { end(): unknown }
  exited: Promise<number>
  stop(signal?: NodeJS.Signals): Promise<number>
  kill(): Promise<number>
}

interface BrokerOptions {
  folder: string
  environment?: Record<string, string>
  /** Runs before the broker in its own shell, for limits. */
  shell?: string
}

function spawn({ folder, environment = {}, shell = ':' }: BrokerOptions) {
  return Bun.spawn(['bash', '-c', `${shell}; exec "$0" "$1"`, process.execPath, main], {
    env: {
      ...process.env,
      SHELF_DIR: folder,
      SHELF_BROKER_PORT: '0',
      SHELF_BROKER_PASSWORD: 'secret',
      ...environment,
    },
    stdin: 'pipe',
    stdout: 'ignore',
    stderr: 'pipe',
  })
}

/** A broker that is ready, as a process of its own. */
async function start(options: BrokerOptions): Promise<Broker> {
  const child = spawn(options)
  const reader = child.stderr.pipeThrough(new TextDecoderStream()).getReader()
  let text = ''
  while (!text.includes('\n')) {
    const { value, done } = await reader.read()
    if (done) throw new Error(`the broker ended: ${text}`)
    text += value
  }
  const port = /ready at http:\/\/127\.0\.0\.1:(\d+), log in /.exec(text)?.[1]
  if (port === undefined) throw new Error(`not ready: ${text}`)
  const end = async (signal: NodeJS.Signals) => {
    child.kill(signal)
    const code = await child.exited
    running.delete(broker)
    return code
  }
  const url = `http://shelf:secret@127.0.0.1:${port}`
  const broker: Broker = {
    log: restLog({ url }),
    url,
    pid: child.pid,
    stdin: child.stdin,
    exited: child.exited,
    stop: (signal = 'SIGTERM') => end(signal),
    kill: () => end('SIGKILL'),
  }
  running.add(broker)
  return broker
}

/** Waits for something that must come true, up to 20 s. */
async function until<T>(ask: () => Promise<T | undefined>): Promise<T> {
  const deadlineMs = performance.now() + 20_000
  for (;;) {
    const answer = await ask()
    if (answer !== undefined) return answer
    if (performance.now() > deadlineMs) throw new Error('it did not come true in 20 s')
  }
}

async function readAll(log: Log, topic: string, partition: number): Promise<LogRecord[]> {
  const all: LogRecord[] = []
  for (;;) {
    const records = await log.read(topic, partition, (all.at(-1)?.offset ?? -1) + 1)
    if (records.length === 0) return all
    all.push(...records)
  }
}

test('kill -9 at any time loses nothing that was answered, and reorders nothing', async () => {
  const folder = newFolder()
  const clients = 16
  const answered = new Map<string, { value: string; timestamp: number }>()
  const placeOf = (at: { partition: number; offset: number }) => `${at.partition}/${at.offset}`
  let sent = 0

  async function produce(log: Log, client: number): Promise<void> {
    for (;;) {
      const batch = Array.from({ length: 1 + (sent % 3) }, () => ({
        value: `${sent++} of ${client} ${'x'.repeat((sent * 37) % 3000)}`,
        key: `app-${client % 5}`,
      }))
      const appended = await log.append('raw', batch)
      appended.forEach((at, index) => {
        expect(answered.has(placeOf(at))).toBe(false)
        const { timestamp } = at
        answered.set(placeOf(at), { value: batch[index]?.value ?? '', timestamp })
      })
    }
  }

  for (let round = 0; round < 8; round++) {
    const broker = await start({ folder })
    const before = answered.size
    const producing = Promise.allSettled(
      Array.from({ length: clients }, (_, client) => produce(broker.log, client)),
    )
    const target = before + 20 + Math.random() * 600
    await until(async () => (answered.size > target ? true : Bun.sleep(1).then(() => undefined)))
    await broker.kill()
    for (const result of await producing) {
      expect(result.status === 'rejected' && result.reason).toBeInstanceOf(LogError)
    }
  }

  const { log } = await start({ folder })
  let found = 0
  for (const partition of [0, 1, 2, 3]) {
    const records = await readAll(log, 'raw', partition)
    records.forEach((record, index) => {
      expect(record.offset).toBe(index)
      expect(record.timestamp).toBeGreaterThanOrEqual(records[index - 1]?.timestamp ?? 0)
      const promised = answered.get(placeOf(record))
      if (promised === undefined) return
      found++
      expect({ value: record.value, timestamp: record.timestamp }).toEqual(promised)
    })
    expect(await log.offsetAt('raw', partition, 'latest')).toBe(records.length)
  }
  expect(found).toBe(answered.size)
  expect(answered.size).toBeGreaterThan(160)
}, 60_000)

test.skipIf(Bun.which('prlimit') === null)(
  'a full disk refuses appends with 507, keeps serving reads, and recovers when there is space',
  async () => {
    const folder = newFolder()
    // The OS refuses every write beyond 3 MB in a file, as a full disk would.
    const shell = "trap '' XFSZ; ulimit -S -f 3000"
    const broker = await start({ folder, shell })
    const value = 'x'.repeat(50_000)
    const append = () => broker.log.append('raw', [{ value, partition: 0 }])
    let answered = 0
    const refusal = await until(() =>
      append().then(
        () => void answered++,
        (error: unknown) => error,
      ),
    )
    expect(refusal).toMatchObject({ code: 'disk', status: 507, retryable: true })
    expect(String(refusal)).toContain(`the disk under ${folder} is full or failing`)
    expect(answered).toBeGreaterThan(10)

    for (let n = 0; n < 5; n++) {
      await append().then(
        () => answered++,
        (error: unknown) => expect(error).toMatchObject({ code: 'disk' }),
      )
    }
    expect((await readAll(broker.log, 'raw', 0)).length).toBe(answered)
    expect(await broker.log.topics()).toMatchObject({ raw: 4 })

    expect(
      Bun.spawnSync(['prlimit', '--pid', String(broker.pid), '--fsize=unlimited']).exitCode,
    ).toBe(0)
    const [next] = await append()
    expect(next?.offset).toBe(answered)
    await broker.kill()

    const again = await start({ folder })
    const records = await readAll(again.log, 'raw', 0)
    expect(records.map(({ offset }) => offset)).toEqual(records.map((_, index) => index))
    expect(records.length).toBe(answered + 1)
    expect(records.every((record) => record.value === value)).toBe(true)
  },
  60_000,
)

test('a full disk at the start is one clear line, or a log that can be read', async () => {
  const folder = newFolder()
  const child = spawn({ folder, shell: "trap '' XFSZ; ulimit -f 4" })
  expect(await child.exited).toBe(1)
  const said = await new Response(child.stderr).text()
  expect(said).toContain(`the disk under ${folder} is full or failing`)
  expect(said.trim().split('\n').length).toBe(1)

  const before = await start({ folder })
  await before.log.append('raw', [{ value: 'kept', partition: 0 }])
  await before.stop()
  const full = await start({ folder, shell: "trap '' XFSZ; ulimit -f 4" })
  expect(await full.log.read('raw', 0, 0)).toMatchObject([{ value: 'kept' }])
}, 30_000)

test.each(['SIGTERM', 'SIGINT'] as const)(
  '%s answers what was taken and exits 0',
  async (signal) => {
    const folder = newFolder()
    const broker = await start({ folder })
    const waiting = broker.log.read('raw', 3, 0, { waitMs: 20_000 })
    const appends = Array.from({ length: 50 }, (_, n) =>
      broker.log.append('raw', [{ value: String(n), partition: 0 }]).catch(() => []),
    )
    await Promise.race(appends)
    const startMs = performance.now()
    expect(await broker.stop(signal)).toBe(0)
    expect(performance.now() - startMs).toBeLessThan(5_000)
    expect(await waiting).toEqual([])
    const answered = (await Promise.all(appends)).flat()
    const again = await start({ folder })
    const records = await readAll(again.log, 'raw', 0)
    expect(answered.length).toBeGreaterThan(0)
    expect(records.length).toBeGreaterThanOrEqual(answered.length)
  },
  30_000,
)

test('a port in use is one clear line and exit 1', async () => {
  const broker = await start({ folder: newFolder() })
  const port = new URL(broker.url).port
  const child = spawn({ folder: newFolder(), environment: { SHELF_BROKER_PORT: port } })
  expect(await child.exited).toBe(1)
  expect(await new Response(child.stderr).text()).toBe(
    `broker: port ${port} on 127.0.0.1 is in use: stop what listens there, ` +
      'or set SHELF_BROKER_PORT to a free one\n',
  )
})

test('a second broker on the same folder is one clear line and exit 1', async () => {
  const folder = newFolder()
  await start({ folder })
  const child = spawn({ folder })
  expect(await child.exited).toBe(1)
  expect(await new Response(child.stderr).text()).toBe(
    `broker: the log in ${folder} is open in another process\n`,
  )
}, 15_000)

test('a setting that is missing or wrong is one clear line and exit 2', async () => {
  for (const [name, value] of [
    ['SHELF_DIR', ''],
    ['SHELF_BROKER_PASSWORD', ''],
    ['SHELF_BROKER_PORT', 'http'],
    ['SHELF_PARTITIONS', '0'],
  ] as const) {
    const child = spawn({ folder: newFolder(), environment: { [name]: value } })
    expect(await child.exited).toBe(2)
    const said = await new Response(child.stderr).text()
    expect(said).toContain(name)
    expect(said.trim().split('\n').length).toBe(1)
  }
}, 15_000)

test('with SHELF_EXIT_WITH_PARENT=1 it ends when its stdin closes, and only then', async () => {
  const alone = await start({ folder: newFolder() })
  alone.stdin.end()
  const child = await start({
    folder: newFolder(),
    environment: { SHELF_EXIT_WITH_PARENT: '1', SHELF_PARTITIONS: '7' },
  })
  expect(await child.log.topics()).toEqual({
    raw: 7,
    aggregates: 7,
    'dead-letter': 7,
    'check-results': 7,
    rules: 7,
    deliveries: 7,
  })
  child.stdin.end()
  expect(await child.exited).toBe(0)
  expect(await alone.log.topics()).toMatchObject({ raw: 4 })
}, 15_000)
