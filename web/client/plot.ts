/** The charts themselves, on uPlot: lines, stacked bars, a heat map, a strip of events. */
import uPlot from 'uplot'
import { ms } from '../pages/format.ts'
import type { Marker } from '../read/markers.ts'
import type { View } from '../view.ts'
import { colour } from './dom.ts'
import type { Line, PanelSpec } from './panels.ts'
import { tick, zone } from './time.ts'

/** The same for all charts, so that they stand below each other. */
export const AXIS_PX = 62
export const RIGHT_PX = 10
const HEIGHT_PX = { lines: 148, stack: 148, heat: 172, strip: 0 } as const
const STRIP_ROW_PX = 16
const STRIP_FRAME_PX = 34

/** Rows of the heat map a doubling. */
const HEAT_ROWS = 4

const POWERS_OF_10 = [1, 10, 100, 1000, 10_000, 100_000]
const POWERS_OF_2 = Array.from({ length: 50 }, (_, power) => 2 ** power)

type Data = (number | null | undefined)[]

export function heightOf(spec: PanelSpec): number {
  return spec.kind === 'strip'
    ? STRIP_FRAME_PX + STRIP_ROW_PX * spec.lines.length
    : HEIGHT_PX[spec.kind]
}

export interface PlotEvents {
  onCursor(plot: uPlot, i: number | null): void
  onSelect(since: number, until: number): void
}

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
      drag: { x: true, y: false, setScale: false, dist: 4 },
    },
    scales: {
      x: { time: true, range: () => rangeOf(context.view()) },
      y: {
        distr: spec.isLog ? 3 : 1,
        range: (_plot, least, most) => yRange(context, least, most),
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
          if (plot.cursor.event !== undefined && plot.cursor.event !== null) {
            events.onCursor(plot, (plot.cursor.left ?? -1) < 0 ? null : (plot.cursor.idx ?? null))
          }
        },
      ],
      setSelect: [
        (plot) => {
          const { left, width: selected } = plot.select
          if (selected < 4) return
          events.onSelect(plot.posToVal(left, 'x'), plot.posToVal(left + selected, 'x'))
          plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false)
        },
      ],
    },
  }
  return new uPlot(options, dataOf(context), target)
}

const rangeOf = ({ sinceMs, untilMs }: View): uPlot.Range.MinMax => [sinceMs / 1000, untilMs / 1000]

function yRange(
  context: PlotContext,
  least: number | null,
  most: number | null,
): uPlot.Range.MinMax {
  const { kind, lines, isLog } = context.spec()
  if (kind === 'strip') return [0, lines.length]
  if (kind === 'heat') return heatRange(context.view())
  if (isLog)
    return [10 ** Math.floor(Math.log10(Math.max(1, least ?? 1))), Math.max(10, most ?? 10) * 1.3]
  return [0, most === null || !(most > 0) ? 1 : most * 1.06]
}

/** Whole doublings, so that the lowest and highest values are in. */
function heatRange({ heat }: View): uPlot.Range.MinMax {
  let low = Number.POSITIVE_INFINITY
  let high = 0
  for (const column of heat) {
    for (let k = 0; k < column.length; k += 2) {
      const row = Math.max(0, column[k] ?? 0)
      if (row < low) low = row
      if (row > high) high = row
    }
  }
  if (low > high) return [0, 8 * HEAT_ROWS]
  const floor = Math.floor(low / HEAT_ROWS) * HEAT_ROWS
  return [floor, Math.max(floor + HEAT_ROWS, Math.ceil((high + 1) / HEAT_ROWS) * HEAT_ROWS)]
}

function axesOf(context: PlotContext): uPlot.Axis[] {
  const font = '11px system-ui, sans-serif'
  const common = {
    stroke: () => colour('muted'),
    font,
    grid: { stroke: () => colour('grid'), width: 1 },
    ticks: { show: false },
  }
  const x: uPlot.Axis = {
    ...common,
    size: 24,
    gap: 4,
    space: 70,
    grid: { show: false },
    values: (_plot, splits) => {
      const { sinceMs, untilMs } = context.view()
      return splits.map((seconds) => tick(seconds, (untilMs - sinceMs) / 1000))
    },
  }
  const { kind, isBinary, isLog } = context.spec()
  const y: uPlot.Axis = { ...common, size: AXIS_PX, gap: 6, space: 34 }
  if (kind === 'lines' || kind === 'stack') {
    y.values = (_plot, splits) =>
      splits.map((value) =>
        value === null ? '' : context.spec().format(value).replace(' / min', ''),
      )
    if (isLog)
      y.splits = (_plot, _axis, low, high) => POWERS_OF_10.filter((n) => n >= low && n <= high)
    if (isBinary) y.incrs = POWERS_OF_2
  } else if (kind === 'heat') {
    y.splits = (plot) => heatSplits(plot)
    y.values = (_plot, splits) => splits.map((row) => ms(2 ** (row / HEAT_ROWS)))
  } else {
    y.splits = () => context.spec().lines.map((_, i) => i + 0.5)
    y.values = (_plot, splits) =>
      splits.map((at) => {
        const { lines } = context.spec()
        return lines[lines.length - 1 - Math.floor(at)]?.label ?? ''
      })
    y.grid = { show: false }
  }
  return [x, y]
}

