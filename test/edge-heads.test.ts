/** A line means what it means alone, whatever line stood before it and lent it its head. */
import { expect, test } from 'bun:test'
import fc from 'fast-check'
import type { Burst } from '../core/burst.ts'
import { burstToJson } from '../core/burst-json.ts'
import { addCounts, type LedgerCounts } from '../core/ledger.ts'
import { herokuBurst } from '../edge/drains/heroku.ts'
import { body, totals } from './edge.ts'

const RECEIVED_MS = Date.UTC(2026, 10, 23, 8, 30, 30)

async function burstOf(...lines: string[]): Promise<Burst> {
  const headers = { frameId: 'F', drainToken: '', messages: lines.length }
  return await herokuBurst('demo', headers, body(...lines), RECEIVED_MS, async (user) => user)
}

/** All that bursts come to: their ledgers added up, and their rows one behind the other. */
function sumOf(bursts: readonly Burst[]): object {
  const ledger: Record<number, LedgerCounts> = {}
  for (const [minuteMs, counts] of bursts.flatMap((burst) => [...burst.ledger])) {
    ledger[minuteMs] ??= {}
    addCounts(ledger[minuteMs], counts)
  }
  const all = bursts.map(burstToJson)
  return {
    ledger,
    requests: all.flatMap(({ requests }) => requests),
    points: all.flatMap(({ points }) => points),
    markers: all.flatMap(({ markers }) => markers),
    dynos: all.flatMap(({ dynos }) => dynos),
  }
}

async function expectSameTogether(lines: readonly string[]): Promise<void> {
  const alone = await Promise.all(lines.map((line) => burstOf(line)))
  expect(sumOf([await burstOf(...lines)])).toEqual(sumOf(alone))
}

/** The usual, mostly: a line that differs in one place is what is to be told from the one before. */
const mostly = (usual: string, ...others: string[]): fc.Arbitrary<string> =>
  fc.oneof(
    { weight: 6, arbitrary: fc.constant(usual) },
    { weight: 2, arbitrary: fc.constantFrom(...others) },
  )

const parts = fc.record({
  priority: mostly('<190>1', '<191>1', '<45>1', '<190>2'),
  minute: mostly(
    '2026-11-23T08:30:',
    ...['2026-11-23T08:29:', '2026-11-23T08:35:', '2026-11-23T08:36:', '2026-11-16T08:30:'],
    ...['2026-11-23T08:30.', '2026-13-23T08:30:', '-', 'now'],
  ),
  second: mostly(
    '07.123456',
    ...['30.999999', '59.000000', '00.000000', '60.000000', '61.000000', '7x.123456', '07'],
    ...['07.12345x', '07:123456', '07.1', '07.123456789', ' 7.123456', '-7.123456', ''],
  ),
  offset: mostly('+00:00', 'Z', '+02:30', '-00:30', '+99:00', ''),
  host: mostly('host', 'h', 'd.8f7a', 'ho\u00dft'),
  app: mostly('app', 'apq', 'heroku', 't.1'),
  process: mostly(
    'web.1',
    ...['web.2', 'worker.12', 'web', 'api', 'log-shuttle', 'logplex', 'router', '.', ''],
    ...['heroku-redis', 'heroku-x.1', 'hooks.1', 'run.1', 'api.1', 'we b.1'],
  ),
  dash: mostly(' - ', ' -', ' ', ' x ', ' -x', ' - - '),
  text: mostly(
    'hello',
    ...['Users#show', '', ' ', 'count#a=1', 'measure.b=2', 'measured', '- hello', 'Error'],
    ...['Error R13 (Attach error)', 'Error L12: 5 messages dropped', 'Cycling', 'sample#a=1'],
    ...['a # count#b', 'status=200 dyno=web.1', 'Deploy 059375fe by user a@b.c'],
  ),
  end: mostly('\n', '', '\r\n', '\n\n'),
})

const line = parts.map(
  ({ priority, minute, second, offset, host, app, process, dash, text, end }) =>
    `${priority} ${minute}${second}${offset} ${host} ${app} ${process}${dash}${text}${end}`,
)

test('lines of all heads come together to what they come to alone', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(line, { minLength: 2, maxLength: 12 }), expectSameTogether),
    { numRuns: 2000 },
  )
})

test('so does each line behind the output whose head it may seem to have', async () => {
  const before = '<190>1 2026-11-23T08:30:07.123456+00:00 host app web.1 - hello\n'
  await fc.assert(
    fc.asyncProperty(line, async (behind) => {
      await expectSameTogether([before, behind, before])
    }),
    { numRuns: 3000 },
  )
})

test('so does each behind a request, in whatever minute', async () => {
  const request = (stamp: string): string =>
    `<190>1 2026-11-23T${stamp}.123456+00:00 host heroku router - at=info status=200 dyno=web.1\n`
  const behind = parts.map((words) => {
    const { priority, minute, second, offset, host, dash, text, end } = words
    const figures = `${text} dyno=web.1 connect=1ms service=2ms status=200 bytes=3`
    return `${priority} ${minute}${second}${offset} ${host} heroku router${dash}${figures}${end}`
  })
  const lines = fc.array(fc.oneof(behind, line), { minLength: 1, maxLength: 6 })
  await fc.assert(
    fc.asyncProperty(lines, async (some) => {
      await expectSameTogether([request('08:30:07'), ...some, request('08:29:59'), ...some])
    }),
    { numRuns: 2000 },
  )
})

test('output before the limit of the future does not lend it to output behind', async () => {
  const at = (stamp: string): string =>
    `<190>1 2026-11-23T${stamp}.000000+00:00 host app web.1 - x\n`
  const lines = [at('08:35:29'), at('08:35:31'), at('08:35:30'), at('08:36:00')]
  await expectSameTogether(lines)
  expect(totals(await burstOf(...lines))).toEqual({ received: 4, ignoredOutput: 4 })
})
