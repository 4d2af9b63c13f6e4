import { afterEach, beforeEach, expect, test } from 'bun:test'
import {
  chmodSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  clearRunning,
  locate,
  locateDatabase,
  locateEdge,
  ports,
  readRunning,
  urls,
  writeRunning,
} from '../batch/locate.ts'
import { lockState, openState, revokedPath, writeRevoked } from '../batch/state.ts'

const modulePath = join(import.meta.dir, '..', 'batch', 'state.ts')
let dir: string

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'shelf-state-'))
})
afterEach(() => rmSync(dir, { recursive: true, force: true }))

test('secrets are made once and stay the same', () => {
  const made = openState(dir)
  expect(made.drainKeys[0]?.id).toBe('k1')
  expect(Buffer.from(made.drainKeys[0]?.key ?? '', 'base64url')).toHaveLength(32)
  expect(new Set([made.postgresPassword, made.brokerPassword]).size).toBe(2)
  expect(openState(dir)).toEqual(made)
})

test('secrets are readable by their owner only', () => {
  openState(dir)
  expect(statSync(join(dir, 'config.json')).mode & 0o777).toBe(0o600)
})

test('a folder is made where there is none, closed to listing by others', () => {
  const deep = join(dir, 'a', 'b')
  openState(deep)
  expect(statSync(deep).mode & 0o066).toBe(0)
})

test('programs that make the state at the same time all get the same secrets', async () => {
  const script = `
    const { openState } = await import(${JSON.stringify(modulePath)})
    console.log(openState(${JSON.stringify(dir)}).brokerPassword)`
  const children = Array.from({ length: 4 }, () => Bun.spawn([process.execPath, '-e', script]))
  const passwords = await Promise.all(children.map(({ stdout }) => new Response(stdout).text()))
  expect(passwords[0]?.trim()).toBe(openState(dir).brokerPassword)
  expect(new Set(passwords).size).toBe(1)
  expect(readdirSync(dir)).toEqual(['config.json'])
})

test('what a later release added to config.json is kept', () => {
  const path = join(dir, 'config.json')
  openState(dir)
  const config = { ...JSON.parse(readFileSync(path, 'utf8')), later: { a: 1 } }
  writeFileSync(path, JSON.stringify(config))
  expect(openState(dir)).toMatchObject({ later: { a: 1 } })
})

test('a state folder of a newer Shelf is refused with what to do', () => {
  writeFileSync(join(dir, 'config.json'), '{"version": 7, "shape": "unknown"}')
  expect(() => openState(dir)).toThrow(
    `${dir} was made by a newer Shelf (version 7): update, or set SHELF_DIR to another folder`,
  )
})

test.each([
  ['cut off', '{"version": 1, "postgresPassw'],
  ['empty', ''],
  ['not an object', '[]'],
  ['without keys', '{"version": 1, "postgresPassword": "x", "brokerPassword": "y"}'],
])('a config.json that is %s is refused and left as it is', (_, text) => {
  const path = join(dir, 'config.json')
  writeFileSync(path, text)
  expect(() => openState(dir)).toThrow(/config\.json can't be read .*set SHELF_DIR/)
  expect(readFileSync(path, 'utf8')).toBe(text)
})

test.skipIf(process.getuid?.() === 0)('a folder that is not writable is a clear error', () => {
  chmodSync(dir, 0o500)
  expect(() => openState(dir)).toThrow(/can't be written .*SHELF_DIR/)
  chmodSync(dir, 0o700)
})

test('a state path that is a file is a clear error', () => {
  const path = join(dir, 'file')
  writeFileSync(path, '')
  expect(() => lockState(path)).toThrow(/can't be written .*SHELF_DIR/)
})

test('one stack at a time has the folder, and the next may have it after', () => {
  const lock = lockState(dir)
  expect(() => lockState(dir)).toThrow(`a stack is running on ${dir}`)
  lock.release()
  lockState(dir).release()
})

test('a stack that was killed leaves no lock behind', async () => {
  const script = `
    const { lockState } = await import(${JSON.stringify(modulePath)})
    globalThis.lock = lockState(${JSON.stringify(dir)})
    console.log('locked')
    setInterval(() => {}, 1000)`
  const child = Bun.spawn([process.execPath, '-e', script], { stdout: 'pipe' })
  await child.stdout.getReader().read()
  expect(() => lockState(dir)).toThrow(`a stack is running on ${dir}`)
  child.kill('SIGKILL')
  await child.exited
  lockState(dir).release()
})

test('an offset moves all ports', () => {
  expect(ports(undefined)).toEqual({ edge: 8787, broker: 8788, dashboard: 8790, postgres: 54320 })
  expect(ports('')).toEqual(ports('0'))
  expect(ports('1000')).toEqual({ edge: 9787, broker: 9788, dashboard: 9790, postgres: 55320 })
  expect(ports('-8786').edge).toBe(1)
  expect(ports('11215').postgres).toBe(65535)
})

test.each(['one', '1.5', 'NaN', 'Infinity', '-8787', '11216', '1000 2'])(
  'a port offset of %p is refused with its range',
  (offset) => {
    expect(() => ports(offset)).toThrow(/whole number from -8786 to 11215/)
  },
)

test('other commands find a stack by its folder, whatever its ports are', () => {
  const state = openState(dir)
  const moved = ports('77')
  writeRunning(dir, moved, urls(state, moved))
  expect(readRunning(dir)?.ports).toEqual(moved)
  expect(locate({ SHELF_DIR: dir })).toEqual({
    databaseUrl: `postgres://shelf:${state.postgresPassword}@127.0.0.1:54397/shelf`,
    logUrl: `http://shelf:${state.brokerPassword}@127.0.0.1:8865`,
  })
  expect(locateEdge({ SHELF_DIR: dir })).toBe('http://127.0.0.1:8864')
  expect(statSync(join(dir, 'running.json')).mode & 0o777).toBe(0o600)
})

test('DATABASE_URL and SHELF_LOG win over the folder, each alone', () => {
  const state = openState(dir)
  const at = ports(undefined)
  writeRunning(dir, at, urls(state, at))
  const env = { SHELF_DIR: dir, DATABASE_URL: 'postgres://elsewhere/x' }
  expect(locate(env).databaseUrl).toBe('postgres://elsewhere/x')
  expect(locate(env).logUrl).toBe(urls(state, at).broker)
  expect(locate({ SHELF_DIR: dir, SHELF_LOG: 'http://log' }).logUrl).toBe('http://log')
})

test('without a stack the error says how to get one', () => {
  expect(() => locate({ SHELF_DIR: dir })).toThrow(
    /no stack found .*npm start, or set DATABASE_URL/,
  )
  expect(() => locate({ SHELF_DIR: dir, DATABASE_URL: '', SHELF_LOG: 'x' })).toThrow(
    /no stack found/,
  )
  expect(locateDatabase({ SHELF_DIR: dir, DATABASE_URL: 'postgres://x' })).toBe('postgres://x')
})

test('a new list of revoked drains takes the place of the old', () => {
  writeRevoked(dir, ['a', 'b'])
  writeRevoked(dir, ['b', 'c'])
  expect(JSON.parse(readFileSync(revokedPath(dir), 'utf8'))).toEqual(['b', 'c'])
})

test('a stack that was stopped is not found', () => {
  const at = ports(undefined)
  writeRunning(dir, at, urls(openState(dir), at))
  clearRunning(dir)
  clearRunning(dir)
  expect(readRunning(dir)).toBeUndefined()
})
