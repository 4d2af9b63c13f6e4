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

/** As a picture with a pixel for each step and row, drawn large: thousands of rectangles take longer. */
function drawHeat(plot: uPlot, { sinceMs, time, heat, stepMs }: View): void {
  const { ctx } = plot
  const [low, high] = [plot.scales.y?.min ?? 0, plot.scales.y?.max ?? 1]
  const [width, height] = [heat.length, high - low]
  const counts = new Float64Array(width * height)
  const lowest = lowestRows(heat)
  heat.forEach((column, i) => {
    eachCell(column, (top, n) => {
      for (let row = lowest(top); row <= top; row++) {
        const at = (high - 1 - row) * width + i
        counts[at] = (counts[at] ?? 0) + n
      }
    })
  })
  const most = counts.reduce((least, n) => Math.max(least, n), 1)
  const [red = 0, green = 0, blue = 0] =
    colour('heat')
      .match(/[\d.]+/g)
      ?.map(Number) ?? []
  const picture = new ImageData(width, height)
  const { data } = picture
  for (let at = 0; at < counts.length; at++) {
    const n = counts[at] ?? 0
    if (n === 0) continue
    data[at * 4] = red
    data[at * 4 + 1] = green
    data[at * 4 + 2] = blue
    // By the root: what is rare is to be seen beside what is common.
    data[at * 4 + 3] = 255 * (0.12 + 0.88 * Math.sqrt(n / most))
  }
  const canvas = new OffscreenCanvas(width, height)
  canvas.getContext('2d')?.putImageData(picture, 0, 0)
  const startSeconds = time[0] ?? sinceMs / 1000
  const px = (value: number, scale: string): number => Math.round(plot.valToPos(value, scale, true))
  const [left, right] = [px(startSeconds, 'x'), px(startSeconds + (width * stepMs) / 1000, 'x')]
  const [top, bottom] = [px(high, 'y'), px(low, 'y')]
  ctx.save()
  clip(plot)
  ctx.imageSmoothingEnabled = false
  ctx.drawImage(canvas, left, top, right - left, bottom - top)
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
