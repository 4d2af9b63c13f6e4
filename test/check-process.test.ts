/** Check as people run it: in pipes, on the log, and the commands that edit what is watched. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { migrate } from '../batch/migrate.ts'
import { parseProgramArgs } from '../batch/program.ts'
import { deleteOldAlerts } from '../batch/retain-alerts.ts'
import { keepSettings } from '../batch/retain-settings.ts'
import { rule } from '../batch/rule.ts'
import { parseRulesFile, printRulesFile } from '../batch/rule-file.ts'
import { fieldsOf, parseRule } from '../batch/rule-options.ts'
import { Cells } from '../core/cell.ts'
import { checkpointOf } from '../core/check-make.ts'
import { partitionOf } from '../core/partition.ts'
import { type Rule, ruleSchema } from '../core/rule.ts'
import { connect, type Sql } from '../db/client.ts'
import { mergeCells } from '../db/merge-cells.ts'
import { tryRule } from '../db/rule-history.ts'
import { type PostgresServer, startPostgres } from '../db/server.ts'
import { check, History, MINUTE_MS, results, START_MS } from './check-history.ts'
import { freePort } from './sql-server.ts'
import { type Stack, shelf, startStack, until } from './stack.ts'

const folder = mkdtempSync(join(tmpdir(), 'shelf-rules-'))
const PARTITION = partitionOf('demo', 4)
let stack: Stack
let server: PostgresServer
let sql: Sql
let env: Record<string, string>

beforeAll(async () => {
  const where = { dataDir: join(folder, 'pg'), port: await freePort(), password: 'test' }
  server = await startPostgres({ ...where, settings: { fsync: 'off' } })
  await migrate(server.url)
  sql = connect(server.url, { max: 1 })
  stack = await startStack()
  env = stack.env(server.url)
}, 120_000)
afterAll(async () => {
  await sql.end()
  await stack.stop()
  await server.stop()
  rmSync(folder, { recursive: true, force: true })
})

async function run(args: string[], stdin: Bun.BunFile | null = null) {
  const program = shelf(args, env, stdin)
  const [out, err, code] = await Promise.all([
    new Response(program.stdout).text(),
    new Response(program.stderr).text(),
    program.exited,
  ])
  return { out, err, code }
}

const RULES = `
rules:
  - id: slow
    apps: [demo]
    metric: max
    threshold: 1000
    windowMinutes: 1
    notify: [oncall]
`

function history(): History {
  const made = new History().minutes(0, 3, {}).minute(4, { serviceMs: 3000 }).minutes(5, 11, {})
  for (const rule of parseRulesFile(RULES)) made.rule(rule)
  return made
}

const linesOf = (text: string): { key: string }[] =>
  text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line))

describe('in pipes', () => {
  test('shelf from aggregates | shelf check | shelf to check-results, from the start or behind the last checkpoint', async () => {
    const expected = check(history(), 12).map((record) => ({ ...record, partition: PARTITION }))
    const file = join(folder, 'rules.yaml')
    writeFileSync(file, RULES)
    const input = join(folder, 'aggregates.ndjson')
    const aggregates = history()
      .until(12)
      .map((record) => ({ ...record, partition: PARTITION }))
    writeFileSync(input, aggregates.map((record) => `${JSON.stringify(record)}\n`).join(''))
    const put = await run(['to', 'aggregates'], Bun.file(input))
    expect(put.code).toBe(0)
    const lines = await run(['from', 'aggregates', '--until', 'now'])
    writeFileSync(input, lines.out)

    const all = await run(['check', '--all', '--rules', file], Bun.file(input))
    expect(all.err).toBe('')
    const decided = linesOf(all.out)
    const byKey = new Map(
      expected.map((record) => [record.key.replace('/0/', `/${PARTITION}/`), record]),
    )
    expect(decided.map(({ key }) => key)).toEqual([...byKey.keys()])
    expect(results(expected).length).toBe(2)

    // The same with the rules of the log, behind its checkpoint of five minutes.
    const [entry] = history().rules
    const record = { ...entry, since: new Date(START_MS - 1).toISOString() }
    await stack.log.append('rules', [{ partition: 0, value: JSON.stringify(record) }])
    const keys = [...byKey.keys()]
    const moment = {
      partition: PARTITION,
      untilMs: START_MS + 5 * MINUTE_MS,
      watermarkMs: START_MS,
    }
    const before = keys.indexOf(checkpointOf(moment).key) + 1
    expect(before).toBeGreaterThan(1)
    for (const decided of [...byKey.values()].slice(0, before)) {
      const value = JSON.stringify(decided)
      await stack.log.append('check-results', [{ partition: PARTITION, value }])
    }
    const later = await run(['check'], Bun.file(input))
    expect(linesOf(later.out).map(({ key }) => key)).toEqual(keys.slice(before))

    const results_ = join(folder, 'results.ndjson')
    writeFileSync(results_, later.out)
    expect((await run(['to', 'check-results'], Bun.file(results_))).code).toBe(0)
    // What was told a moment ago is not told again.
    const again = await run(['check'], Bun.file(input))
    expect(again).toEqual({ out: '', err: '', code: 0 })
    const deleted = JSON.stringify({ ...record, revision: 2, rule: null })
    await stack.log.append('rules', [{ partition: 0, value: deleted }])
  }, 60_000)

  test('a line that is no record of cells is named, and nothing is passed over', async () => {
    const input = join(folder, 'bad.ndjson')
    writeFileSync(input, '{"version":1}\n')
    const { code, err } = await run(['check'], Bun.file(input))
    expect(code).toBe(1)
    expect(err).toContain('line 1')
  })
})

describe('shelf rule', () => {
  const add = ['add', '--app', 'demo', '--process', 'web', '--metric', 'p95']
  const more = [
    '--threshold',
    '1000',
    '--window',
    '1m',
    '--min-requests',
    '10',
    '--notify',
    'oncall',
  ]

  test('adds, lists, edits, mutes and deletes, and the log hears of each at once', async () => {
    expect(await run(['rule', ...add, ...more])).toEqual({
      out: 'demo-web-p95\n',
      err: '',
      code: 0,
    })
    const twice = await run(['rule', ...add, ...more])
    expect([twice.code, twice.err]).toEqual([
      2,
      expect.stringContaining('there is a rule demo-web-p95'),
    ])
    expect((await run(['rule', 'list'])).out).toBe(
      'demo-web-p95\tdemo web p95 >= 1000 over 1m\twarning\toncall\ton\n',
    )
    await run(['rule', 'edit', 'demo-web-p95', '--threshold', '800', '--process', ''])
    await run(['rule', 'mute', 'demo-web-p95', '--for', '2h'])
    expect((await run(['rule', 'list', '--app', 'demo'])).out).toMatch(
      /^demo-web-p95\tdemo p95 >= 800 over 1m\twarning\toncall\tmuted until 2\d{3}-\S+\n$/,
    )
    await run(['rule', 'mute', 'demo-web-p95', '--off'])
    await run(['rule', 'delete', 'demo-web-p95', '--dry-run'])
    expect((await run(['rule', 'list'])).out).toEndWith('\ton\n')
    await run(['rule', 'delete', 'demo-web-p95'])
    expect((await run(['rule', 'list'])).out).toBe('')
    const copies = (await stack.log.read('rules', 0, 0))
      .map(({ value }) => JSON.parse(String(value)))
      .filter(({ id }) => id === 'demo-web-p95')
    expect(copies.map(({ rule }) => rule?.threshold ?? null)).toEqual([1000, 800, 800, 800, null])
    expect((await run(['rule', 'edit', 'demo-web-p95', '--threshold', '1'])).code).toBe(2)
  }, 60_000)

  test('who edits a rule at the same time as others undoes nothing of theirs', async () => {
    const added = ['rule', 'add', 'both', '--app', 'demo', '--metric', 'p95', '--threshold', '1']
    const adds = await Promise.all([run(added), run(added)])
    expect(adds.map(({ code }) => code).sort()).toEqual([0, 2])
    await Promise.all([
      run(['rule', 'edit', 'both', '--threshold', '7']),
      run(['rule', 'edit', 'both', '--severity', 'error']),
      run(['rule', 'mute', 'both']),
    ])
    expect((await run(['rule', 'list'])).out).toBe('both\tdemo p95 >= 7 over 5m\terror\t-\tmuted\n')
    await run(['rule', 'delete', 'both'])
  }, 60_000)

  const wrong: [string[], string][] = [
    [[...add, '--threshold', 'much'], 'much is no number'],
    [['add', '--app', 'demo', '--metric', 'p101', '--threshold', '1'], 'a metric is p50'],
    [[...add, '--threshold', '1', '--op', '=='], 'operator'],
    [[...add, '--threshold', '1', '--window', '61m'], 'windowMinutes'],
    [[...add, '--threshold', '1', '--window', 'long'], 'is no time'],
    [[...add, '--threshold', '1', '--recovery-threshold', '2'], 'beyond the threshold'],
    [[...add, '--threshold', '1', '--playbook', 'javascript:alert(1)'], 'playbook'],
    [['add', '--app', 'demo', '--metric', 'no-data', '--process', 'web'], 'as a whole'],
    [[...add, '--threshold', '1', '--notify', 'oncall,http://example.com/x'], 'use https://'],
    [[...add, '--threshold', '1', '--notify', 'htps://example.com/x'], 'a target is'],
    [['add', '--app', 'de mo', '--metric', 'no-data'], 'apps'],
  ]
  test.each(wrong)('%j is wrong usage, and says how', (args, words) => {
    const given = parseProgramArgs(rule, args)
    expect(() => parseRule({ id: 'r', ...fieldsOf(given) })).toThrow(words)
  })

  test('apply shows the difference, does nothing untold, and then makes the rules those of the file', async () => {
    const file = join(folder, 'apply.yaml')
    const others = RULES.replace('slow', 'old')
    writeFileSync(file, others)
    expect((await run(['rule', 'apply', file])).code).toBe(2)
    expect((await run(['rule', 'list'])).out).toBe('')
    expect((await run(['rule', 'apply', file, '--yes'])).out).toBe(
      '+ old demo max >= 1000 over 1m\n',
    )
    await run(['rule', 'mute', 'old'])
    writeFileSync(file, `${RULES}  - {id: old, apps: [demo], metric: max, threshold: 7}\n`)
    const { out } = await run(['rule', 'apply', file, '--dry-run'])
    expect(out).toBe(
      '+ slow demo max >= 1000 over 1m\n~ old threshold: 1000 → 7\n' +
        '~ old windowMinutes: 1 → 5\n~ old notify: ["oncall"] → []\n',
    )
    expect((await run(['rule', 'apply', file, '--yes'])).out).toBe(out)
    expect((await run(['rule', 'apply', file, '--yes'])).out).toBe('')
    // Somebody muted it by hand: the file does not undo that.
    expect((await run(['rule', 'list'])).out).toContain('\tmuted\n')
    writeFileSync(file, RULES)
    expect((await run(['rule', 'apply', file, '--keep', '--yes'])).out).toBe('')
    expect((await run(['rule', 'apply', file, '--yes'])).out).toBe('- old demo max >= 7 over 5m\n')
    const shown = (await run(['rule', 'show'])).out
    expect(parseRulesFile(shown)).toEqual(parseRulesFile(RULES))
    expect(printRulesFile(parseRulesFile(shown))).toBe(shown)
    writeFileSync(file, 'rules: [{id: a')
    expect((await run(['rule', 'apply', file])).code).toBe(2)
  }, 60_000)

  test('test says from the rows when a rule would have fired, as check would have', async () => {
    const minuteMs = Math.floor(Date.now() / MINUTE_MS) * MINUTE_MS - 60 * MINUTE_MS
    const moveMs = minuteMs - START_MS
    const cells = new Cells()
    history().minute(4, { requests: 3, failed: 3, app: 'shop' }).into(cells, moveMs)
    await sql.begin((transaction) => mergeCells(transaction, cells))
    const { out, err } = await run(['rule', 'test', 'slow', '--days', '1'])
    const at = (minute: number): string => new Date(minuteMs + minute * MINUTE_MS).toISOString()
    expect(out).toBe(`${at(5)}\tdemo\tfiring\t3000\t1\t-\t1m\n${at(6)}\tdemo\tok\t100\t1\t-\t1m\n`)
    expect(err).toContain('slow: 1 incidents in 1 days, 1 minutes')
    const all = await run([
      ...['rule', 'test', '--app', '*', '--metric', 'error-rate', '--threshold', '0.5'],
      ...['--window', '1m', '--days', '1'],
    ])
    expect(all.out).toBe(`${at(5)}\tshop\tfiring\t1\t1\t-\t1m\n`)
  }, 60_000)

  test('test tells nothing of times that are not in the rows yet', async () => {
    const sinceMs = Math.floor(Date.now() / MINUTE_MS) * MINUTE_MS - 120 * MINUTE_MS
    const cells = new Cells()
    new History().minutes(0, 4, { app: 'behind' }).into(cells, sinceMs - START_MS)
    await sql.begin((transaction) => mergeCells(transaction, cells))
    const silent = ruleSchema.parse({
      id: 'r',
      apps: ['behind'],
      metric: 'no-data',
      windowMinutes: 1,
    })
    const said = async (): Promise<string[]> => {
      const found: string[] = []
      for await (const { window } of tryRule(sql, silent, sinceMs, Date.now())) {
        found.push(window.until)
      }
      return found
    }
    const watermark = (minutes: number) => new Date(sinceMs + minutes * MINUTE_MS + 6000)
    await sql`insert into shelf.progress (partition, watermark) values (99, ${watermark(5)})`
    try {
      expect(await said()).toEqual([])
      await sql`update shelf.progress set watermark = ${watermark(6)} where partition = 99`
      expect(await said()).toEqual([new Date(sinceMs + 6 * MINUTE_MS).toISOString()])
    } finally {
      await sql`delete from shelf.progress where partition = 99`
    }
  }, 60_000)

  test('test reads what is kept of older times: windows are as long as its rows, incidents go on', async () => {
    const dayMs = 86_400_000
    const todayMs = Math.floor(Date.now() / dayMs) * dayMs
    const [minutesMs, tensMs] = [todayMs - dayMs, todayMs - 4 * dayMs]
    for (const [tier, ms, coarser] of [
      ['1m', minutesMs, '10m'] as const,
      ['10m', tensMs, '1h'] as const,
    ]) {
      const until = new Date(ms).toISOString()
      await sql`update shelf.tiers set dropped_until = ${until} where tier = ${tier}`
      await sql`
        update shelf.tiers set closed_until = ${until}, compacted_until = ${until}
        where tier = ${coarser}`
    }
    const aged = async (sinceMs: number, fill: (history: History) => History): Promise<void> => {
      const cells = new Cells()
      fill(new History()).into(cells, sinceMs - START_MS)
      await sql.begin((transaction) => mergeCells(transaction, cells))
    }
    const app = 'aged'
    const hoursMs = tensMs - dayMs
    await aged(hoursMs, (history) =>
      history.minutes(0, 200, { app }).minute(4, { app, serviceMs: 3000 }),
    )
    const someMs = tensMs + dayMs
    await aged(someMs, (history) =>
      history
        .minutes(0, 40, { app })
        .minute(4, { app, serviceMs: 3000 })
        .counter(14, 'H12', 60, app),
    )
    // It fires while minutes begin.
    await aged(minutesMs - 10 * MINUTE_MS, (history) =>
      history.minutes(0, 12, { app, serviceMs: 3000 }).minutes(13, 20, { app }),
    )
    const said = async (rule: Partial<Rule> & { metric: string }): Promise<string[]> => {
      const full = ruleSchema.parse({ id: 'r', apps: [app], windowMinutes: 1, ...rule })
      const found: string[] = []
      for await (const { window, state, value } of tryRule(sql, full, 0, todayMs)) {
        const minutes = (Date.parse(window.until) - Date.parse(window.since)) / MINUTE_MS
        found.push(`${window.until} ${state} ${value} ${minutes}m`)
      }
      return found
    }
    const after = (ms: number, minutes: number): string =>
      new Date(ms + minutes * MINUTE_MS).toISOString()
    expect(await said({ metric: 'max', threshold: 1000 })).toEqual([
      `${after(hoursMs, 60)} firing 3000 60m`,
      `${after(hoursMs, 120)} ok 100 60m`,
      `${after(someMs, 10)} firing 3000 10m`,
      `${after(someMs, 20)} ok 100 10m`,
      `${after(minutesMs, 0)} firing 3000 10m`,
      `${after(minutesMs, 4)} ok 100 1m`,
    ])
    // Six a minute are over five; over ten minutes they are one a minute each.
    expect(await said({ metric: 'H12', threshold: 5 })).toEqual([
      `${after(someMs, 20)} firing 60 10m`,
      `${after(someMs, 30)} ok 0 10m`,
    ])
    expect(await said({ metric: 'H12', threshold: 7 })).toEqual([])
  }, 60_000)
})

test('shelf silence adds, lists and ends silences, with an author and a reason', async () => {
  expect((await run(['silence', 'add', '--app', 'demo', '--for', '2h'])).code).toBe(2)
  const added = await run([
    ...['silence', 'add', '--app', 'demo', '--for', '2h', '--author', 'kim', '--reason', 'a move'],
  ])
  expect(added.code).toBe(0)
  const id = added.out.trim()
  expect((await run(['silence', 'list'])).out).toMatch(
    new RegExp(`^${id}\tdemo\t-\t\\S+\t\\S+\tkim\ta move\n$`),
  )
  await run(['silence', 'delete', id])
  expect((await run(['silence', 'list'])).out).toBe('')
  expect((await run(['silence', 'delete', id])).code).toBe(2)
  const copies = (await stack.log.read('rules', 0, 0))
    .map(({ value }) => JSON.parse(String(value)))
    .filter((record) => record.id === id)
  expect(copies.map(({ silence }) => silence?.reason ?? null)).toEqual(['a move', null])
}, 60_000)

test('retain deletes what check left behind, when it is as old as the setting says', async () => {
  const result = {
    ...{ app: 'demo', rule: 'slow', kind: 'change', name: 'slow', metric: 'max', operator: '>=' },
    ...{ threshold: 1, severity: 'info', state: 'ok', previous: 'ok', count: 0, rule_revision: 1 },
  }
  const daysAgo = (days: number): Date => new Date(Date.now() - days * 86_400_000)
  for (const days of [401, 399]) {
    const times = {
      window_since: daysAgo(days),
      window_until: daysAgo(days),
      decided_at: daysAgo(days),
    }
    await sql`insert into shelf.check_results ${sql({ ...result, ...times })}`
    const { app, rule, name, metric, operator, threshold, severity, state } = result
    const row = { app, rule, name, metric, operator, threshold, severity, state }
    for (const [id, ended_at] of [['open', null] as const, ['over', daysAgo(days)] as const]) {
      const times = { since: daysAgo(402), started_at: daysAgo(402), detected_at: daysAgo(402) }
      await sql`insert into shelf.incidents ${sql({ ...row, ...times, id: `${id}-${days}`, ended_at })}`
    }
  }
  const { out } = await run(['retain', '--dry-run'])
  expect(out).toContain('delete check_results 1 rows\ndelete incidents 1 rows\n')
  expect(await deleteOldAlerts(sql, keepSettings({ SHELF_KEEP_ALERTS: 'forever' }).alerts)).toBe(0)
  expect(await deleteOldAlerts(sql)).toBe(2)
  const left = await sql<{ id: string }[]>`select id from shelf.incidents order by id`
  expect(left.map(({ id }) => id)).toEqual(['open-399', 'open-401', 'over-399'])
  expect(await deleteOldAlerts(sql, keepSettings({ SHELF_KEEP_ALERTS: '30 days' }).alerts)).toBe(2)
}, 60_000)

test('shelf check on the log begins with a checkpoint, and sees to it that a quiet log says something', async () => {
  const before = await stack.log.offsetAt('raw', PARTITION, 'latest')
  const worker = shelf(['check'], { ...env, SHELF_EXIT_WITH_PARENT: '0' })
  try {
    await until(
      'a tick',
      async () => (await stack.log.offsetAt('raw', PARTITION, 'latest')) > before,
    )
    for (let partition = 0; partition < 4; partition++) {
      await until('a checkpoint', async () => {
        const found = await stack.log.read('check-results', partition, 0)
        return found.some(({ value }) => JSON.parse(String(value)).kind === 'checkpoint')
      })
    }
  } finally {
    worker.kill('SIGTERM')
    expect(await worker.exited).toBe(0)
  }
}, 60_000)
