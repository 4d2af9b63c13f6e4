import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { demoDays } from '../batch/demo-day.ts'
import { Schedule } from '../batch/demo-schedule.ts'
import { linesOf, made, make, OPTIONS, read } from './demo-made.ts'

describe('a generated day', () => {
  test('the same seed makes the same day, another seed another', () => {
    const again = make(OPTIONS)
    expect(again.text).toBe(made.text)
    expect(again.markers).toEqual(made.markers)
    expect(make({ ...OPTIONS, seed: 2 }).text).not.toBe(made.text)
  })

  test('its messages come in the order of their times, within the day, as syslog', () => {
    let beforeMs = OPTIONS.startMs
    made.messages.forEach(({ timeMs }, index) => {
      expect(timeMs).toBeGreaterThanOrEqual(beforeMs)
      beforeMs = timeMs
      // Logplex gives its own lines in whole seconds.
      const printedMs = read[index]?.timeMs ?? Number.NaN
      expect(timeMs - printedMs).toBeLessThan(1000)
      expect(printedMs).toBeLessThanOrEqual(timeMs)
    })
    expect(beforeMs).toBeLessThan(OPTIONS.startMs + OPTIONS.dayMs)
  })

  test('as many requests as asked for, more by day than by night', () => {
    const perMinute = [...made.truth.requests.values()].map(({ requests }) => requests)
    const all = perMinute.reduce((sum, requests) => sum + requests, 0)
    const expected = (OPTIONS.rate * OPTIONS.dayMs) / 1000
    expect(Math.abs(all / expected - 1)).toBeLessThan(0.1)
    expect(Math.max(...perMinute)).toBeGreaterThan(3 * Math.min(...perMinute))
  })

  test('days without an end begin again, and each has its deploy', () => {
    const day = demoDays({ ...OPTIONS, dayMs: 60_000, rate: 1 })
    for (const { timeMs } of day.messages) if (timeMs > OPTIONS.startMs + 200_000) break
    expect(day.markers.filter(({ kind }) => kind === 'deploy').length).toBeGreaterThan(2)
  })
})

