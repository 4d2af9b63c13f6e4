/** What check says to histories that were written for it, and when: every record is compared. */
import { describe, expect, test } from 'bun:test'
import { PartitionChecker } from '../core/check.ts'
import { checkResultSchema } from '../core/check-result.ts'
import { at, check, History, results, words } from './check-history.ts'

const P95 = { metric: 'p95', threshold: 1000, windowMinutes: 1 }

describe('a value across the threshold', () => {
  test('a slow ramp is pending when the last minute crosses, fires when the window does, and ends', () => {
    const history = new History().rule({ metric: 'mean', threshold: 1000, windowMinutes: 5 })
    for (let m = 0; m < 20; m++) history.minute(m, { serviceMs: m < 12 ? 500 + 100 * m : 100 })
    expect(words(check(history, 21))).toEqual([
      // 500 … 1000: minute 5 is at 1000; the window 3..7 is the first whose mean is.
      '03:06 +5s pending 800 (was ok)',
      '03:08 +5s firing 1000 (was pending)',
      '03:14 +5s ok 940 (was firing)',
    ])
  })

  test('a window of a minute fires 5 s of log time after it ended', () => {
    const history = new History().rule(P95).minutes(0, 3, {})
    history.minute(4, { serviceMs: 3000 }).minutes(5, 9, {})
    expect(words(check(history, 10))).toEqual([
      '03:05 +5s firing 3000 (was ok)',
      '03:06 +5s ok 100 (was firing)',
    ])
  })

  test('a value that flaps at the threshold is one incident, with a recovery threshold and time', () => {
    const rule = { ...P95, recoveryThreshold: 800, recoveryMinutes: 3 }
    const history = new History().rule(rule)
    const values = [500, 1200, 900, 1200, 700, 900, 700, 700, 1200, 700, 700, 700, 700]
    values.forEach((serviceMs, m) => {
      history.minute(m, { serviceMs })
    })
    const records = check(history, 14)
    expect(words(records)).toEqual([
      '03:02 +5s firing 1200 (was ok)',
      '03:12 +5s ok 700 (was firing)',
    ])
    expect(new Set(results(records).map(({ incident }) => incident)).size).toBe(1)
  })

  test('without them it is told each time', () => {
    const history = new History().rule(P95)
    const values = [500, 1200, 900, 1200, 900]
    values.forEach((serviceMs, m) => {
      history.minute(m, { serviceMs })
    })
    const records = check(history, 6)
    expect(results(records).map(({ state }) => state)).toEqual(['firing', 'ok', 'firing', 'ok'])
    expect(new Set(results(records).map(({ incident }) => incident)).size).toBe(2)
  })

  test('reminders come at their interval while it fires, and none after', () => {
    const history = new History().rule({ ...P95, reminderMinutes: 5 })
    history.minutes(0, 12, { serviceMs: 2000 }).minutes(13, 30, {})
    expect(words(check(history, 30))).toEqual([
      '03:01 +5s firing 2000 (was ok)',
      '03:06 +5s firing 2000 (reminder)',
      '03:11 +5s firing 2000 (reminder)',
      '03:14 +5s ok 100 (was firing)',
    ])
  })

  test('times in which nobody knew do not put reminders off', () => {
    const history = new History().rule({ ...P95, reminderMinutes: 5 })
    history.minutes(0, 12, { serviceMs: 2000 })
    for (const m of [3, 7, 11]) history.ledger(m, { lostL10: 500 })
    const said = results(check(history, 12))
    expect(
      said.filter(({ kind }) => kind === 'reminder').map(({ at }) => at.slice(11, 16)),
    ).toEqual(['03:06', '03:11'])
  })

  test('what fires at midnight is said once more for who starts anew', () => {
    const history = new History().rule(P95)
    history.minutes(0, 21 * 60 + 2, { serviceMs: 2000 })
    expect(words(check(history, 21 * 60 + 2))).toEqual([
      '03:01 +5s firing 2000 (was ok)',
      '00:00 +5s firing 2000 (standing)',
    ])
  })
})

