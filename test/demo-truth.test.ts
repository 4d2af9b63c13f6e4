import { describe, expect, test } from 'bun:test'
import { truthKey } from '../batch/demo-truth.ts'
import { linesOf, made, make, OPTIONS, type Read, read } from './demo-made.ts'

/** Adds up by minute and what `wordsOf` finds in a line. */
function tally(lines: Read[], found: (line: Read) => [words: string[], by: number][]) {
  const sums = new Map<string, number>()
  for (const line of lines) {
    for (const [words, by] of found(line)) {
      const key = truthKey(line.timeMs, ...words)
      sums.set(key, (sums.get(key) ?? 0) + by)
    }
  }
  return sums
}

const sorted = <Value>(map: Map<string, Value>): [string, Value][] =>
  [...map].sort(([a], [b]) => (a < b ? -1 : 1))

const mapped = <Row, Value>(rows: Map<string, Row>, value: (row: Row) => Value) =>
  new Map([...rows].map(([key, row]) => [key, value(row)]))

const isStrange = ({ text }: Read): boolean => /^Awaiting client/.test(text)

describe('the truth of a generated day agrees with its text', () => {
  const router = linesOf('heroku', /^router$/)
  const numberIn = (text: string, pattern: RegExp): number => Number(pattern.exec(text)?.[1] ?? 0)

  test('requests, status, bytes and service times', () => {
    const { requests } = made.truth
    const web = (value: (text: string) => number) =>
      sorted(tally(router, ({ text }) => [[['web'], value(text)]]))
    expect(sorted(mapped(requests, (row) => row.requests))).toEqual(web(() => 1))
    expect(sorted(mapped(requests, (row) => row.bytes))).toEqual(
      web((text) => numberIn(text, / bytes=(\d+) /)),
    )
    expect(
      sorted(mapped(requests, (row) => row.serviceMs.reduce((sum, ms) => sum + ms, 0))),
    ).toEqual(web((text) => numberIn(text, / service=(\d+)ms /)))
    expect(sorted(mapped(requests, ({ connectMs }) => connectMs.length))).toEqual(
      web((text) => (/ connect=\d+ms /.test(text) ? 1 : 0)),
    )
    const statuses = tally(router, ({ text }) => [[[/ status=(\d+) /.exec(text)?.[1] ?? ''], 1]])
    const told = [...requests].flatMap(([key, { status }]) =>
      Object.entries(status).map(([code, n]): [string, number] => [
        key.replace(/ web$/, ` ${code}`),
        n,
      ]),
    )
    expect(sorted(new Map(told))).toEqual(sorted(statuses))
  })

  test('counters: error codes, exits, losses, and the counts of the app', () => {
    const counts = tally(read, ({ app, process, text }) => {
      const type = process.replace(/\.\d+$/, '')
      if (app === 'app' && /^(web|worker)\./.test(process)) {
        const source = /(?:^| )source=([^\s@]+)(?: |$)/.exec(text)?.[1] ?? ''
        return Array.from(text.matchAll(/count#([^\s=@]+)=(\d+)/g), ([, name, by]) => [
          [type, `custom.${name}`, source],
          Number(by),
        ])
      }
      const [, code] =
        /(?:^| )code=(H\d+) /.exec(process === 'router' ? text : '') ??
        /^Error ([RL]\d+)/.exec(text) ??
        []
      const [, exit] = /^Process exited with status (\d+)/.exec(text) ?? []
      if (exit !== undefined) return [[[type, `exit.${exit}`], 1]]
      if (code === undefined) return []
      return [[[{ H: 'web', R: type, L: '' }[code.slice(0, 1)] ?? '?', code], 1]]
    })
    expect(sorted(made.truth.counters)).toEqual(sorted(counts))
  })

  test('gauges: how many, and the sums of memory and load', () => {
    const MB = 2 ** 20
    const dynos = linesOf('heroku', /^(web|worker|run)\./)
    const sums = tally(dynos, ({ process, text }) => {
      const type = process.replace(/\.\d+$/, '')
      const running = /^Process running mem=(\d+)M\(/.exec(text)
      if (running !== null) return [[[type, 'memory_running'], Number(running[1]) * MB]]
      return Array.from(text.matchAll(/sample#(\S+)=([\d.]+)(MB|pages|)(?= |$)/g), (match) => [
        [type, match[1] ?? ''],
        match[3] === 'MB' ? Math.round(Number(match[2]) * MB) : Number(match[2]),
      ])
    })
    const ofDynos = [...made.truth.gauges].filter(([key]) => / (memory_|load_)/.test(key))
    expect(ofDynos.length).toBe(sums.size)
    for (const [key, { sum, count, min, max }] of ofDynos) {
      expect(sum).toBeCloseTo(sums.get(key) ?? Number.NaN, 3)
      expect(min * count).toBeLessThanOrEqual(sum + 1)
      expect(max * count).toBeGreaterThanOrEqual(sum - 1)
    }
  })

  test('add-ons and measures of the app, in bytes and seconds', () => {
    const [size = 0] = linesOf('app', /^heroku-postgres$/).map(({ text }) =>
      numberIn(text, / sample#memory-postgres=([\d.]+)kB/),
    )
    const [firstKey = ''] = [...made.truth.gauges.keys()].filter((key) =>
      key.includes('postgres.memory_postgres'),
    )
    expect(firstKey).toEndWith(
      ' heroku-postgres postgres.memory_postgres HEROKU_POSTGRESQL_GREEN/postgresql-triangular-70792',
    )
    expect(made.truth.gauges.get(firstKey)?.max).toBe(Math.round(size * 1024))

    const told = [...made.truth.measures]
      .filter(([key]) => key.includes('custom.db.latency'))
      .flatMap(([, values]) => values)
    const latencies = linesOf('app', /^web\./).flatMap(({ text }) =>
      Array.from(text.matchAll(/measure#db\.latency=([\d.]+)ms/g), ([, ms]) => Number(ms) / 1000),
    )
    expect(told.toSorted()).toEqual(latencies.toSorted())
  })

  test('the ledger: every message has one place, and what was lost is told', () => {
    const totals: Record<string, number> = {}
    for (const counts of made.truth.ledger.values()) {
      for (const [what, by] of Object.entries(counts)) totals[what] = (totals[what] ?? 0) + by
    }
    const { received = 0, kept = 0, ignoredOutput = 0, ignoredUnknown = 0 } = totals
    expect(received).toBe(made.messages.length)
    expect(received).toBe(kept + ignoredOutput + ignoredUnknown)
    const output = linesOf('app', /^(web|worker|postgres)\./)
    expect(ignoredOutput).toBe(output.filter(({ text }) => !/#/.test(text)).length)
    expect(ignoredUnknown).toBe(linesOf('heroku', /^run\./).filter(isStrange).length)
    const lost = (code: string): number =>
      read.reduce(
        (sum, { text }) =>
          sum + numberIn(text, new RegExp(`^Error ${code}\\b.*? (\\d+) messages dropped`)),
        0,
      )
    expect(totals.lostL10).toBe(lost('L10'))
    expect(totals.lostL12).toBe(lost('L12'))
  })

  test('what it says was lost is what is missing', () => {
    const lossless = make({ ...OPTIONS, lossless: true })
    const sent = new Set(made.messages.map(({ text }) => text))
    const missing = lossless.messages.filter(({ text }) => !sent.has(text))
    const told = made.messages.reduce((sum, { line }) => sum + (line.loss?.messages ?? 0), 0)
    expect(missing.length).toBe(told)
    expect(told).toBeGreaterThan(50)
  })
})
