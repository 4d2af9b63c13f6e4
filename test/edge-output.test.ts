/** What the edge itself prints, as a program: nothing of a line, a post, a credential. */
import { afterAll, expect, setDefaultTimeout, test } from 'bun:test'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { drainSecret } from '../core/credential.ts'
import { APP, basic, body, KEY, postDrain, request, startEdge, TEST_MS_MAX } from './edge.ts'
import { METRICS_PATH, secondsAgo } from './edge-metrics.ts'
import { startProcess } from './edge-runtimes.ts'
import { leaksIn, plantedLines, SECRETS } from './edge-secrets.ts'

setDefaultTimeout(TEST_MS_MAX)

/** For its broker; the edge of the test is the program below. */
const edge = await startEdge()
afterAll(() => edge.stop())

const folder = mkdtempSync(join(tmpdir(), 'shelf-edge-output-'))
afterAll(() => rmSync(folder, { recursive: true }))

test.each(['dev', 'bun', 'deno'] as const)(
  'in %s, nothing of what is posted is printed, whatever comes of it',
  async (runtime) => {
    const spoolDir = join(folder, runtime)
    // What it writes to stdout is among its words too.
    const program = await startProcess(runtime, edge.bindings, spoolDir, '0', 'exec 1>&2')
    const { url } = program
    const secret = await drainSecret(KEY, APP, 'd1')
    try {
      const planted = body(...plantedLines())
      const metrics = { gauges: Object.fromEntries(Object.keys(SECRETS).map((name) => [name, 1])) }
      const json = { 'content-type': 'application/json', 'measurements-time': secondsAgo(0) }
      const inPath = `${METRICS_PATH}/${APP}/${secret}`
      const [email = ''] = Object.keys(SECRETS)
      const statusOf = async (...posted: Parameters<typeof postDrain>): Promise<number> => {
        const response = await postDrain(...posted)
        // An answer does not repeat it either.
        expect(leaksIn(await response.text())).toEqual([])
        return response.status
      }
      expect(await statusOf(url, planted)).toBe(204)
      expect(await statusOf(url, planted.subarray(7))).toBe(204)
      expect(await statusOf(url, planted, { headers: { 'content-type': email } })).toBe(415)
      expect(await statusOf(url, planted, { headers: { 'content-encoding': 'br' } })).toBe(400)
      expect(await statusOf(url, planted, { headers: { 'content-encoding': 'gzip' } })).toBe(400)
      const authorization = basic(email, secret)
      expect(await statusOf(url, planted, { headers: { authorization } })).toBe(401)
      expect(await statusOf(url, planted, { path: `/drains/${email}` })).toBe(404)
      expect(await statusOf(url, JSON.stringify(metrics), { path: inPath, headers: json })).toBe(
        200,
      )
      expect(await statusOf(url, email, { path: inPath, headers: json })).toBe(400)
      const badTime = { ...json, 'measurements-time': email }
      expect(await statusOf(url, '{}', { path: inPath, headers: badTime })).toBe(400)
      const badProcess = `${inPath}?process=${email}`
      expect(await statusOf(url, '{}', { path: badProcess, headers: json })).toBe(400)
      await edge.brokerDown()
      expect(await statusOf(url, planted)).toBe(204)
      // The spool can't be written any more: dev's bucket is not ours to break.
      if (runtime !== 'dev') {
        rmSync(join(spoolDir, 'new'), { recursive: true })
        expect(await statusOf(url, planted)).toBe(503)
      }
      edge.brokerUp()
      expect(await statusOf(url, body(request()))).toBe(204)
    } finally {
      await program.stop()
    }
    const output = program.words()
    expect(output).toContain('ready at')
    expect(leaksIn(output)).toEqual([])
    expect(output).not.toContain(secret.slice(-20))
    expect(output).not.toContain(KEY.key.slice(0, 20))
  },
)
