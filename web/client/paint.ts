/** What uPlot does not draw: the heat map, the strip of events, and the lines of markers. */
import type uPlot from 'uplot'
import type { Marker } from '../read/markers.ts'
import type { View } from '../view.ts'
import { colour } from './dom.ts'
import { eachCell, lowestRows } from './heat.ts'
import type { Line } from './panels.ts'
import type { PlotContext } from './plot.ts'

/** Under the lines of a chart. */
export function drawUnder(plot: uPlot, context: PlotContext): void {
  const { kind, lines } = context.spec()
  if (!context.view().isKnown.includes(true)) drawNothing(plot)
  if (kind === 'heat') drawHeat(plot, context.view())
  if (kind === 'strip') drawStrip(plot, context.view(), lines)
}

function drawNothing({ ctx, bbox }: uPlot): void {
  ctx.save()
  ctx.fillStyle = colour('muted')
  ctx.font = `${12 * devicePixelRatio}px system-ui, sans-serif`
  ctx.textAlign = 'center'
  ctx.fillText('No data in this range', bbox.left + bbox.width / 2, bbox.top + bbox.height / 2)
  ctx.restore()
}

function drawHeat(plot: uPlot, { time, heat, stepMs }: View): void {
  const { ctx } = plot
  let most = 1
  for (const column of heat) eachCell(column, (_row, n) => (most = Math.max(most, n)))
  const lowest = lowestRows(heat)
  const rows = new Map<number, [top: number, height: number]>()
  const rowPx = (row: number): [top: number, height: number] => {
    const top = Math.round(plot.valToPos(row + 1, 'y', true))
    const bottom = Math.round(plot.valToPos(lowest(row), 'y', true))
    return [top, Math.max(1, bottom - top)]
  }
  ctx.save()
  clip(plot)
  ctx.fillStyle = colour('heat')
  heat.forEach((column, i) => {
    const [from, width] = stepPx(plot, time[i] ?? 0, stepMs)
    eachCell(column, (row, n) => {
      const place = rows.get(row) ?? rowPx(row)
      rows.set(row, place)
      const [top, height] = place
      // By the root: what is rare is to be seen beside what is common.
      ctx.globalAlpha = 0.12 + 0.88 * Math.sqrt(n / most)
      ctx.fillRect(from, top, width, height)
    })
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
      const [from, width] = stepPx(plot, time[i] ?? 0, stepMs)
      ctx.globalAlpha = 0.45 + 0.55 * (value / most)
      ctx.fillRect(from, top + 2, Math.max(2, width), height - 4)
    })
  })
  ctx.restore()
}

/** Where a step begins, and how wide it is: whole pixels, so that neighbours leave no seam. */
function stepPx(plot: uPlot, startSeconds: number, stepMs: number): [number, number] {
  const from = Math.round(plot.valToPos(startSeconds, 'x', true))
  const to = Math.round(plot.valToPos(startSeconds + stepMs / 1000, 'x', true))
  return [from, Math.max(1, to - from)]
}

/** A line for each; of what happened by itself it is dashed. */
export function drawMarkers(plot: uPlot, markers: readonly Marker[]): void {
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
  if (kind === 'crash' || kind === 'maintenance' || kind === 'incident') return 'critical'
  if (kind === 'config' || kind === 'addon') return 'k-config'
  if (kind === 'scale') return 'k-scale'
  return isChange(kind) ? 'k-deploy' : 'muted'
}