describe('all that happens', () => {
  test.each([
    ['a build and its deploy', / app api - Build started by user \S+@\S+\n/],
    [
      'a release at the same time as its deploy',
      / (\S+) host app api - Deploy [0-9a-f]{8} by user \S+\n<45>1 \1 host app api - Running release v42 commands by user \S+\n<45>1 \1 host app api - Release v42 created by user \S+\n/,
    ],
    [
      'a config change and its release',
      / (\S+) host app api - Set FEATURE_CART, SMTP_URL config vars by user \S+\n<45>1 \1 host app api - Release v43 created/,
    ],
    [
      'scaling of two process types at once',
      /Scaled to web@3:Performance-M worker@2:Standard-1X by user \S+\n/,
    ],
    ['scaling by the platform', /Scaled to web@6:Performance-M by user autoscaling\.\S+\n/],
    [
      'memory over the quota',
      / worker\.1 - Process running mem=\d+M\(1\d\d\.\d%\)\n.* worker\.1 - Error R14 \(Memory quota exceeded\)\n/,
    ],
    [
      'memory far over it, and what follows',
      / worker\.1 - Process running mem=\d+M\(2\d\d\.\d%\)\n.* worker\.1 - Error R15 \(Memory quota vastly exceeded\)\n.* worker\.1 - Stopping process with SIGKILL\n.* worker\.1 - Process exited with status 137\n.* worker\.1 - State changed from up to crashed\n/,
    ],
    ['the start after a crash', / worker\.1 - State changed from crashed to starting\n/],
    ['a restart', / web\.1 - Restarting\n.* web\.1 - State changed from up to starting\n/],
    ['cycling', / web\.2 - Cycling\n.* web\.2 - State changed from up to starting\n/],
    ['the end of a dyno that is no longer needed', / web\.6 - State changed from up to down\n/],
    [
      'requests that time out',
      / at=error code=H12 desc="Request timeout" .* dyno=web\.\d connect=\dms service=3000\dms status=503 bytes=0 /,
    ],
    [
      'requests that meet no process',
      / at=error code=H10 desc="App crashed" .* dyno= connect= service= status=503 bytes= /,
    ],
    [
      'maintenance',
      / at=info code=H80 desc="Maintenance mode" .* dyno= connect= service= status=503 bytes= /,
    ],
    ['clients that go away', / - sock=client at=warning code=H27 .* status=499 /],
    ['a cold dyno', / connect=[1-9]\d\d\dms /],
    [
      'a loss that Logplex tells of, without a newline',
      /<172>1 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00 host heroku logplex - Error L10 \(output buffer overflow\): \d+ messages dropped since \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00\.<\d+>1 /,
    ],
    [
      'a loss that log-shuttle tells of',
      /<172>1 \S+ host app log-shuttle - Error L12: \d+ messages dropped since \S+\n/,
    ],
    ['a young dyno without its longer loads', / sample#load_avg_1m=[\d.]+\n/],
    ['an older one without the longest', / sample#load_avg_5m=[\d.]+\n/],
    ['a one-off dyno', / heroku run\.\d+ - Awaiting client\n/],
    ['Redis', / app heroku-redis - source=REDIS addon=redis-rugged-24473 sample#/],
    [
      'output of several lines',
      / - NoMethodError [^\n]*\n {2}app\/models\/cart\.rb:42\n {2}app\/cart\.rb:7\n</,
    ],
  ])('%s', (_, pattern) => {
    expect(made.text).toMatch(pattern)
  })

  test('its markers: each kind, and of the lost restart only the new id is to be seen', () => {
    const kinds = made.markers
      .filter(({ kind }) => kind !== 'boot')
      .map(({ kind, process }) => `${kind} ${process}`.trim())
    expect(kinds).toEqual([
      ...['build', 'deploy', 'build', 'crash worker', 'config'],
      ...['scale web', 'scale worker', 'scale web', 'restart web', 'crash web'],
      ...['restart web', 'restart web', 'restart worker', 'restart web', 'restart worker'],
      ...['restart web', 'restart web', 'restart web', 'maintenance'],
      ...['scale web', 'scale web', 'scale worker'],
    ])
    const changed = made.markers.find(({ words }) => words.includes('dyno changed'))
    const around = linesOf('heroku', /^web\.2$/).filter(
      ({ timeMs }) => Math.abs(timeMs - (changed?.timeMs ?? 0)) < 60_000,
    )
    expect(around.every(({ text }) => text.startsWith('source=web.2 '))).toBe(true)
    const instances = new Set(around.map(({ text }) => / dyno=(\S+)/.exec(text)?.[1]))
    expect(instances.size).toBe(2)
  })

  test('the personal data that a search is to look for stands in the text, all of it', () => {
    expect(made.personalData.length).toBeGreaterThan(150)
    expect(made.personalData.filter((secret) => !made.text.includes(secret))).toEqual([])
    const kinds = [/^\S+@example\.\w+$/, /^\d+\.\d+\.\d+\.\d+$/, /^tok_/, /^sk_live_/, /^email=.*&/]
    for (const kind of kinds) expect(made.personalData.some((data) => kind.test(data))).toBe(true)
  })
})

test('tasks run in the order of their times, and of one time as they were added', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 20 })), (times) => {
      const schedule = new Schedule()
      const ran: [number, number][] = []
      times.forEach((timeMs, index) => {
        schedule.add(timeMs, () => ran.push([timeMs, index]))
      })
      for (;;) {
        const task = schedule.takeBefore(21)
        if (task === undefined) break
        task.run()
      }
      const expected = times.map((timeMs, index): [number, number] => [timeMs, index])
      expect(ran).toEqual(expected.sort(([a, i], [b, j]) => a - b || i - j))
    }),
  )
})