describe('null is not 0', () => {
  test('a percentile without requests neither fires nor ends what fires', () => {
    const slow = { metric: 'p95', operator: '<=' as const, threshold: 50, windowMinutes: 1 }
    const history = new History().rule(slow).rule({ ...P95, id: 's' })
    history.minutes(0, 2, {}).minute(3, { serviceMs: 2000 }).minutes(10, 11, {})
    expect(words(check(history, 12))).toEqual([
      '03:04 +5s firing 2000 (was ok)',
      '03:11 +5s ok 100 (was firing)',
    ])
  })

  test('fewer requests than the minimum are no value', () => {
    const history = new History().rule({
      ...P95,
      metric: 'error-rate',
      threshold: 0.5,
      minRequests: 10,
    })
    history.minute(1, { requests: 9, failed: 9 }).minute(3, { requests: 10, failed: 9 })
    expect(words(check(history, 4))).toEqual(['03:04 +5s firing 0.9 (was ok)'])
  })

  test('the minimum of requests holds for codes and gauges too', () => {
    const history = new History().rule({
      metric: 'H12',
      threshold: 5,
      minRequests: 50,
      windowMinutes: 1,
    })
    history.rule({ id: 'm', metric: 'gauge:g', threshold: 5, minRequests: 50, windowMinutes: 1 })
    history.minute(1, { requests: 10 }).counter(1, 'H12', 9).gauge(1, 'g', 9)
    history.minute(3, { requests: 60 }).counter(3, 'H12', 9).gauge(3, 'g', 9)
    expect(words(check(history, 5))).toEqual([
      '03:04 +5s firing 9 (was ok)',
      '03:04 +5s firing 9 (was ok)',
    ])
  })

  test('no data fires where the log went on without the app', () => {
    const history = new History().rule({ metric: 'no-data', windowMinutes: 5 })
    history.minutes(0, 5, {}).minutes(15, 20, {}).minutes(0, 20, { app: 'other' })
    expect(words(check(history, 20))).toEqual([
      '03:11 +5s firing 0 (was ok)',
      '03:16 +5s ok 100 (was firing)',
    ])
  })

  test('no data is unknown where nobody could write to the log, and nothing fires', () => {
    const history = new History().rule({ metric: 'no-data', windowMinutes: 2 })
    history.minutes(0, 5, {}).minutes(15, 20, {}).outage(at(6), at(15))
    // What the edge spooled meanwhile comes late: its windows are decided, and are not again.
    for (let m = 6; m < 15; m++) history.minute(m, {}, at(15, 20))
    const records = check(history, 20)
    expect(
      results(records).map(({ state, window }) => [window.until.slice(11, 16), state]),
    ).toEqual([
      ['03:06', 'unknown'],
      ['03:18', 'ok'],
    ])
  })

  test('no requests at all are a throughput of 0', () => {
    const low = { metric: 'throughput', operator: '<' as const, threshold: 10, windowMinutes: 1 }
    const history = new History().rule(low).minutes(0, 3, {}).minutes(6, 7, {})
    expect(words(check(history, 8)).slice(0, 2)).toEqual([
      '03:05 +5s firing 0 (was ok)',
      '03:07 +5s ok 100 (was firing)',
    ])
  })

  test('an app that a rule for all apps watched is missed when it falls silent, and forgotten after a day', () => {
    const history = new History().rule({ metric: 'no-data', apps: ['*'], windowMinutes: 2 })
    history.minutes(0, 3, { app: 'gone' }).minutes(0, 1600, { app: 'other' })
    expect(words(check(history, 1600))).toEqual([
      '03:06 +5s firing 0 (was ok)',
      '00:00 +5s firing 0 (standing)',
      '03:06 +5s ok null (was firing)',
    ])
  })
})

describe('data that is late or has holes', () => {
  test('what comes within the grace counts, what comes later counts for the windows still to close', () => {
    const history = new History().rule(P95).rule({ ...P95, id: 'three', windowMinutes: 3 })
    history.minutes(0, 9, { requests: 10 })
    history.minute(2, { serviceMs: 3000 }, at(3, 4))
    history.minute(6, { serviceMs: 5000 }, at(7, 6))
    const said = results(check(history, 10)).map(
      ({ rule, state, window }) => `${rule} ${window.until.slice(14, 16)} ${state}`,
    )
    expect(said).toEqual([
      'r 03 firing',
      'three 03 firing',
      'r 04 ok',
      'three 06 ok',
      'three 08 firing',
      'three 10 ok',
    ])
  })

  test('a storm of L10 leaves a percentile unknown, and the open incident open', () => {
    const history = new History().rule({ ...P95, minCompleteness: 0.9 })
    history.minutes(0, 1, {}).minutes(2, 9, { serviceMs: 2000 }).minutes(10, 12, {})
    for (const m of [4, 5, 6]) history.ledger(m, { received: 1, kept: 1, lostL10: 400 })
    const records = check(history, 13)
    expect(words(records)).toEqual([
      '03:03 +5s firing 2000 (was ok)',
      '03:05 +5s unknown 2000 (was firing)',
      '03:08 +5s firing 2000 (was unknown)',
      '03:11 +5s ok 100 (was firing)',
    ])
    expect(new Set(results(records).map(({ incident }) => incident)).size).toBe(1)
    expect(results(records)[1]?.completeness).toBeCloseTo(101 / 501)
  })

  test('a count that is over its threshold with messages missing is over it', () => {
    const history = new History().rule({ metric: 'H12', threshold: 5, windowMinutes: 1 })
    history.counter(2, 'H12', 7).ledger(2, { received: 1, kept: 1, lostL10: 400 })
    history.counter(3, 'H12', 2).ledger(3, { received: 1, kept: 1, lostL10: 400 })
    expect(words(check(history, 5))).toEqual([
      '03:03 +5s firing 7 (was ok)',
      '03:04 +5s unknown 2 (was firing)',
      '03:05 +5s ok 0 (was unknown)',
    ])
  })

  test('completeness itself can be watched', () => {
    const rule = {
      metric: 'completeness',
      operator: '<' as const,
      threshold: 0.95,
      windowMinutes: 1,
    }
    const history = new History().rule(rule).minutes(0, 4, {}).ledger(2, { lostL10: 100 })
    expect(words(check(history, 5))).toEqual([
      '03:03 +5s firing 0.5 (was ok)',
      '03:04 +5s ok 1 (was firing)',
    ])
  })

  test('where our own log lost records, no app of the partition is known', () => {
    const history = new History().rule(P95).minutes(0, 9, {}).lose(at(4, 20), 5)
    expect(words(check(history, 8))).toEqual([
      '03:05 +5s unknown null (was ok)',
      '03:06 +5s ok 100 (was unknown)',
    ])
  })
})

