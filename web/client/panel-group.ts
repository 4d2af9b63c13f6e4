/** Charts that stand together, kept in step with what they are to show. */
import type uPlot from 'uplot'
import type { View } from '../view.ts'
import { Panel, type PanelEvents } from './panel.ts'
import type { PanelSpec } from './panels.ts'
import { heightOf } from './plot.ts'

/** What stands around a chart, about, px. */
const FRAME_PX = 60

export class PanelGroup {
  private panels: Panel[] = []

  constructor(
    private readonly root: HTMLElement,
    private readonly events: PanelEvents,
  ) {}

  /**
   * Shows these, in this order; all are equally wide. What is there already stays as it is, with new
   * numbers.
   * @param heightPx what lies below is for later, and gets no chart
   */
  set(specs: readonly PanelSpec[], view: View, heightPx = Number.POSITIVE_INFINITY): void {
    let topPx = 0
    const before = new Map(this.panels.map((panel) => [panel.id, panel]))
    const panels: Panel[] = []
    for (const spec of specs) {
      const old = before.get(spec.id)
      if (old?.fits(spec)) {
        old.update(spec, view)
        panels.push(old)
        before.delete(spec.id)
        continue
      }
      if (old === undefined && topPx > heightPx) break
      topPx += FRAME_PX + heightOf(spec)
      const above = panels.at(-1)
      const panel = new Panel(
        spec,
        view,
        this.events,
        (root) => (above === undefined ? this.root.prepend(root) : above.root.after(root)),
        above?.width,
      )
      if (old !== undefined) panel.takeOver(old)
      panels.push(panel)
    }
    for (const panel of before.values()) panel.remove()
    this.panels = panels
  }

  /** How wide the first chart is, px. */
  get width(): number {
    return this.panels[0]?.width ?? this.root.clientWidth
  }

  /** The cursor, of all but the chart that has it by itself. */
  show(i: number | null, seconds: number | undefined, from?: uPlot): void {
    for (const panel of this.panels) {
      const { plot } = panel
      panel.show(i, plot === from ? plot.cursor.top : undefined)
      if (plot === from) continue
      const left = seconds === undefined ? -10 : plot.valToPos(seconds, 'x')
      plot.setCursor({ left, top: -10 }, false)
    }
  }

  resize(): void {
    for (const panel of this.panels) panel.resize()
  }

  recolour(): void {
    for (const panel of this.panels) panel.recolour()
  }
}