function heatSplits(plot: uPlot): number[] {
  const [low, high] = [plot.scales.y?.min ?? 0, plot.scales.y?.max ?? 1]
  const step = (high - low) / HEAT_ROWS > 6 ? 2 * HEAT_ROWS : HEAT_ROWS
  const splits: number[] = []
  for (let row = low; row <= high; row += step) splits.push(row)
  return splits
}

function seriesOf(spec: PanelSpec): uPlot.Series[] {
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
    // A value between two gaps is a line of no length: a dot.
    points: {
      show: spec.kind !== 'stack',
      size: 4,
      filter: (plot, index) => lonely(plot.data[index] ?? []),
    },
  }))
}

function lonely(values: ArrayLike<number | null | undefined>): number[] {
  const found: number[] = []
  for (let i = 0; i < values.length; i++) {
    if (values[i] != null && values[i - 1] == null && values[i + 1] == null) found.push(i)
  }
  return found
}

/** What uPlot draws: stacks as sums from below, the tallest first; hidden lines as gaps. */
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

function drawUnder(plot: uPlot, context: PlotContext): void {
  const view = context.view()
  const { kind, lines } = context.spec()
  if (kind === 'heat') drawHeat(plot, view)
  if (kind === 'strip') drawStrip(plot, view, lines)
}

function drawHeat(plot: uPlot, { time, heat, stepMs }: View): void {
  const { ctx } = plot
  let most = 1
  for (const column of heat)
    for (let k = 1; k < column.length; k += 2) most = Math.max(most, column[k] ?? 0)
  ctx.save()
  clip(plot)
  ctx.fillStyle = colour('heat')
  heat.forEach((column, i) => {
    const from = plot.valToPos(time[i] ?? 0, 'x', true)
    const to = plot.valToPos((time[i] ?? 0) + stepMs / 1000, 'x', true)
    for (let k = 0; k < column.length; k += 2) {
      const row = Math.max(0, column[k] ?? 0)
      const top = plot.valToPos(row + 1, 'y', true)
      const bottom = plot.valToPos(row, 'y', true)
      // By the root: what is rare is to be seen beside what is common.
      ctx.globalAlpha = 0.12 + 0.88 * Math.sqrt((column[k + 1] ?? 0) / most)
      ctx.fillRect(from, top, Math.max(1, to - from - 0.5), Math.max(1, bottom - top - 0.5))
    }
  })
  ctx.restore()
}

function drawStrip(plot: uPlot, { time, stepMs }: View, lines: readonly Line[]): void {
  const { ctx } = plot
  ctx.save()
  clip(plot)
  lines.forEach((line, n) => {
    const most = Math.max(1, ...line.values.map((value) => value ?? 0))
    const top = plot.valToPos(lines.length - n, 'y', true)
    const height = plot.valToPos(lines.length - n - 1, 'y', true) - top
    ctx.globalAlpha = 1
    ctx.fillStyle = colour('grid')
    ctx.fillRect(plot.bbox.left, top + height - 1, plot.bbox.width, 1)
    ctx.fillStyle = colour(line.colour)
    line.values.forEach((value, i) => {
      if (value === null || value === 0) return
      const from = plot.valToPos(time[i] ?? 0, 'x', true)
      const to = plot.valToPos((time[i] ?? 0) + stepMs / 1000, 'x', true)
      ctx.globalAlpha = 0.45 + 0.55 * (value / most)
      ctx.fillRect(from, top + 2, Math.max(2, to - from - 0.5), height - 4)
    })
  })
  ctx.restore()
}

function drawMarkers(plot: uPlot, markers: readonly Marker[]): void {
  const { ctx } = plot
  ctx.save()
  clip(plot)
  ctx.lineWidth = Math.max(1, Math.round(devicePixelRatio))
  for (const marker of markers) {
    const x = Math.round(plot.valToPos(marker.time, 'x', true)) + 0.5
    ctx.strokeStyle = colour(markerColour(marker.kind))
    ctx.globalAlpha = 0.75
    ctx.setLineDash(isChange(marker.kind) ? [] : [3 * devicePixelRatio, 3 * devicePixelRatio])
    ctx.beginPath()
    ctx.moveTo(x, plot.bbox.top)
    ctx.lineTo(x, plot.bbox.top + plot.bbox.height)
    ctx.stroke()
  }
  ctx.restore()
}

function clip(plot: uPlot): void {
  const { left, top, width, height } = plot.bbox
  plot.ctx.beginPath()
  plot.ctx.rect(left, top, width, height)
  plot.ctx.clip()
}

const isChange = (kind: string): boolean =>
  ['deploy', 'release', 'rollback', 'config', 'scale', 'addon'].includes(kind)

export function markerColour(kind: string): string {
  if (kind === 'crash' || kind === 'maintenance') return 'critical'
  if (kind === 'config' || kind === 'addon') return 'k-config'
  if (kind === 'scale') return 'k-scale'
  return isChange(kind) ? 'k-deploy' : 'muted'
}
