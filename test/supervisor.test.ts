import { afterEach, beforeEach, expect, setDefaultTimeout, test } from 'bun:test'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { backoffMs, type Command, command, Supervisor } from '../batch/supervisor.ts'
import { checkPorts } from '../batch/up.ts'

const deadlineMs = 10_000
setDefaultTimeout(30_000)

let dir: string
let said: string[]
let supervisor: Supervisor

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'shelf-supervisor-'))
  said = []
  supervisor = new Supervisor((line) => said.push(line))
})
afterEach(async () => {
  await supervisor.stop()
  rmSync(dir, { recursive: true, force: true })
})

/** A real child: it notes its pid in `<name>.pid`, then runs `script`. */
function child(name: string, script: string, ready?: Command['ready']) {
  const path = join(dir, `${name}.ts`)
  const pidFile = JSON.stringify(join(dir, `${name}.pid`))
  writeFileSync(path, `require('fs').writeFileSync(${pidFile}, String(process.pid))\n${script}\n`)
  const argv = [process.execPath, path]
  return command({ name, argv, env: process.env, ...(ready && { ready }) })
}

const pidOf = (name: string) => Number(readFileSync(join(dir, `${name}.pid`), 'utf8'))

/** A zombie that nobody has reaped yet counts as gone. */
function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
  } catch (error) {
    return process.platform !== 'linux' && !(error instanceof Error && 'code' in error)
  }
}

async function until(what: () => unknown): Promise<void> {
  const untilMs = Date.now() + deadlineMs
  while (!what()) {
    if (Date.now() > untilMs) throw new Error(`waited in vain; said:\n${said.join('\n')}`)
    await Bun.sleep(5)
  }
}

const idle = 'setInterval(() => {}, 1000)'
const sayReady = `console.error('ready'); ${idle}`
const onReadyLine = { line: 'ready' }

test('a program is ready when its URL answers 2xx, and not before', async () => {
  const port = await freePort()
  const script = `
    let calls = 0
    const fetch = () => new Response('', { status: ++calls > 3 ? 200 : 503 })
    Bun.serve({ port: ${port}, hostname: '127.0.0.1', fetch })
    process.on('SIGTERM', () => { console.error('calls ' + calls); process.exit(0) })`
  await supervisor.start(child('web', script, { url: `http://127.0.0.1:${port}/healthz` }))
  await supervisor.stop()
  expect(said).toContain('web | calls 4')
})

test('a program is ready when it says so', async () => {
  await supervisor.start(child('worker', sayReady, onReadyLine))
  expect(said[0]).toBe('worker | ready')
})

test('a program that was killed is started again, and a line says so', async () => {
  await supervisor.start(child('worker', sayReady, onReadyLine))
  const pid = pidOf('worker')
  process.kill(pid, 'SIGKILL')
  await until(() => said.includes('worker: running again'))
  expect(said).toContain('worker: SIGKILL, starting again in 250 ms')
  expect(pidOf('worker')).not.toBe(pid)
  expect(isAlive(pidOf('worker'))).toBe(true)
})

test('a program that dies again and again is waited for longer each time', async () => {
  await supervisor.start(child('worker', "console.error('ready'); process.exit(3)", onReadyLine))
  await until(() => said.includes('worker: exit code 3, starting again in 1000 ms'))
  const waits = said.filter((line) => line.includes('starting again'))
  expect(waits.map((line) => / (\d+) ms/.exec(line)?.[1])).toEqual(['250', '500', '1000'])
})

test('the wait doubles to 10 s, and a minute of life makes it short again', () => {
  const waits = [0]
  for (let i = 0; i < 8; i++) waits.push(backoffMs(waits.at(-1) ?? 0, 100))
  expect(waits).toEqual([0, 250, 500, 1000, 2000, 4000, 8000, 10_000, 10_000])
  expect(backoffMs(10_000, 59_999)).toBe(10_000)
  expect(backoffMs(10_000, 60_000)).toBe(250)
})

test('a program that fails at its first start fails the start with its last words', async () => {
  const script = "console.error('first'); console.error('port 1 is in use'); process.exit(1)"
  const start = supervisor.start(child('edge', script, onReadyLine))
  await expect(start).rejects.toThrow('edge: port 1 is in use')
  expect(said).toEqual(['edge | first', 'edge | port 1 is in use'])
})

test('a program that asks to try again at its first start is tried again', async () => {
  const marker = JSON.stringify(join(dir, 'tried'))
  const script = `
    const fs = require('fs')
    if (!fs.existsSync(${marker})) { fs.writeFileSync(${marker}, ''); process.exit(75) }
    ${sayReady}`
  await supervisor.start(child('worker', script, onReadyLine))
  expect(said).toContain('worker: exit code 75, starting again in 250 ms')
})

test('a program that does not exist fails the start', async () => {
  const missing = command({ name: 'none', argv: [join(dir, 'missing')], env: {} })
  await expect(supervisor.start(missing)).rejects.toThrow(/^none: /)
})

