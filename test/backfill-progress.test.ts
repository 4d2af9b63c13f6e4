/** What a backfill says of how far it is. */
import { expect, test } from 'bun:test'
import { Progress } from '../batch/backfill-progress.ts'

/** A terminal, or a file, that keeps what is written; and a clock that the test moves. */
function begun(terminal: { isTTY?: boolean; columns?: number }) {
  const at = { ms: 0 }
  const written: string[] = []
  const output = { ...terminal, write: (text: string) => void written.push(text) }
  return { at, written, progress: new Progress(output, () => at.ms) }
}

const CLEAR = '\r\u001b[K'

test('a terminal has a bar, the rate and the time left, drawn over and over in one line', () => {
  const { at, written, progress } = begun({ isTTY: true, columns: 100 })
  progress.start({ name: 'scan', unit: 'records' }, 4000)
  at.ms = 1000
  progress.add('records', 1000, 50_000)
  at.ms = 1001
  progress.add('records', 1000, 50_000)
  at.ms = 2000
  progress.add('records', 1000, 50_000)
  expect(written).toEqual([
    `${CLEAR}[###.........] scan 25 %, 1,000 records/s, 50,000 requests/s, 3 s left`,
    `${CLEAR}[#########...] scan 75 %, 1,500 records/s, 75,000 requests/s, 1 s left`,
  ])
  progress.say('done')
  progress.say('really')
  expect(written.slice(2)).toEqual([CLEAR, 'done\n', 'really\n'])
})

test('a line that a narrow terminal would wrap is cut: what is wrapped is never cleared', () => {
  for (const columns of [40, undefined]) {
    const { at, written, progress } = begun({ isTTY: true, ...(columns && { columns }) })
    progress.start({ name: 'scan', unit: 'records' }, 4e15)
    at.ms = 1000
    progress.add('records', 1e13, 1e13)
    expect(written[0]?.slice(CLEAR.length)).toHaveLength((columns ?? 80) - 1)
  }
})

test('a file has a line each ten seconds', () => {
  const { at, written, progress } = begun({})
  progress.start({ name: 'scan', unit: 'records' }, 1000)
  for (; at.ms < 25_000; at.ms += 1000) progress.add('records', 1)
  expect(written).toEqual([
    'backfill: scan 1 %, 1 records/s, 15 min left\n',
    'backfill: scan 2 %, 1 records/s, 16 min left\n',
  ])
})

test('records that come while slices are replaced are no slices', () => {
  const { at, written, progress } = begun({ isTTY: true, columns: 100 })
  progress.start({ name: 'replace', unit: 'slices' }, 4)
  at.ms = 1000
  progress.add('records', 100, 5000)
  progress.add('slices', 1)
  expect(written).toEqual([`${CLEAR}[###.........] replace 25 %, 1 slices/s, 3 s left`])
})

test('who is stopped takes the bar away', () => {
  const { at, written, progress } = begun({ isTTY: true, columns: 100 })
  progress.start({ name: 'scan', unit: 'records' }, 10)
  progress.end()
  expect(written).toEqual([])
  at.ms = 1000
  progress.add('records', 1)
  progress.end()
  progress.end()
  expect(written.slice(1)).toEqual([CLEAR])
})
