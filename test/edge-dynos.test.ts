/** What Heroku says of its dynos: runtime metrics, errors, states, exits. */
import { afterAll, describe, expect, test } from 'bun:test'
import { message, startEdge, totals } from './edge.ts'
import { wordsOf } from './edge-words.ts'

const edge = await startEdge()
afterAll(() => edge.stop())

const ID = '7f9b14bc-1d3b-47f4-91c1-704964b8793f'
const SIGHTING = `dyno web.1 ${ID}`

const line = (text: string, process = 'web.1'): string => message(text, { process })
const sampled = (samples: string): string =>
  line(`source=web.1 dyno=heroku.2808254.${ID} ${samples}`)

describe('runtime metrics are gauges of the process type, and a sighting of the dyno:', () => {
  test('load, in whole', async () => {
    const loads = 'sample#load_avg_1m=2.46 sample#load_avg_5m=1.06 sample#load_avg_15m=0.99'
    expect(wordsOf(await edge.burstOf(sampled(loads)))).toEqual([
      'gauge web load_avg_1m = 2.46',
      'gauge web load_avg_5m = 1.06',
      'gauge web load_avg_15m = 0.99',
      SIGHTING,
    ])
  })

  test('load of a dyno younger than 15, and than 5 minutes: what is missing is not 0', async () => {
    const young = sampled('sample#load_avg_1m=0.10 sample#load_avg_5m=0.05')
    const burst = await edge.burstOf(young, sampled('sample#load_avg_1m=0.20'))
    expect(wordsOf(burst)).toEqual([
      'gauge web load_avg_1m = 0.1',
      'gauge web load_avg_5m = 0.05',
      'gauge web load_avg_1m = 0.2',
      SIGHTING,
      SIGHTING,
    ])
    expect(totals(burst)).toEqual({ received: 2, kept: 2 })
  })

  test('memory, in bytes; pages stay pages; before 2016 without a quota', async () => {
    const memory = 'sample#memory_total=21.22MB sample#memory_pgpgin=348836pages'
    expect(wordsOf(await edge.burstOf(sampled(memory)))).toEqual([
      `gauge web memory_total = ${Math.round(21.22 * 2 ** 20)}`,
      'gauge web memory_pgpgin = 348836',
      SIGHTING,
    ])
  })

  test('a dyno of Fir, and one of two words', async () => {
    const load = 'sample#load_avg_1m=1'
    const burst = await edge.burstOf(
      line(load, 'web-5d8f5f9b8-abcde'),
      line(load, 'import_worker.12'),
    )
    expect(wordsOf(burst)).toEqual([
      'gauge web load_avg_1m = 1',
      'gauge import_worker load_avg_1m = 1',
    ])
  })

  test('a dyno that was started anew is another instance', async () => {
    const other = ID.replace('7f', '8a')
    const load = sampled('sample#load_avg_1m=1')
    const burst = await edge.burstOf(load, load.replace(ID, other))
    expect(wordsOf(burst).slice(2)).toEqual([SIGHTING, `dyno web.1 ${other}`])
  })
})

describe('what Heroku says of a dyno:', () => {
  test.each<[string, string[]]>([
    ['Process running mem=836M(163.4%)', ['gauge web memory_running = 876609536']],
    ['Process running mem=1028MB(103.3%)', ['gauge web memory_running = 1077936128']],
    ['Process running mem=1.5G(150.0%)', ['gauge web memory_running = 1610612736']],
    ['Error R14 (Memory quota exceeded)', ['counter web R14 = 1']],
    ['Error R15 (Memory quota vastly exceeded)', ['counter web R15 = 1']],
    ['Error R10 (Boot timeout) -> Web process failed to bind', ['counter web R10 = 1']],
    ['Error R12 (Exit timeout) -> At least one process failed', ['counter web R12 = 1']],
    ['Error R99 (Platform error)', ['counter web R99 = 1']],
    ['Process exited with status 143', ['counter web exit.143 = 1']],
    ['Process exited with status 0', ['counter web exit.0 = 1']],
    ['Process exited', []],
    ['State changed from up to crashed', ['marker crash web.1']],
    ['State changed from starting to crashed', ['marker crash web.1']],
    ['State changed from up to starting', ['marker restart web.1 restarting']],
    ['State changed from starting to up', ['marker boot web.1']],
    ['State changed from up to down', []],
    ['State changed from created to starting', []],
    ['Cycling', ['marker restart web.1 cycling']],
    ['Restarting', ['marker restart web.1 restarting']],
    ['Idling', ['marker idle web.1']],
    ['Unidling', ['marker unidle web.1']],
    ['Starting process with command `bin/web --key hush`', []],
    ['Stopping all processes with SIGTERM', []],
    ['Stopping remaining processes with SIGKILL', []],
    ['Stopping process with SIGKILL', []],
  ])('%s', async (text, expected) => {
    const burst = await edge.burstOf(line(text))
    expect(wordsOf(burst)).toEqual(expected)
    expect(totals(burst)).toEqual({ received: 1, kept: 1 })
  })

  test.each([
    'Cyclin',
    'So cycling',
    'State changed',
    'Error R',
    'Error Rx (?)',
    'error R14',
    'Process running mem=lots(1%)',
    'hello',
    '',
  ])('nothing is made of what it does not say: %p', async (text) => {
    const burst = await edge.burstOf(line(text))
    expect(wordsOf(burst)).toEqual([])
    expect(totals(burst)).toEqual({ received: 1, ignoredUnknown: 1 })
  })

  test('an error that Heroku logs as the app’s, and what an app may write like it', async () => {
    const attach = 'Error R13 (Attach error) -> Failed to attach to process'
    const [run, web] = ['run.1234', 'web.1'].map((process) => ({ app: 'app', process }))
    const burst = await edge.burstOf(
      message(attach, run),
      message(attach, web),
      message('Error R14 (Memory quota exceeded)', run),
      message('State changed from up to crashed', web),
    )
    expect(wordsOf(burst)).toEqual(['counter run R13 = 1'])
    expect(totals(burst)).toEqual({ received: 4, kept: 1, ignoredOutput: 3 })
  })
})
