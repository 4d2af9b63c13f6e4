/** The router's lines as they come, with all their traps, from the drain to the record in the log. */
import { afterAll, describe, expect, test } from 'bun:test'
import { message, request, requestsOf, startEdge, TIME_MS, totals } from './edge.ts'

const edge = await startEdge()
afterAll(() => edge.stop())

describe('a router’s line is read as it is meant:', () => {
  const [web, time] = [{ process: 'web' }, new Date(TIME_MS).toISOString()]
  test.each<[string, string, object]>([
    [
      'no ms on durations',
      'dyno=web.1 connect=0 service=2 status=502 bytes=537',
      { process: 'web', connect: 0, service: 2, status: 502, bytes: 537 },
    ],
    [
      'blank values are absent, not 0',
      'at=error code=H10 desc="App crashed" path="/" dyno= connect= service= status=503 bytes=',
      { ...web, status: 503, code: 'H10' },
    ],
    [
      'a blank connect alone',
      'at=error code=H12 dyno=web.1 connect= service=30000ms status=503 bytes=0',
      { ...web, service: 30_000, status: 503, bytes: 0, code: 'H12' },
    ],
    [
      'spaces in a quoted path',
      'path="/api/Schlachter 1951/books" dyno=web.1 connect=0ms service=74ms status=200 bytes=1',
      { ...web, connect: 0, service: 74, status: 200, bytes: 1 },
    ],
    [
      'figures in a quoted path are the client’s',
      'path="/a service=1ms status=500 dyno=x.1 code=H12" dyno=web.1 service=9ms status=200',
      { ...web, service: 9, status: 200 },
    ],
    [
      'figures in a bare path are the client’s',
      'path=/?status=500&service=1 dyno=web.1 service=9ms status=200',
      { ...web, service: 9, status: 200 },
    ],
    [
      'quotes and equals signs in a path',
      'path="/?q="a"=b" dyno=web.1 service=9ms status=200',
      { ...web, service: 9, status: 200 },
    ],
    [
      'keys in any order',
      'bytes=7 status=204 service=3ms connect=1ms dyno=worker.12 path=/ at=info',
      { process: 'worker', connect: 1, service: 3, status: 204, bytes: 7 },
    ],
    [
      'sock before at, H18 with status 200',
      'sock=backend at=error code=H18 desc="Server Request Interrupted" path="/x" dyno=web.1 connect=0ms service=710ms status=200 bytes=0 protocol=http1.1 tls=true tls_version=unknown',
      { ...web, connect: 0, service: 710, status: 200, bytes: 0, code: 'H18' },
    ],
    [
      'H27 at warning',
      'sock=client at=warning code=H27 desc="Client Request Interrupted" dyno=web.1 connect=1ms service=0ms status=499 bytes=0',
      { ...web, connect: 1, service: 0, status: 499, bytes: 0, code: 'H27' },
    ],
    [
      'H28 at warning',
      'at=warning code=H28 desc="Client Connection Idle" dyno=web.1 connect=1ms service=55000ms status=499 bytes=0',
      { ...web, connect: 1, service: 55_000, status: 499, bytes: 0, code: 'H28' },
    ],
    [
      'H24 without a status',
      'at=error code=H24 desc="Forced close" dyno=web.1 connect=1ms service=2ms status= bytes=',
      { ...web, connect: 1, service: 2, code: 'H24' },
    ],
    [
      'an old code',
      'at=info code=blank-app desc="Blank app" dyno= connect= service= status=502 bytes=',
      { ...web, status: 502, code: 'blank-app' },
    ],
    [
      'a dyno of Fir',
      'dyno=web-api-5d8f5f9b8-abcde connect=0ms service=1ms status=200 bytes=2',
      { process: 'web-api', connect: 0, service: 1, status: 200, bytes: 2 },
    ],
    [
      'a cold dyno',
      'dyno=web.1 connect=7001ms service=29999ms status=200 bytes=10000000000000',
      { ...web, connect: 7001, service: 29_999, status: 200, bytes: 1e13 },
    ],
    [
      'unknown keys',
      'tls=true dyno=web.1 service=1ms status=101 queue=0 wait=0ms cause="bad header"',
      { ...web, service: 1, status: 101 },
    ],
  ])('%s', async (_, text, expected) => {
    const burst = await edge.burstOf(message(text))
    expect(requestsOf(burst)).toEqual([{ time, process: '', ...expected }])
    expect(totals(burst)).toEqual({ received: 1, kept: 1 })
  })

  test.each([
    'hello',
    '',
    'path="/"',
    'service=soon status=200',
    'status=2000',
    'dyno=<b>.1 status=200',
    'status=-1',
    'service=1.5ms status=200',
  ])('what can’t be read is malformed, and costs no other line: %p', async (text) => {
    const burst = await edge.burstOf(request(), message(text), request())
    expect(requestsOf(burst)).toHaveLength(2)
    expect(totals(burst)).toEqual({ received: 3, kept: 2, malformed: 1 })
  })
})
