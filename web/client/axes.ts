/** The axes of the charts: the same place for all, so that they stand below each other. */
import type uPlot from 'uplot'
import { ms } from '../pages/format.ts'
import { colour } from './dom.ts'
import { HEAT_ROWS } from './heat.ts'
import type { PanelSpec } from './panels.ts'
import type { PlotContext } from './plot.ts'
import { tick } from './time.ts'

/** Left of what is drawn: room for the labels. */
export const AXIS_PX = 62
const SMALL_AXIS_PX = 52
/** Right of what is drawn. */
export const RIGHT_PX = 10
/** A label of the y axis wants this height at least. */
const LABEL_PX = 34

const POWERS_OF_10 = [1, 10, 100, 1000, 10_000, 100_000]
const POWERS_OF_2 = Array.from({ length: 50 }, (_, power) => 2 ** power)

/** How wide the y axis is. */
export const axisPx = ({ isSmall = false }: PanelSpec): number =>
  isSmall ? SMALL_AXIS_PX : AXIS_PX

export function axesOf(context: PlotContext): uPlot.Axis[] {
  return [timeAxis(context), valueAxis(context)]
}

const common = (): uPlot.Axis => ({
  stroke: () => colour('muted'),
  font: '11px system-ui, sans-serif',
  grid: { stroke: () => colour('grid'), width: 1 },
  ticks: { show: false },
})

function timeAxis(context: PlotContext): uPlot.Axis {
  return {
    ...common(),
    size: 24,
    gap: 4,
    space: 70,
    grid: { show: false },
    values: (_plot, splits) => {
      const { sinceMs, untilMs } = context.view()
      return splits.map((seconds) => tick(seconds, (untilMs - sinceMs) / 1000))
    },
  }
}

function valueAxis(context: PlotContext): uPlot.Axis {
  const spec = context.spec()
  const axis: uPlot.Axis = { ...common(), size: axisPx(spec), gap: 6, space: LABEL_PX }
  if (spec.kind === 'heat') {
    const values = (splits: number[]) => splits.map((row) => ms(2 ** (row / HEAT_ROWS)))
    return { ...axis, splits: heatSplits, values: (_plot, splits) => values(splits) }
  }
  if (spec.kind === 'strip') {
    return {
      ...axis,
      grid: { show: false },
      splits: () => context.spec().lines.map((_, i) => i + 0.5),
      values: (_plot, splits) =>
        splits.map((at) => context.spec().lines.toReversed()[Math.floor(at)]?.label ?? ''),
    }
  }
  const format = (value: number): string => context.spec().format(value).replace(' / min', '')
  if (spec.isBinary) axis.incrs = POWERS_OF_2
  if (spec.isLog) {
    axis.splits = (_plot, _axis, low, high) => POWERS_OF_10.filter((n) => n >= low && n <= high)
    axis.filter = (_plot, splits) => splits
  }
  return {
    ...axis,
    values: (_plot, splits) => {
      // Without any value there is no scale either.
      const isEmpty = !context.view().isKnown.includes(true)
      return splits.map((value) => (value === null || isEmpty ? '' : format(value)))
    },
  }
}

function heatSplits(plot: uPlot): number[] {
  const [low, high] = [plot.scales.y?.min ?? 0, plot.scales.y?.max ?? 1]
  const step = (high - low) / HEAT_ROWS > 6 ? 2 * HEAT_ROWS : HEAT_ROWS
  const splits: number[] = []
  for (let row = low; row <= high; row += step) splits.push(row)
  return splits
}
