import { describe, expect, test } from 'bun:test'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { helpOf, type Program, parseProgramArgs, UsageError } from '../batch/program.ts'
import { parseTime } from '../batch/time.ts'

const ROOT = join(import.meta.dir, '..')

function shelf(args: string[], stdin = '') {
  const dir = mkdtempSync(join(tmpdir(), 'shelf-cli-'))
  const { DATABASE_URL: _, SHELF_LOG: __, ...env } = process.env
  const { exitCode, stdout, stderr } = Bun.spawnSync(
    [process.execPath, 'batch/shelf.ts', ...args],
    { cwd: ROOT, env: { ...env, SHELF_DIR: dir }, stdin: Buffer.from(stdin) },
  )
  rmSync(dir, { recursive: true, force: true })
  return { exitCode, stdout: stdout.toString(), stderr: stderr.toString() }
}

const PROGRAMS = [
  'up',
  'run',
  'demo',
  'from',
  'to',
  'aggregate',
  'persist',
  'compact',
  'retain',
  'archive',
  'backfill',
  'drain',
  'send',
  'migrate',
]

describe('the command', () => {
  test('--help names every program, and every program has --help, on stdout, with exit 0', () => {
    const { exitCode, stdout } = shelf(['--help'])
    expect(exitCode).toBe(0)
    for (const name of PROGRAMS) {
      expect(stdout).toMatch(new RegExp(`^  ${name} `, 'm'))
      const help = shelf([name, '--help'])
      expect(help.exitCode).toBe(0)
      expect(help.stdout).toStartWith(`usage: shelf ${name}`)
      expect(help.stderr).toBe('')
    }
  })

  test.each([
    [[], 'usage: shelf PROGRAM'],
    [['frob'], 'there is no program frob'],
    [['toString'], 'there is no program toString'],
    [['from'], 'usage: shelf from TOPIC'],
    [['from', 'raw', '--nope'], '--nope'],
    [['from', 'raw', 'more'], 'unexpected argument more'],
    [['send'], 'usage: shelf send'],
    [['send', 'no-such-file'], 'there is no file no-such-file'],
    [['send', 'LICENSE', '--rate', 'fast'], '--rate takes a whole number'],
    [['archive'], 'set SHELF_ARCHIVE to s3://bucket/prefix, or to a folder'],
  ])('wrong usage %j exits with 2 and says why', (args, words) => {
    const { exitCode, stdout, stderr } = shelf(args)
    expect(exitCode).toBe(2)
    expect(stdout + stderr).toContain(words)
  })

  test.each([
    [['from', 'raw']],
    [['persist']],
    [['run']],
    [['compact']],
    [['retain']],
    [['migrate']],
    [['drain', 'list']],
  ])('without a stack %j says how to get one, and exits with 1', (args) => {
    const { exitCode, stderr } = shelf(args)
    expect(stderr).toContain('npm start')
    expect(stderr).toContain('DATABASE_URL')
    expect(exitCode).toBe(1)
  })

  test('a log that is away exits with 75: try again', () => {
    const { exitCode, stderr } = Bun.spawnSync(
      [process.execPath, 'batch/shelf.ts', 'from', 'raw', '--until', 'now'],
      { cwd: ROOT, env: { ...process.env, SHELF_LOG: 'http://shelf:x@127.0.0.1:9' } },
    )
    expect(stderr.toString()).toContain("can't reach the log")
    expect(exitCode).toBe(75)
  })

  test('a file with no log lines in it is an error, not an empty success', () => {
    const { exitCode, stderr } = shelf(['send', 'LICENSE', '--dry-run'])
    expect(exitCode).toBe(1)
    expect(stderr).toContain('holds no log lines')
  })
})

describe('arguments', () => {
  const program: Program = {
    usage: 'x',
    summary: 'Does x.',
    options: { since: { type: 'string', value: 'TIME', help: 'from when' } },
    run: async () => {},
  }

  test('an option given as --since=1h or --since 1h is the same', () => {
    for (const args of [['--since=1h'], ['--since', '1h']]) {
      expect(parseProgramArgs(program, args).text.since).toBe('1h')
    }
    expect(() => parseProgramArgs(program, ['--since'])).toThrow(UsageError)
  })

  test('the help names each option with what stands for its value', () => {
    expect(helpOf(program)).toContain('--since TIME  from when')
  })

  const now = Date.parse('2026-11-23T03:20:00Z')
  test.each([
    ['now', '2026-11-23T03:20:00Z'],
    ['90s', '2026-11-23T03:18:30Z'],
    ['15m', '2026-11-23T03:05:00Z'],
    ['2h', '2026-11-23T01:20:00Z'],
    ['7d', '2026-11-16T03:20:00Z'],
    ['2026-11-22', '2026-11-22T00:00:00Z'],
    ['2026-11-22T08:00', '2026-11-22T08:00:00Z'],
    ['2026-11-22 08:00:30', '2026-11-22T08:00:30Z'],
    ['2026-11-22T08:00:00+02:00', '2026-11-22T06:00:00Z'],
  ])('the time %s is %s', (text, iso) => {
    expect(parseTime(text, now)).toBe(Date.parse(iso))
  })

  test.each(['', 'yesterday', '5', '5y', '2026-13-01', '-1h', '1'])('%p is no time', (text) => {
    expect(() => parseTime(text, now)).toThrow(UsageError)
  })
})
