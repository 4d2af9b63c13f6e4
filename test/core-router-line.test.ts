import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { sharedData, testOn } from './data.ts'
import { FIGURES, READ, type RouterRequest, read } from './router-lines.ts'

const exampleRows = sharedData('logplex-examples.jsonl')
const routerLog = sharedData('playlab-router.log')

const HEAD = 'at=info method=GET path="/" host=app.example.com fwd="203.0.113.4"'

describe('a line is read as the router meant it', () => {
  test.each<[string, string, RouterRequest]>([
    ['as it mostly is', `${HEAD} ${FIGURES} protocol=https`, READ],
    ['of Router 2.0', `${HEAD} ${FIGURES} protocol=http2.0 tls=true tls_version=tls1.3`, READ],
    [
      'of 2012, nothing quoted',
      `at=info method=GET path=/ host=a.example fwd=203.0.113.4 ${FIGURES}`,
      READ,
    ],
    [
      'of before 2013',
      `${HEAD} dyno=web.1 queue=0 wait=0ms connect=1ms service=18ms status=200 bytes=13`,
      READ,
    ],
    ['with keys nobody knows', `${HEAD} agent="x y" ${FIGURES} colour=blue`, READ],
    ['with blanks around', `  ${HEAD}   ${FIGURES}  `, READ],
    [
      'with no unit on durations',
      'dyno=web.1 connect=0 service=2 status=502 bytes=537',
      { process: 'web', connect: 0, service: 2, status: 502, bytes: 537 },
    ],
    [
      'H10: nothing reached a dyno',
      'at=error code=H10 desc="App crashed" method=POST path="/crash" fwd="203.0.113.4" dyno= connect= service= status=503 bytes=',
      { code: 'H10', status: 503 },
    ],
    [
      'H12: no connect',
      'at=error code=H12 desc="Request timeout" path=/ dyno=web.1 connect= service=30000ms status=503 bytes=0',
      { code: 'H12', process: 'web', service: 30_000, status: 503, bytes: 0 },
    ],
    [
      'H18: an error with status 200',
      `sock=backend at=error code=H18 desc="Server Request Interrupted" path="/" ${FIGURES}`,
      { ...READ, code: 'H18' },
    ],
    [
      'H24: no status',
      'at=error code=H24 desc="Forced close" dyno=web.1 connect=1ms service=80000ms status= bytes=18',
      { code: 'H24', process: 'web', connect: 1, service: 80_000, bytes: 18 },
    ],
    [
      'H26: a cause',
      'at=error code=H26 desc="Request Error" cause="bad header" path="/" dyno= connect= service= status=400 bytes=',
      { code: 'H26', status: 400 },
    ],
    [
      'H27: a warning',
      'sock=client at=warning code=H27 desc="Client Request Interrupted" dyno=web.1 connect=1ms service=0ms status=499 bytes=0',
      { code: 'H27', process: 'web', connect: 1, service: 0, status: 499, bytes: 0 },
    ],
    [
      'H28: a warning',
      'sock=client at=warning code=H28 desc="Client Connection Idle" dyno=web.1 connect=1ms service=55000ms status=499 bytes=0',
      { code: 'H28', process: 'web', connect: 1, service: 55_000, status: 499, bytes: 0 },
    ],
    [
      'H80: at=info',
      'at=info code=H80 desc="Maintenance mode" path="/" dyno= connect= service= status=503 bytes=',
      { code: 'H80', status: 503 },
    ],
    [
      'an old code',
      'at=info code=blank-app desc="Blank app" path="/" dyno= connect= service= status=502 bytes=',
      { code: 'blank-app', status: 502 },
    ],
    [
      'a cold dyno',
      'dyno=web.1 connect=7001ms service=9ms status=200 bytes=0',
      { process: 'web', connect: 7001, service: 9, status: 200, bytes: 0 },
    ],
    [
      'the longest numbers',
      'connect=999999999ms service=999999999 status=999 bytes=99999999999999',
      { connect: 999_999_999, service: 999_999_999, status: 999, bytes: 99_999_999_999_999 },
    ],
  ])('%s', (_what, text, expected) => {
    expect(read(text)).toEqual(expected)
  })

  test.each([
    ['web.1', 'web'],
    ['run.1234', 'run'],
    ['background_worker.12', 'background_worker'],
    ['my-worker.3', 'my-worker'],
    ['web-abc-123', 'web'],
    ['web-5d8f5f9b8-abcde', 'web'],
    ['my-worker-5d8f5f9b8-abcde', 'my-worker'],
    ['web', 'web'],
    ['web-1', 'web-1'],
    ['', undefined],
  ])('the process type of dyno=%s is %p', (dyno, process) => {
    expect(read(`status=200 dyno=${dyno} bytes=0`)).toEqual({
      status: 200,
      bytes: 0,
      ...(process && { process }),
    })
  })

  test('in whatever order its keys come', () => {
    const keys = `at=error code=H18 path="/a b=c" host=a.example fwd="" ${FIGURES} sock=client tls=true`
    const parts = keys.match(/\w+=(?:"[^"]*"|\S*)/g) ?? []
    fc.assert(
      fc.property(fc.shuffledSubarray(parts, { minLength: parts.length }), (shuffled) => {
        expect(read(shuffled.join(' '))).toEqual({ ...READ, code: 'H18' })
      }),
    )
  })

  test('with any of its values blank', () => {
    const figures = { dyno: 'web.1', connect: '1ms', service: '18ms', status: '200', bytes: '13' }
    const names = ['dyno', 'connect', 'service', 'status', 'bytes'] as const
    fc.assert(
      fc.property(fc.subarray([...names]), (blank) => {
        const values = names.map((name) => `${name}=${blank.includes(name) ? '' : figures[name]}`)
        const rest = Object.entries(READ).filter(([key]) => {
          return !blank.some((name) => (name === 'dyno' ? 'process' : name) === key)
        })
        expect(read(values.join(' '))).toEqual(Object.fromEntries(rest))
      }),
    )
  })
})

describe('real lines', () => {
  /** The plain way, good enough where nobody forges. */
  function expected(text: string): RouterRequest {
    const value = (key: string): string | undefined =>
      new RegExp(`(?:^| )${key}=([^ ]+?)(?:ms)?(?= |$)`).exec(text)?.[1]
    const entries = ['service', 'connect', 'status', 'bytes'].map((key) => [key, value(key)])
    const numbers = entries.flatMap(([key, n]) => (n === undefined ? [] : [[key, Number(n)]]))
    const process = value('dyno')?.replace(/\.\d+$/, '')
    const code = value('code')
    return { ...Object.fromEntries(numbers), ...(process && { process }), ...(code && { code }) }
  }

  testOn([exampleRows], 'of every kind are read', () => {
    const rows = exampleRows.text
      .trimEnd()
      .split('\n')
      .map((row) => JSON.parse(row))
    const texts = rows.filter(({ procid }) => procid === 'router').map(({ msg }) => msg.trimEnd())
    expect(texts).toHaveLength(14)
    for (const text of texts) expect(read(text)).toEqual(expected(text))
  })

  testOn([routerLog], 'of one app are read, and add up', () => {
    const sums = { requests: 0, service: 0, most: 0 }
    const statuses = new Map<number | undefined, number>()
    for (const row of routerLog.text.trimEnd().split('\n')) {
      const found = read(row.slice(row.indexOf(': ') + 2))
      if (found === false) throw new Error(row)
      sums.requests += 1
      sums.service += found.service ?? Number.NaN
      sums.most = Math.max(sums.most, found.service ?? Number.NaN)
      statuses.set(found.status, (statuses.get(found.status) ?? 0) + 1)
    }
    expect({ ...sums, service: (sums.service / sums.requests).toFixed(2) }).toEqual({
      requests: 11_865,
      service: '83.79',
      most: 7029,
    })
    expect(Object.fromEntries(statuses)).toEqual({ 200: 11_122, 304: 741, 400: 2 })
  })
})
