import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { type DynoLine, parseDynoLine, processOf } from '../core/dyno-line.ts'
import { isName } from '../core/point.ts'
import { sharedData, testOn } from './data.ts'
import { FIGURES, read } from './router-lines.ts'

const exampleRows = sharedData('logplex-examples.jsonl')

const counter = (name: string): DynoLine => ({ counter: name })
const restart = (text: string): DynoLine => ({ marker: { kind: 'restart', text } })
const running = (value: number): DynoLine => ({ gauge: { name: 'memory_running', value } })
const CRASH: DynoLine = { marker: { kind: 'crash', text: '' } }
const BOOT: DynoLine = { marker: { kind: 'boot', text: '' } }

/** Known, and without a figure. */
const NOTHING: DynoLine = {}

const WORDINGS: [string, DynoLine][] = [
  ['Process running mem=836M(163.4%)', running(876_609_536)],
  ['Process running mem=1028MB(103.3%)', running(1_077_936_128)],
  ['Process running mem=1.5G(300.0%)', running(1_610_612_736)],
  ['Process running mem=1.2.3M(1%)', NOTHING],
  ['Error R14 (Memory quota exceeded)', counter('R14')],
  ['Error R15 (Memory quota vastly exceeded)', counter('R15')],
  [
    'Error R10 (Boot timeout) -> Web process failed to bind to $PORT within 60 seconds of launch',
    counter('R10'),
  ],
  ['Error R11 (Bad bind) -> Process bound to port other than $PORT', counter('R11')],
  [
    'Error R12 (Exit timeout) -> Process failed to exit within 30 seconds of SIGTERM',
    counter('R12'),
  ],
  [
    'Error R12 (Exit timeout) -> Process failed to exit within 10 seconds of SIGTERM',
    counter('R12'),
  ],
  ['Error R13 (Attach error) -> Failed to attach to process', counter('R13')],
  ['Error R16 (Detached) -> An attached process is not responding to SIGHUP', counter('R16')],
  ['Error R17 (Checksum error) -> Checksum does match expected value.', counter('R17')],
  ['Error R99 (Platform error) -> Failed to launch the dyno within 10 seconds', counter('R99')],
  ['Error R151 (Memory quota vastly exceeded)', counter('R151')],
  ['Process exited with status 0', counter('exit.0')],
  ['Process exited with status 22', counter('exit.22')],
  ['Process exited with status 137', counter('exit.137')],
  ['Process exited with status 143', counter('exit.143')],
  ['Process exited', NOTHING],
  ['Cycling', restart('cycling')],
  ['Restarting', restart('restarting')],
  ['State changed from up to starting', restart('restarting')],
  ['State changed from up to crashed', CRASH],
  ['State changed from starting to crashed', CRASH],
  ['State changed from starting to up', BOOT],
  ['State changed from created to starting', NOTHING],
  ['State changed from provisioning to starting', NOTHING],
  ['State changed from crashed to starting', NOTHING],
  ['State changed from down to starting', NOTHING],
  ['State changed from up to down', NOTHING],
  ['State changed from up to complete', NOTHING],
  ['Idling', { marker: { kind: 'idle', text: '' } }],
  ['Idling because quota is exhausted', { marker: { kind: 'idle', text: '' } }],
  ['Unidling', { marker: { kind: 'unidle', text: '' } }],
  ['Starting process with command `npm start`', NOTHING],
  ['Starting process with command `heroku-php-apache2`', NOTHING],
  ['Stopping all processes with SIGTERM', NOTHING],
  ['Stopping remaining processes with SIGKILL', NOTHING],
  ['Stopping process with SIGKILL', NOTHING],
]

