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

/** As a picture of a pixel for each step and row, drawn large: thousands of rectangles take longer. */
function drawHeat(plot: uPlot, { sinceMs, time, heat, stepMs }: View): void {
  const { ctx, scales } = plot
  const px = (value: number, scale: string): number => Math.round(plot.valToPos(value, scale, true))
  const since = time[0] ?? sinceMs / 1000
  const [left, right] = [px(since, 'x'), px(since + (heat.length * stepMs) / 1000, 'x')]
  const [low, high] = [scales.y?.min ?? 0, scales.y?.max ?? 1]
  const [top, bottom] = [px(high, 'y'), px(low, 'y')]
  // Steps that share a pixel of the chart share one of the picture: none is lost.
  const width = Math.max(1, Math.min(heat.length, right - left))
  const counts = new Float64Array(width * (high - low))
  const lowest = lowestRows(heat)
  heat.forEach((column, i) => {
    const x = Math.floor((i * width) / heat.length)
    eachCell(column, (highest, n) => {
      for (let row = lowest(highest); row <= highest; row++) {
        const at = (high - 1 - row) * width + x
        counts[at] = (counts[at] ?? 0) + n
      }
    })
  })
  const canvas = new OffscreenCanvas(width, high - low)
  canvas.getContext('2d')?.putImageData(pictureOf(counts, width, high - low), 0, 0)
  ctx.save()
  clip(plot)
  ctx.imageSmoothingEnabled = false
  ctx.drawImage(canvas, left, top, right - left, bottom - top)
  ctx.restore()
}

/** A pixel for each count, the stronger the more. */
function pictureOf(counts: Float64Array, width: number, height: number): ImageData {
  const most = counts.reduce((high, n) => Math.max(high, n), 1)
  const rgb = (colour('heat').match(/[\d.]+/g) ?? []).map(Number)
  const picture = new ImageData(width, height)
  const { data } = picture
  counts.forEach((n, i) => {
    if (n === 0) return
    for (let part = 0; part < 3; part++) data[4 * i + part] = rgb[part] ?? 0
    // By the root: what is rare is to be seen beside what is common.
    data[4 * i + 3] = 255 * (0.12 + 0.88 * Math.sqrt(n / most))
  })
  return picture
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
