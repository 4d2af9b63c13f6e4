/** What charts make of the numbers, before they are drawn. */
import { describe, expect, test } from 'bun:test'
import { metricPanel } from '../web/client/metric-panels.ts'
import { length } from '../web/pages/format.ts'
import type { Series } from '../web/read/signals.ts'
import type { View } from '../web/view.ts'

describe('a counter of the app', () => {
  const time = [0, 60, 120]
  const series: Series = {
    ...{ kind: 'counter', process: 'web', name: 'custom.orders', source: '' },
    ...{ buckets: time, values: [120, 120, 30], highs: [] },
  }
  const panel = (lastSeconds: number) => {
    const view: Pick<View, 'time' | 'seconds'> = { time, seconds: [60, 60, lastSeconds] }
    return metricPanel(view, series)
  }

  test('does not fall in the minute that has not passed: it is drawn per minute', () => {
    const { lines, tableColumns } = panel(15)
    expect(lines.map(({ values }) => values)).toEqual([[120, 120, 120]])
    expect(tableColumns?.().map(({ values }) => values)).toEqual([[120, 120, 30]])
  })

  test('is a gap where too little of the minute has passed to say', () => {
    expect(panel(4).lines[0]?.values).toEqual([120, 120, null])
  })
})

test('a step is named by the unit that it is whole in', () => {
  const words = [60, 600, 5400, 7200, 86_400, 604_800].map(length)
  expect(words).toEqual(['1 min', '10 min', '90 min', '2 h', '1 d', '7 d'])
})
