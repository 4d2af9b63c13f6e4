/** The page of an app: its charts, one cursor and one range for all of them, and fresh numbers. */
import type uPlot from 'uplot'
import type { Series } from '../read/signals.ts'
import type { View } from '../view.ts'
import { Address } from './address.ts'
import { ask } from './ask.ts'
import { byId, el } from './dom.ts'
import { drawLane } from './lane.ts'
import { Metrics } from './metrics.ts'
import type { PanelEvents } from './panel.ts'
import { PanelGroup } from './panel-group.ts'
import { panelsOf } from './panels.ts'
import { onRangeForm } from './range-form.ts'
import { addProcessLinks, onStateLinks } from './state-links.ts'
import { clock, useUtc } from './time.ts'
import { drawReadout, drawTruth } from './truth.ts'
import { aroundStep, atLeast, wider, type Zoom } from './zoom.ts'

/** As often as new rows come, about; and seldom where a step is an hour. */
const REFRESH_MS_MIN = 5000
const REFRESH_MS_MAX = 60_000

export interface AppData {
  page: 'app'
  view: View
  isUtc: boolean
}

export class AppPage {
  private view: View
  private readonly address = new Address()
  private readonly lane = el('div', { class: 'lane', role: 'group', 'aria-label': 'Events' })
  private readonly target = el('div', { class: 'panels' })
  private readonly events: PanelEvents = {
    onCursor: (plot, i) => this.show(i, plot),
    onSelect: (since, until) => this.zoom(atLeast(since, until)),
    onKey: (event) => this.key(event),
    isSwitched: (line) => this.address.isSwitched(line),
    onSwitch: (line) => this.address.switchLine(line),
    onChoice: (name, value) => {
      this.address.choose(name, value)
      this.draw()
    },
  }
  private readonly charts = new PanelGroup(this.target, this.events)
  private readonly metrics = new Metrics(byId('metrics'), this.events)
  private at: number | null = null
  private loading: AbortController | undefined
  private problem = ''
  private isPainted = false

  constructor(data: AppData) {
    useUtc(data.isUtc)
    this.view = data.view
    byId('panels')?.append(this.lane, this.target)
    this.draw()
    this.listen()
    performance.mark('shelf-charts')
    afterPaint(() => {
      performance.mark('shelf-painted')
      this.isPainted = true
      this.draw()
      void this.loadMetrics(this.view, new AbortController())
    })
    this.refreshLater()
  }

  recolour(): void {
    this.charts.recolour()
    this.metrics.recolour()
    this.drawLane()
  }

  private draw(): void {
    // What is to be seen at once first, the others when that was painted.
    const heightPx = this.isPainted
      ? Number.POSITIVE_INFINITY
      : innerHeight - this.target.getBoundingClientRect().top
    this.charts.set(panelsOf(this.view, this.address.choices), this.view, heightPx)
    this.drawLane()
    drawTruth(this.view, this.problem)
    this.show(this.at)
  }

  private drawLane(): void {
    drawLane(this.lane, this.view, this.charts.width)
  }

  /** One cursor for all charts. */
  private show(i: number | null, from?: uPlot): void {
    this.at = i
    const seconds = i === null ? undefined : this.view.time[i]
    this.charts.show(i, seconds, from)
    this.metrics.show(i, seconds, from)
    drawReadout(this.view, i, from)
  }

  private zoom([since, until]: Zoom): void {
    this.address.goTo(since, until)
    void this.go()
  }

  private key(event: KeyboardEvent): void {
    const { view } = this
    const last = view.time.length - 1
    const at = this.at ?? last
    const step = event.shiftKey ? 10 : 1
    const moves: Record<string, () => void> = {
      ArrowLeft: () => this.show(Math.max(0, at - step)),
      ArrowRight: () => this.show(Math.min(last, at + step)),
      Home: () => this.show(0),
      End: () => this.show(last),
      Escape: () => this.show(null),
      '+': () => this.zoom(aroundStep(view, at)),
      '=': () => this.zoom(aroundStep(view, at)),
      '-': () => this.zoom(wider(view)),
    }
    const move = moves[event.key]
    if (move === undefined || event.ctrlKey || event.metaKey || event.altKey) return
    event.preventDefault()
    byId('readout')?.setAttribute('aria-live', 'polite')
    move()
  }

  /** Shows what the address says. */
  private async go(): Promise<void> {
    this.at = null
    await this.load()
  }

  private async load(): Promise<void> {
    this.loading?.abort()
    const loading = new AbortController()
    this.loading = loading
    try {
      const view = await ask<View>(`/api${location.pathname}/view?${this.address.query}`, loading)
      this.view = view
      this.problem = ''
      this.draw()
      this.markRange()
      addProcessLinks(view)
      await this.loadMetrics(view, loading)
    } catch (error) {
      if (loading.signal.aborted) return
      const words = error instanceof Error ? error.message : String(error)
      this.problem = `Not fresh since ${clock(this.view.nowMs / 1000)}: ${words}`
      drawTruth(this.view, this.problem)
    }
  }

  private async loadMetrics(view: View, loading: AbortController): Promise<void> {
    try {
      const url = `/api${location.pathname}/series?${this.address.query}`
      this.metrics.set(await ask<{ series: Series[]; isCut: boolean }>(url, loading), view)
    } catch (error) {
      if (!loading.signal.aborted) this.metrics.fail(String(error))
    }
  }

  private markRange(): void {
    for (const link of document.querySelectorAll<HTMLElement>('[data-range]')) {
      if (link.dataset.range === this.view.relative) link.setAttribute('aria-current', 'true')
      else link.removeAttribute('aria-current')
    }
  }

  private get isLive(): boolean {
    return this.view.relative !== null && document.visibilityState === 'visible'
  }

  private refreshLater(): void {
    const everyMs = Math.min(REFRESH_MS_MAX, Math.max(REFRESH_MS_MIN, this.view.stepMs / 60))
    setTimeout(async () => {
      if (this.isLive) await this.load()
      this.refreshLater()
    }, everyMs)
  }

  private listen(): void {
    new ResizeObserver(() => {
      this.charts.resize()
      this.metrics.resize()
      this.drawLane()
    }).observe(this.target)
    for (const area of [this.target, byId('metrics')]) {
      area?.addEventListener('dblclick', (event) => {
        if (event.target instanceof Element && event.target.closest('.chart') !== null) {
          this.zoom(wider(this.view))
        }
      })
      area?.addEventListener('mouseleave', () => this.show(null))
    }
    document.addEventListener('visibilitychange', () => {
      if (this.isLive) void this.load()
    })
    addEventListener('popstate', () => {
      this.address.read()
      void this.go()
    })
    document.addEventListener('click', (event) => this.onRangeLink(event))
    for (const link of document.querySelectorAll<HTMLAnchorElement>('a[data-csv]')) {
      link.addEventListener('click', () => {
        link.search = `${this.address.query}&format=csv`
      })
    }
    onStateLinks(this.address)
    onRangeForm(this.address, () => void this.go())
  }

  private onRangeLink(event: MouseEvent): void {
    const link = event.target instanceof Element ? event.target.closest('a[data-range]') : null
    if (!(link instanceof HTMLElement) || event.ctrlKey || event.metaKey || event.shiftKey) return
    event.preventDefault()
    this.address.goToLast(link.dataset.range ?? '')
    void this.go()
  }
}

/** A frame is painted after its callbacks; a message comes after that. */
function afterPaint(run: () => void): void {
  requestAnimationFrame(() => {
    const { port1, port2 } = new MessageChannel()
    port1.onmessage = run
    port2.postMessage(null)
  })
}
