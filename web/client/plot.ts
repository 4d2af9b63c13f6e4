/** A chart on uPlot: lines, stacked bars, a heat map, or a strip of events. */
import uPlot from 'uplot'
import type { View } from '../view.ts'
import { axesOf, RIGHT_PX } from './axes.ts'
import { eachCell, HEAT_ROWS } from './heat.ts'
import { drawMarkers, drawUnder } from './paint.ts'
import type { PanelSpec } from './panels.ts'
import { dataOf, seriesOf } from './series.ts'
import { zone } from './time.ts'

const HEIGHT_PX = { lines: 148, stack: 148, heat: 172, strip: 0 } as const
const SMALL_HEIGHT_PX = 104
const STRIP_ROW_PX = 16
const STRIP_FRAME_PX = 34
/** What is dragged over less was a click. */
const DRAG_PX_MIN = 4

export function heightOf({ kind, isSmall, lines }: PanelSpec): number {
  if (kind === 'strip') return STRIP_FRAME_PX + STRIP_ROW_PX * lines.length
  return isSmall ? SMALL_HEIGHT_PX : HEIGHT_PX[kind]
}

export interface PlotEvents {
  onCursor(plot: uPlot, i: number | null): void
  onSelect(since: number, until: number): void
}

/** What a chart is of, as it is now: it is drawn anew when that has changed. */
export interface PlotContext {
  view: () => View
  hidden: () => ReadonlySet<string>
  spec: () => PanelSpec
}

export function makePlot(
  context: PlotContext,
  width: number,
  events: PlotEvents,
  target: HTMLElement,
): uPlot {
  const spec = context.spec()
  const options: uPlot.Options = {
    width,
    height: heightOf(spec),
    legend: { show: false },
    padding: [8, RIGHT_PX, 0, 0],
    tzDate: (seconds) => {
      const zoned = zone()
      const date = new Date(seconds * 1000)
      return zoned === undefined ? date : uPlot.tzDate(date, zoned)
    },
    cursor: {
      y: spec.kind === 'heat',
      points: { show: spec.kind === 'lines' },
      drag: { x: true, y: false, setScale: false, dist: DRAG_PX_MIN },
    },
    scales: {
      x: { time: true, range: () => timeRange(context.view()) },
      y: {
        distr: spec.isLog ? 3 : 1,
        range: (_plot, least, most) => valueRange(context, least, most),
      },
    },
    axes: axesOf(context),
    series: [{}, ...seriesOf(spec)],
    hooks: {
      drawClear: [(plot) => drawUnder(plot, context)],
      draw: [(plot) => drawMarkers(plot, context.view().markers)],
      setCursor: [
        (plot) => {
          // Only of the chart that the pointer is over: others follow.
          if (plot.cursor.event === undefined || plot.cursor.event === null) return
          events.onCursor(plot, (plot.cursor.left ?? -1) < 0 ? null : (plot.cursor.idx ?? null))
        },
      ],
      setSelect: [
        (plot) => {
          const { left, width: selected } = plot.select
          if (selected < DRAG_PX_MIN) return
          events.onSelect(plot.posToVal(left, 'x'), plot.posToVal(left + selected, 'x'))
          plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false)
        },
      ],
    },
  }
  return new uPlot(options, dataOf(context), target)
}

const timeRange = ({ sinceMs, untilMs }: View): uPlot.Range.MinMax => [
  sinceMs / 1000,
  untilMs / 1000,
]

function valueRange(
  context: PlotContext,
  least: number | null,
  most: number | null,
): uPlot.Range.MinMax {
  const { kind, lines, isLog } = context.spec()
  if (kind === 'strip') return [0, lines.length]
  if (kind === 'heat') return heatRange(context.view())
  if (isLog) {
    const floor = 10 ** Math.floor(Math.log10(Math.max(1, least ?? 1)))
    return [floor, Math.max(10 * floor, (most ?? 0) * 1.3)]
  }
  const floor = Math.min(0, least ?? 0)
  return [floor, most === null || !(most > 0) ? Math.max(1, floor + 1) : most * 1.06]
}

/** Whole doublings, so that the lowest and highest values are in. */
function heatRange({ heat }: View): uPlot.Range.MinMax {
  let low = Number.POSITIVE_INFINITY
  let high = 0
  for (const column of heat) {
    eachCell(column, (row) => {
      low = Math.min(low, row)
      high = Math.max(high, row)
    })
  }
  if (low > high) return [0, 8 * HEAT_ROWS]
  const floor = Math.floor(low / HEAT_ROWS) * HEAT_ROWS
  return [floor, Math.max(floor + HEAT_ROWS, Math.ceil((high + 1) / HEAT_ROWS) * HEAT_ROWS)]
}
