/** Texts that someone made to be slow to read. The edge has 5 s for a body that may hold many. */
import { describe, expect, test } from 'bun:test'
import { parseApiLine } from '../core/api-line.ts'
import { Cells } from '../core/cell.ts'
import { parseDynoLine, processOf } from '../core/dyno-line.ts'
import { FRAME_BYTES_MAX } from '../core/frames.ts'
import { isName } from '../core/point.ts'
import { parseSamples } from '../core/samples.ts'
import { emptySignals } from '../core/signals.ts'
import { parseQuantity, VALUE_MAX, VALUE_MIN } from '../core/units.ts'

/** Generous, because other tests run beside these: each takes about a millisecond, or seconds. */
const MS_MAX = 500

const PARSERS = { parseApiLine, parseDynoLine, processOf, parseSamples, parseQuantity, isName }

const OPENINGS = [
  '',
  'Set ',
  'Set A',
  'Scaled to ',
  'Config add ',
  'Deploy ',
  '@ref:',
  'Process running mem=',
  'State changed from ',
  'Process exited with status ',
  'source=',
  'sample#a=',
]

const FILLINGS = [
  ...[' ', '.', 'a', '9', '-', '=', '#', '"', ',', '\n'],
  ...['a ', ' a', 'a-', '9.', ', ', 'FOO, ', ' by ', ' by user ', ' config', ' config vars '],
  ...['a@1 ', '@1', 'sample#', 'sample#a ', 'sample#a=1 ', 'source=a ', 'measure.', '1:', 'f0:'],
]

const ENDINGS = ['', 'x', ' x', '!', ' by user x', ' config vars']

describe('64 KiB of whatever are read at once', () => {
  test.each(Object.entries(PARSERS))('by %s', (_name, parse) => {
    for (const opening of OPENINGS) {
      for (const filling of FILLINGS) {
        for (const ending of ENDINGS) {
          const times = Math.floor((FRAME_BYTES_MAX - 40) / filling.length)
          const text = opening + filling.repeat(times) + ending
          const startedMs = performance.now()
          parse(text)
          const tookMs = performance.now() - startedMs
          if (tookMs > MS_MAX) throw new Error(`${tookMs} ms for ${opening}${filling}…${ending}`)
        }
      }
    }
  })
})

test('two values as far apart as there are take little memory as a histogram', () => {
  const point = { kind: 'measure' as const, timeMs: 0, process: 'web', name: 'a', source: '' }
  const values = ['1e-99', '1e-9', '1e15'].map((text) => parseQuantity(text) ?? Number.NaN)
  expect(values).toEqual([0, VALUE_MIN, VALUE_MAX])
  const cells = new Cells()
  const points = values.map((value) => ({ ...point, value }))
  cells.addSignals('demo', { ...emptySignals(), points })
  const [cell] = cells.measures.values()
  expect(cell?.histogram.counts.byteLength).toBeLessThan(25_000)
})
