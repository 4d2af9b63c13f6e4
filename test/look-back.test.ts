/** What looking back for late bursts costs, on a real log. */
import { afterEach, expect, spyOn, test } from 'bun:test'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { lookBack } from '../batch/aggregate-look-back.ts'
import { EmbeddedLog } from '../broker/embedded.ts'
import { LATE_MS } from '../core/late.ts'
import { rawBurst } from './bursts.ts'

const folder = mkdtempSync(join(tmpdir(), 'shelf-late-'))
const log = new EmbeddedLog({ folder, topics: { raw: { partitions: 1 } } })
afterEach(() => {
  log.close()
  rmSync(folder, { recursive: true })
})

test('a burst that is late, and whose receipt the window of ids covers, costs no read', async () => {
  const receivedAtMs = Date.now() - 2 * LATE_MS
  const value = rawBurst({ number: 1, receivedAtMs, lostL10: 0 })
  for (let i = 0; i < 50; i++) await log.produce([{ topic: 'raw', key: 'shop', value }])
  const records = (await log.read('raw', 0, 0)).slice(25)
  const reads = spyOn(log, 'read')
  const { found } = await lookBack(log, 0, records)
  expect(found.size).toBe(1)
  expect(reads).not.toHaveBeenCalled()
})