test('programs are ended in reverse order, each with time for its last words', async () => {
  const script = (name: string) => `
    process.on('SIGTERM', () => { console.error('bye from ${name}'); process.exit(0) })
    ${sayReady}`
  for (const name of ['a', 'b', 'c']) {
    await supervisor.start(child(name, script(name), onReadyLine))
  }
  await supervisor.stop()
  expect(said.filter((line) => line.includes('bye'))).toEqual([
    'c | bye from c',
    'b | bye from b',
    'a | bye from a',
  ])
  expect(said.some((line) => line.includes('starting again'))).toBe(false)
})

test('what a program started ends with it, when it is stopped and when it dies', async () => {
  const grandchild = `
    const { pid } = Bun.spawn([process.execPath, '-e', ${JSON.stringify(idle)}])
    console.error('grandchild ' + pid)
    ${sayReady}`
  const grandchildren = () =>
    said.map((line) => Number(/grandchild (\d+)/.exec(line)?.[1])).filter((pid) => pid > 0)
  await supervisor.start(child('edge', grandchild, onReadyLine))
  process.kill(pidOf('edge'), 'SIGKILL')
  await until(() => said.includes('edge: running again'))
  await until(() => !isAlive(grandchildren()[0] ?? 0))
  await supervisor.stop()
  expect(grandchildren()).toHaveLength(2)
  await until(() => !isAlive(grandchildren()[1] ?? 0))
})

test('a program that ignores SIGTERM is killed after 8 s', async () => {
  await supervisor.start(child('deaf', `process.on('SIGTERM', () => {}); ${sayReady}`, onReadyLine))
  const startedMs = performance.now()
  await supervisor.stop()
  expect(performance.now() - startedMs).toBeGreaterThan(7900)
  expect(isAlive(pidOf('deaf'))).toBe(false)
})

test('kill ends all at once, also while a stop waits for them', async () => {
  const deaf = `process.on('SIGTERM', () => {}); ${sayReady}`
  await supervisor.start(child('a', deaf, onReadyLine))
  await supervisor.start(child('b', deaf, onReadyLine))
  const startedMs = performance.now()
  const stopped = supervisor.stop()
  supervisor.kill()
  await stopped
  expect(performance.now() - startedMs).toBeLessThan(5000)
  expect([isAlive(pidOf('a')), isAlive(pidOf('b'))]).toEqual([false, false])
})

test('a stop in the middle of a start or of a wait leaves nothing running', async () => {
  const never = supervisor.start(child('never', idle, onReadyLine))
  await supervisor.start(child('worker', sayReady, onReadyLine))
  await until(() => existsSync(join(dir, 'never.pid')))
  process.kill(pidOf('worker'), 'SIGKILL')
  await until(() => said.some((line) => line.includes('starting again')))
  const outcome = never.catch((error) => error)
  await supervisor.stop()
  expect(await outcome).toBeInstanceOf(Error)
  expect([isAlive(pidOf('never')), isAlive(pidOf('worker'))]).toEqual([false, false])
})

test('a line without an end is cut, and the next line is whole', async () => {
  const script = `process.stderr.write('x'.repeat(100_000) + '\\nnext\\n'); ${sayReady}`
  await supervisor.start(child('loud', script, onReadyLine))
  expect(said[0]).toBe(`loud | ${'x'.repeat(8192)}`)
  expect(said[1]).toBe('loud | next')
})

test('programs see the end of their stdin when the supervisor is killed', async () => {
  const script = `
    if (process.env.SHELF_EXIT_WITH_PARENT === '1') {
      process.stdin.on('end', () => process.exit(0)).resume()
    }
    console.error('ready')`
  child('a', script)
  child('b', script)
  const path = join(dir, 'main.ts')
  const modulePath = join(import.meta.dir, '..', 'batch', 'supervisor.ts')
  writeFileSync(
    path,
    `const { command, Supervisor } = await import(${JSON.stringify(modulePath)})
    const supervisor = new Supervisor(() => {})
    for (const name of ['a', 'b']) {
      const argv = [process.execPath, ${JSON.stringify(dir)} + '/' + name + '.ts']
      await supervisor.start(command({ name, argv, env: process.env, ready: { line: 'ready' } }))
    }
    console.log('all ready')`,
  )
  const main = Bun.spawn([process.execPath, path], { stdout: 'pipe' })
  await main.stdout.getReader().read()
  const pids = [pidOf('a'), pidOf('b')]
  expect(pids.every(isAlive)).toBe(true)
  main.kill('SIGKILL')
  await main.exited
  await until(() => !pids.some(isAlive))
})

test('a port in use is said before anything starts: which, for whom, and what to do', async () => {
  const taken = Bun.serve({ port: 0, hostname: '127.0.0.1', fetch: () => new Response() })
  const port = Number(taken.url.port)
  const needed = new Map([
    [port, 'edge'],
    [await freePort(), 'broker'],
  ])
  await expect(checkPorts(needed, 0)).rejects.toThrow(
    `port ${port} (edge) in use: stop what listens there, ` +
      'or choose others: SHELF_PORT_OFFSET=1000 moves all ports',
  )
  const waited = checkPorts(needed, 5000)
  await taken.stop(true)
  await waited
})

async function freePort(): Promise<number> {
  const server = Bun.serve({ port: 0, hostname: '127.0.0.1', fetch: () => new Response() })
  const port = Number(server.url.port)
  await server.stop(true)
  return port
}
