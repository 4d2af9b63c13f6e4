/** What uPlot draws of a chart: its series, and their numbers. */
import uPlot from 'uplot'
import { colour } from './dom.ts'
import { HEAT_ROWS } from './heat.ts'
import type { Line, PanelSpec } from './panels.ts'
import type { PlotContext } from './plot.ts'

type Data = (number | null | undefined)[]

export function seriesOf(spec: PanelSpec): uPlot.Series[] {
  if (spec.kind === 'strip') return spec.lines.map(() => ({ show: true, paths: () => null }))
  const { bars } = uPlot.paths
  return spec.lines.map((line) => ({
    stroke: () => colour(line.colour),
    width: spec.kind === 'stack' ? 0 : 1.5,
    ...(spec.kind === 'stack' ? { fill: () => colour(line.colour) } : {}),
    ...(spec.kind === 'stack' && bars !== undefined
      ? { paths: bars({ size: [0.9, 60], align: 1, gap: 0 }) }
      : {}),
    ...(line.isDashed ? { dash: [5, 4] } : {}),
    points: spec.kind === 'stack' ? { show: false } : DOTS,
  }))
}

/** A value between two gaps is a line of no length: a dot. */
export const DOTS: uPlot.Series.Points = {
  show: true,
  size: 4,
  filter: (plot, index) => lonely(plot.data[index] ?? []),
}

function lonely(values: ArrayLike<number | null | undefined>): number[] {
  const found: number[] = []
  for (let i = 0; i < values.length; i++) {
    if (values[i] != null && values[i - 1] == null && values[i + 1] == null) found.push(i)
  }
  return found
}

/** Stacks as sums from below, the tallest first; hidden lines as gaps. */
export function dataOf(context: PlotContext): uPlot.AlignedData {
  const { time } = context.view()
  const { kind, lines } = context.spec()
  const hidden = context.hidden()
  const shown = lines.map((line) => (hidden.has(line.key) ? null : line))
  if (kind === 'strip') return [time, ...lines.map(() => time.map((): null => null))]
  if (kind === 'heat') return [time, ...shown.map((line) => asRows(line, time.length))]
  if (kind !== 'stack') return [time, ...shown.map((line) => line?.values ?? gaps(time.length))]
  return [time, ...stacked(shown, time.length)]
}

const gaps = (length: number): Data => Array.from({ length }, () => null)

const asRows = (line: Line | null, length: number): Data =>
  line === null
    ? gaps(length)
    : line.values.map((value) =>
        value === null ? null : Math.max(0, Math.log2(Math.max(value, 1)) * HEAT_ROWS),
      )

/** The first is drawn first, so it is the tallest: the last one stands at the bottom. */
function stacked(lines: readonly (Line | null)[], length: number): Data[] {
  const below: number[] = Array.from({ length }, () => 0)
  const add = (line: Line | null): Data =>
    line === null
      ? gaps(length)
      : line.values.map((value, i) => {
          if (value === null) return null
          below[i] = (below[i] ?? 0) + value
          return below[i]
        })
  return lines.toReversed().map(add).toReversed()
}