test('where the log begins long behind what was decided, what was between is unknown', () => {
  const history = new History().rule({ metric: 'no-data', windowMinutes: 1 }).minutes(0, 29, {})
  const resume = { fromMs: at(3), untilMs: at(3), tail: [] }
  const checker = new PartitionChecker({ partition: 0, resume })
  for (const entry of history.rules) checker.learn(entry)
  const left = history.until(30).filter(({ watermark }) => Date.parse(watermark) > at(20))
  expect(words(left.flatMap((record) => checker.push(record)))).toEqual([
    '03:04 +965s unknown null (was ok)',
    '03:22 +5s ok 100 (was unknown)',
  ])
})

test('a chunk in several parts counts when all of it is in, the first one too', () => {
  const history = new History().rule(P95).minutes(0, 9, {}).minute(2, { serviceMs: 3000 })
  const checker = new PartitionChecker({ partition: 0 })
  for (const entry of history.rules) checker.learn(entry)
  const parts = history.until(4).flatMap((record) => [
    { ...record, ledger: [], part: 0, parts: 2 },
    { ...record, cells: [], part: 1, parts: 2 },
  ])
  const decided = parts.map((record) => checker.push(record))
  expect(words(decided.flat())).toEqual(words(check(history, 4)))
  // The first of the two parts decides nothing.
  expect(decided.filter((_, i) => i % 2 === 0).flat()).toEqual([])
})

describe('mutes', () => {
  test('a deploy mutes the windows that it and the minutes after it lie in, then it is said', () => {
    const history = new History().rule({ ...P95, deployMuteMinutes: 3 })
    history.minutes(0, 1, {}).deploy(2).minutes(2, 9, { serviceMs: 2000 }).minutes(10, 11, {})
    const records = check(history, 12)
    expect(words(records)).toEqual([
      '03:03 +5s firing 2000 (was ok, muted: deploy)',
      '03:07 +5s firing 2000 (reminder)',
      '03:11 +5s ok 100 (was firing)',
    ])
    expect(results(records).map(({ saidAt }) => saidAt?.slice(11, 16))).toEqual([
      undefined,
      '03:07',
      '03:07',
    ])
  })

  test('a deploy that goes well says nothing', () => {
    const history = new History().rule({ ...P95, deployMuteMinutes: 5 })
    history.minutes(0, 1, {}).deploy(2).minute(2, { serviceMs: 2000 }).minutes(3, 11, {})
    expect(results(check(history, 12)).every(({ muted }) => muted === 'deploy')).toBe(true)
  })

  test("Heroku's maintenance mode mutes by itself", () => {
    const history = new History().rule({ metric: 'error-rate', threshold: 0.5, windowMinutes: 1 })
    history.minutes(0, 1, {}).minutes(2, 4, { failed: 100 }).minutes(5, 6, {})
    for (const m of [2, 3, 4]) history.counter(m, 'H80', 100)
    expect(words(check(history, 7))).toEqual([
      '03:03 +5s firing 1 (was ok, muted: maintenance)',
      '03:06 +5s ok 0 (was firing)',
    ])
  })

  test('a silence holds for its time and app, and a muted rule is decided all the same', () => {
    const history = new History().rule({ ...P95, apps: ['demo', 'shop'] })
    history.silence(at(2), at(6), at(1, 30), 'demo')
    history.minutes(0, 9, {}).minutes(0, 9, { app: 'shop' })
    history.minute(2, { serviceMs: 3000 }).minute(2, { serviceMs: 3000, app: 'shop' })
    history.minutes(4, 8, { serviceMs: 3000, requests: 1000 })
    const said = results(check(history, 10)).map(
      ({ app, state, muted, kind, window }) =>
        `${app} ${window.until.slice(14, 16)} ${state} ${kind} ${muted}`,
    )
    expect(said).toEqual([
      'demo 03 firing change silence',
      'shop 03 firing change null',
      'demo 04 ok change silence',
      'shop 04 ok change null',
      'demo 05 firing change silence',
      'demo 06 firing reminder null',
      'demo 10 ok change null',
    ])
  })
})