describe('a line about a dyno', () => {
  test.each(WORDINGS)('%p is read', (text, line) => {
    expect(parseDynoLine(text)).toEqual(line)
  })

  test.each([
    '',
    'Error',
    'Error L10 (output buffer overflow): 1 messages dropped',
    'Error R',
    'An Error R14 (Memory quota exceeded)',
    'cycling',
    'Listening on 3000',
    'source=web.1 sample#load_avg_1m=0.00',
    'State changed',
  ])('%p is none that is known', (text) => {
    expect(parseDynoLine(text)).toBeUndefined()
  })

  testOn([exampleRows], 'is known in all real captures', () => {
    const rows = exampleRows.text.trimEnd().split('\n')
    const lines = rows
      .map((row) => JSON.parse(row))
      .filter(({ appname, procid }) => appname === 'heroku' && /\.\d+$/.test(procid))
      .filter(({ msg }) => !msg.startsWith('source='))
    expect(lines).toHaveLength(16)
    for (const { msg } of lines) expect(parseDynoLine(msg)).toBeDefined()
  })

  test('gives nothing of its words but codes: no command, no e-mail, no address', () => {
    const planted = fc.constantFrom(
      'planted',
      '`planted --password=planted`',
      'planted@365.example',
      'postgres://planted:planted@planted.example/db?planted',
      '$planted',
    )
    fc.assert(
      fc.property(fc.constantFrom(...WORDINGS), planted, fc.nat(12), ([text], secret, at) => {
        const words = text.split(' ')
        words.splice(at % (words.length + 1), 0, secret)
        for (const line of [words.join(' '), `${text}${secret}`]) {
          expect(JSON.stringify(parseDynoLine(line)) ?? '').not.toContain('planted')
        }
      }),
      { numRuns: 1000 },
    )
  })

  test('counts, measures and marks under names that are names', () => {
    fc.assert(
      fc.property(fc.constantFrom(...WORDINGS), fc.string(), ([text], more) => {
        for (const some of [text + more, more]) {
          const line = parseDynoLine(some)
          if (line?.counter !== undefined) expect(isName(line.counter)).toBe(true)
          if (line?.gauge !== undefined) expect(Number.isFinite(line.gauge.value)).toBe(true)
        }
      }),
    )
  })
})

describe('the process type of a dyno', () => {
  const DYNOS = [
    ['web.1', 'web'],
    ['worker.12', 'worker'],
    ['imports_worker.2', 'imports_worker'],
    ['my-worker.3', 'my-worker'],
    ['a-b-c.3', 'a-b-c'],
    ['run.1234', 'run'],
    ['scheduler.5678', 'scheduler'],
    ['postgres.12345', 'postgres'],
    ['web-5d8f5f9b8-abcde', 'web'],
    ['web-abc-123', 'web'],
    ['my-api-5d8f5f9b8-abcde', 'my-api'],
    ['web', 'web'],
    ['api-2', 'api-2'],
    ['', ''],
  ] as const

  test.each(DYNOS)('of %p is %p', (dyno, process) => {
    expect(processOf(dyno)).toBe(process)
  })

  test.each(DYNOS)("of %p is the one that the router's line has: %p", (dyno, process) => {
    const line = read(FIGURES.replace('web.1', dyno))
    expect(line && (line.process ?? '')).toBe(process)
  })

  test('ends at the last dot', () => {
    expect(processOf('my.worker.3')).toBe('my.worker')
  })

  test('is what stands before a number, or before the two ends that Fir appends', () => {
    const type = fc.stringMatching(/^[a-z][a-z0-9_]{0,10}(-[a-z0-9_]{1,10}){0,2}$/)
    const end = fc.stringMatching(/^[a-z0-9]{3,12}$/)
    fc.assert(
      fc.property(type, fc.nat(), end, end, (process, number, hash, pod) => {
        for (const dyno of [`${process}.${number}`, `${process}-${hash}-${pod}`]) {
          expect(processOf(dyno)).toBe(process)
          expect(read(FIGURES.replace('web.1', dyno))).toMatchObject({ process })
        }
      }),
    )
  })
})
