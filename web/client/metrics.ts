/** The metrics of language runtimes, the app itself and add-ons: small charts, after all others. */
import type uPlot from 'uplot'
import type { Series } from '../read/signals.ts'
import type { View } from '../view.ts'
import { el } from './dom.ts'
import { metricPanel } from './metric-panels.ts'
import type { PanelEvents } from './panel.ts'
import { PanelGroup } from './panel-group.ts'

const GROUPS: [prefix: string, title: string][] = [
  ['runtime.', 'Language runtime'],
  ['custom.', 'Custom metrics'],
  ['', 'Add-ons'],
]

export class Metrics {
  private readonly groups: { prefix: string; root: HTMLElement; charts: PanelGroup }[]
  private readonly words = el('p', { class: 'muted', role: 'status' })

  constructor(section: HTMLElement | null, events: PanelEvents) {
    this.groups = GROUPS.map(([prefix, title]) => {
      const grid = el('div', { class: 'small-charts' })
      const root = el('div', { hidden: true }, el('h2', {}, title), grid)
      section?.append(root)
      return { prefix, root, charts: new PanelGroup(grid, events) }
    })
    section?.append(this.words)
  }

  set({ series, isCut }: { series: readonly Series[]; isCut: boolean }, view: View): void {
    const byGroup = Map.groupBy(series, ({ name }) =>
      this.groups.find(({ prefix }) => name.startsWith(prefix)),
    )
    for (const group of this.groups) {
      const members = byGroup.get(group) ?? []
      group.root.hidden = members.length === 0
      group.charts.set(
        members.map((each) => metricPanel(view, each)),
        view,
      )
    }
    this.words.textContent = isCut
      ? `These are the first ${series.length} by name; the API has all of one name.`
      : ''
  }

  fail(words: string): void {
    this.words.textContent = `Metrics of the app could not be read: ${words}`
  }

  show(i: number | null, seconds: number | undefined, from?: uPlot): void {
    for (const { charts } of this.groups) charts.show(i, seconds, from)
  }

  resize(): void {
    for (const { charts } of this.groups) charts.resize()
  }

  recolour(): void {
    for (const { charts } of this.groups) charts.recolour()
  }
}