describe('rules that change', () => {
  test('a rule is in force with the first window that begins after it was written', () => {
    const history = new History().rule(P95, at(2, 30)).minutes(0, 6, { serviceMs: 2000 })
    expect(words(check(history, 7))).toEqual(['03:04 +5s firing 2000 (was ok)'])
  })

  test('an edited threshold goes on with the incident, another window begins anew', () => {
    const history = new History().rule(P95).rule({ ...P95, threshold: 1500 }, at(3, 30))
    history.rule({ ...P95, windowMinutes: 2 }, at(5, 30)).minutes(0, 9, { serviceMs: 2000 })
    expect(words(check(history, 9))).toEqual([
      '03:01 +5s firing 2000 (was ok)',
      '03:06 +5s ok null (was firing)',
      '03:08 +5s firing 2000 (was ok)',
    ])
  })

  test('a rule that is deleted or disabled ends what it said', () => {
    const history = new History().rule(P95).unrule('r', at(3, 30))
    history.rule({ ...P95, id: 'off' }).rule({ ...P95, id: 'off', enabled: false }, at(4, 30))
    history.minutes(0, 9, { serviceMs: 2000 })
    const said = results(check(history, 9)).map(
      ({ rule, state, window }) => `${rule} ${window.until.slice(14, 16)} ${state}`,
    )
    expect(said).toEqual(['off 01 firing', 'r 01 firing', 'r 04 ok', 'off 05 ok'])
  })

  test('repeats and older revisions of a rule change nothing', () => {
    const history = new History().rule(P95).rule({ ...P95, threshold: 5000 }, at(2, 30))
    const [first, second] = history.rules
    if (first === undefined || second === undefined) throw new Error('there are two')
    history.rules.push({ ...second, timestampMs: at(3, 10) }, { ...first, timestampMs: at(3, 20) })
    history.minutes(0, 9, { serviceMs: 2000 })
    expect(results(check(history, 9)).map(({ state }) => state)).toEqual(['firing', 'ok'])
  })
})

test('a rule of any length that is taken says what can be read', () => {
  const long = { process: 'w'.repeat(200), metric: `gauge:${'g'.repeat(490)}:max` }
  const history = new History().rule({ ...long, threshold: 1, windowMinutes: 1 })
  history.gauge(1, 'g'.repeat(490), 2, 'demo', 'w'.repeat(200))
  const [result] = results(check(history, 3))
  expect(checkResultSchema.safeParse(result).success).toBe(true)
  expect(() => history.rule({ metric: `gauge:${'g'.repeat(500)}` })).toThrow()
  expect(() => history.rule({ metric: 'gauge:a\0' })).toThrow()
})

test('every metric has its value', () => {
  const history = new History()
  const metrics: [string, number][] = [
    ['p50', 100],
    ['p99', 100],
    ['max', 100],
    ['mean', 100],
    ['error-rate', 0.25],
    ['throughput', 40],
    ['H12', 3],
    ['counter:custom.signups', 7],
    ['memory', 0.75],
    ['swap', 10],
    ['load', 1.5],
    ['gauge:custom.queue', 17],
    ['gauge:custom.queue:last', 17],
    ['no-data', 55],
    ['completeness', 1],
  ]
  for (const [metric, threshold] of metrics) {
    const id = metric.toLowerCase().replaceAll(':', '-')
    history.rule({ id, metric, operator: '>=', threshold, windowMinutes: 1 })
  }
  history.minute(1, { requests: 40, failed: 10 })
  history.counter(1, 'H12', 3).counter(1, 'custom.signups', 7)
  history.gauge(1, 'memory_total', 75).gauge(1, 'memory_quota', 100).gauge(1, 'memory_swap', 10)
  history.gauge(1, 'load_avg_1m', 1.5).gauge(1, 'custom.queue', 17)
  const first = results(check(history, 2)).filter(({ window }) => window.until.includes('03:02'))
  const values = new Map(first.map(({ metric, value }) => [metric, value]))
  expect(values).toEqual(new Map(metrics))
})
