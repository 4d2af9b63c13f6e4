/** The page of an app: its charts, one cursor and one range for all of them, and fresh numbers. */
import type uPlot from 'uplot'
import { age } from '../pages/format.ts'
import type { View } from '../view.ts'
import { lossWords, truthAt } from './band.ts'
import { byId, el } from './dom.ts'
import { drawLane, markerWords } from './lane.ts'
import { showMetrics } from './metrics.ts'
import { Panel } from './panel.ts'
import { type Choices, type PanelSpec, panelsOf } from './panels.ts'
import { between, clock, moment, useUtc } from './time.ts'

/** As often as new rows come, about; and seldom where a step is an hour. */
const REFRESH_MS_MIN = 5000
const REFRESH_MS_MAX = 60_000
/** Rows come within seconds: silence of this long is worth a word. */
const STALE_MS = 5 * 60_000
/** A zoom shows a few steps of a minute, at least. */
const ZOOM_SECONDS_MIN = 300
/** A line is met by a pointer this near, px. */
const MARKER_PX = 5

export interface AppData {
  page: 'app'
  view: View
  isUtc: boolean
}

export class AppPage {
  private view: View
  private panels: Panel[] = []
  private readonly target = el('div', { class: 'panels' })
  private readonly lane = el('div', { class: 'lane', role: 'group', 'aria-label': 'Events' })
  private readonly params = new URLSearchParams(location.search)
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
    this.refreshLater()
    performance.mark('shelf-charts')
    afterPaint(() => {
      performance.mark('shelf-painted')
      this.isPainted = true
      this.addPanels(panelsOf(this.view, this.choices))
      showMetrics(this.view, this.params)
    })
  }

  recolour(): void {
    for (const panel of this.panels) panel.recolour()
    this.drawLane()
    showMetrics(this.view, this.params)
  }

  private get choices(): Choices {
    return { isByCode: this.params.get('by') === 'code', isLog: this.params.get('y') === 'log' }
  }

  private draw(): void {
    const specs = panelsOf(this.view, this.choices)
    if (!this.panels.every((panel, i) => specs[i] !== undefined && panel.fits(specs[i]))) {
      for (const { plot } of this.panels) plot.destroy()
      this.target.replaceChildren()
      this.panels = []
    }
    this.panels.forEach((panel, i) => {
      const spec = specs[i]
      if (spec !== undefined) panel.update(spec, this.view)
    })
    this.addPanels(specs)
    this.drawLane()
    this.drawTruth()
    this.show(this.at)
  }

  /** Those that are to be seen at once first, the others when these were painted. */
  private addPanels(specs: readonly PanelSpec[]): void {
    for (const spec of specs.slice(this.panels.length)) {
      if (!this.isPainted && this.target.getBoundingClientRect().bottom > innerHeight) break
      this.panels.push(
        new Panel(spec, this.view, this.target, {
          onCursor: (plot, i) => this.cursor(plot, i),
          onSelect: (since, until) => this.zoom(since, until),
          onKey: (event) => this.key(event),
          isSwitched: (line) => this.switched.has(line),
          onSwitch: (line) => this.onSwitch(line),
        }),
      )
    }
    this.choiceButtons()
  }

  /** Lines that were shown or hidden by hand. */
  private get switched(): Set<string> {
    return new Set((this.params.get('lines') ?? '').split(',').filter((line) => line !== ''))
  }

  private onSwitch(line: string): void {
    const { switched } = this
    if (!switched.delete(line)) switched.add(line)
    if (switched.size === 0) this.params.delete('lines')
    else this.params.set('lines', [...switched].join())
    history.replaceState(null, '', this.url())
  }

  /** A button in the head of a chart, for what the URL keeps as `name=value`. */
  private choiceButton(panel: string, words: string, name: string, value: string): void {
    const isChosen = this.params.get(name) === value
    const onclick = (): void => {
      if (isChosen) this.params.delete(name)
      else this.params.set(name, value)
      history.replaceState(null, '', this.url())
      this.draw()
      this.choiceButtons()
      this.target.querySelector<HTMLElement>(`#${panel} .choice`)?.focus()
    }
    const button = el(
      'button',
      { type: 'button', class: 'quiet choice', 'aria-pressed': String(isChosen), onclick },
      words,
    )
    const header = this.target.querySelector(`#${panel} header`)
    header?.querySelector('.choice')?.remove()
    header?.querySelector('button')?.before(button)
  }

  private choiceButtons(): void {
    this.choiceButton('throughput', 'By code', 'by', 'code')
    this.choiceButton('response-time', 'Log scale', 'y', 'log')
  }

  private drawLane(): void {
    const [panel] = this.panels
    drawLane(this.lane, this.view, panel?.width ?? this.lane.clientWidth)
  }

  /** Banner, and what is missing, in words. */
  private drawTruth(): void {
    const { view } = this
    const banner = byId('banner')
    const silentMs = view.lastAtMs === null ? 0 : view.nowMs - view.lastAtMs
    const words =
      this.problem !== ''
        ? this.problem
        : silentMs > STALE_MS && view.lastAtMs !== null
          ? `No data since ${moment(view.lastAtMs / 1000)}, ${age(silentMs / 1000)} ago: what is shown is not live.`
          : ''
    if (banner !== null && banner.textContent !== words) {
      banner.replaceChildren(words === '' ? '' : el('p', { class: 'banner' }, words))
    }
    const section = byId('losses')
    if (section === null) return
    section.replaceChildren()
    if (view.losses.length === 0) return
    section.append(
      el('h2', {}, 'What is missing'),
      el('ul', {}, ...view.losses.toReversed().map((loss) => el('li', {}, lossWords(loss)))),
    )
  }

  // One cursor.

  private cursor(from: uPlot, i: number | null): void {
    this.show(i, from)
  }

  private show(i: number | null, from?: uPlot): void {
    this.at = i
    const seconds = i === null ? undefined : this.view.time[i]
    for (const panel of this.panels) {
      const { plot } = panel
      panel.show(i, plot === from ? (plot.cursor.top ?? undefined) : undefined)
      if (plot === from) continue
      const left = seconds === undefined ? -10 : plot.valToPos(seconds, 'x')
      plot.setCursor({ left, top: -10 }, false)
    }
    const readout = byId('readout')
    if (readout === null) return
    readout.replaceChildren(...this.readout(i, from))
  }

  private readout(i: number | null, from: uPlot | undefined): (Node | string)[] {
    const { view } = this
    if (i === null) {
      return [
        el('strong', {}, between(view.sinceMs / 1000, view.untilMs / 1000)),
        ` in steps of ${age(view.stepMs / 1000)}`,
      ]
    }
    const start = view.time[i] ?? 0
    const parts = [
      el('strong', {}, between(start, start + view.stepMs / 1000)),
      ` ${truthAt(view, i)}`,
    ]
    const near =
      from === undefined
        ? []
        : view.markers.filter(
            ({ time }) =>
              Math.abs(from.valToPos(time, 'x') - (from.cursor.left ?? -99)) <= MARKER_PX,
          )
    const within = near.length > 0 ? near : []
    if (within.length > 0) {
      parts.push(el('span', { class: 'marker' }, within.map(markerWords).join(' · ')))
    }
    return parts
  }

  // One range.

  private zoom(since: number, until: number): void {
    const { stepMs } = this.view
    const middle = (since + until) / 2
    const half = Math.max(until - since, ZOOM_SECONDS_MIN) / 2
    const [from, to] = [Math.max(0, middle - half), middle + half]
    this.params.delete('range')
    // Whole minutes: a URL that a person can read.
    this.params.set('since', minute(Math.floor(from / 60) * 60))
    this.params.set('until', minute(Math.ceil(to / 60) * 60))
    if (stepMs > 0) void this.go(true)
  }

  private zoomOut(): void {
    const { sinceMs, untilMs } = this.view
    const span = (untilMs - sinceMs) / 1000
    const until = Math.min(untilMs / 1000 + span / 2, Date.now() / 1000)
    this.zoom(until - span * 2, until)
  }

  private key(event: KeyboardEvent): void {
    const { time } = this.view
    const at = this.at ?? time.length - 1
    const step = event.shiftKey ? 10 : 1
    const moves: Record<string, () => void> = {
      ArrowLeft: () => this.show(Math.max(0, at - step)),
      ArrowRight: () => this.show(Math.min(time.length - 1, at + step)),
      Home: () => this.show(0),
      End: () => this.show(time.length - 1),
      Escape: () => this.show(null),
      '+': () => this.zoomAround(at),
      '=': () => this.zoomAround(at),
      '-': () => this.zoomOut(),
    }
    const move = moves[event.key]
    if (move === undefined) return
    event.preventDefault()
    byId('readout')?.setAttribute('aria-live', 'polite')
    move()
  }

  private zoomAround(i: number): void {
    const { sinceMs, untilMs, time } = this.view
    const quarter = (untilMs - sinceMs) / 4000
    const middle = time[i] ?? sinceMs / 1000
    this.zoom(middle - quarter, middle + quarter)
  }

  private url(): string {
    const query = this.params.toString()
    return query === '' ? location.pathname : `${location.pathname}?${query}`
  }

  /** Shows what the parameters say. `isNew`: a step that the back button takes back. */
  private async go(isNew: boolean): Promise<void> {
    if (isNew) history.pushState(null, '', this.url())
    this.at = null
    await this.load()
    showMetrics(this.view, this.params)
  }

  private async load(): Promise<void> {
    this.loading?.abort()
    const loading = new AbortController()
    this.loading = loading
    const query = new URLSearchParams(this.params)
    for (const name of ['by', 'tz', 'y', 'lines']) query.delete(name)
    try {
      const response = await fetch(`/api${location.pathname}/view?${query}`, {
        signal: loading.signal,
      })
      // The token was revoked, or the cookie is gone.
      if (response.status === 401) return location.reload()
      const answer: unknown = await response.json()
      if (!response.ok) throw new Error(wordsOf(answer))
      this.view = answer as View
      this.problem = ''
      this.draw()
      this.markRange()
    } catch (error) {
      if (loading.signal.aborted) return
      const words = error instanceof Error ? error.message : String(error)
      this.problem = `Not fresh since ${clock(this.view.nowMs / 1000)}: ${words}`
      this.drawTruth()
    }
  }

  private markRange(): void {
    for (const link of document.querySelectorAll<HTMLElement>('[data-range]')) {
      if (link.dataset.range === this.view.relative) link.setAttribute('aria-current', 'true')
      else link.removeAttribute('aria-current')
    }
  }

  private refreshLater(): void {
    const everyMs = Math.min(REFRESH_MS_MAX, Math.max(REFRESH_MS_MIN, this.view.stepMs / 60))
    setTimeout(async () => {
      if (this.view.relative !== null && document.visibilityState === 'visible') await this.load()
      this.refreshLater()
    }, everyMs)
  }

  private listen(): void {
    new ResizeObserver(() => {
      for (const panel of this.panels) if (panel.plot.width !== panel.width) panel.resize()
      this.drawLane()
    }).observe(this.target)
    this.target.addEventListener('dblclick', () => this.zoomOut())
    this.target.addEventListener('mouseleave', () => this.show(null))
    document.addEventListener('visibilitychange', () => {
      if (document.visibilityState === 'visible' && this.view.relative !== null) void this.load()
    })
    addEventListener('popstate', () => {
      for (const name of [...this.params.keys()]) this.params.delete(name)
      for (const [name, value] of new URLSearchParams(location.search)) this.params.set(name, value)
      void this.go(false)
    })
    document.addEventListener('click', (event) => {
      const link = event.target instanceof Element ? event.target.closest('a[data-range]') : null
      if (!(link instanceof HTMLElement) || event.ctrlKey || event.metaKey || event.shiftKey) return
      event.preventDefault()
      this.params.delete('since')
      this.params.delete('until')
      this.params.set('range', link.dataset.range ?? '')
      void this.go(true)
    })
    for (const link of document.querySelectorAll<HTMLAnchorElement>('a[data-csv]')) {
      link.addEventListener('click', () => {
        const query = new URLSearchParams(this.params)
        query.set('format', 'csv')
        link.search = query.toString()
      })
    }
    byId('other-range')?.addEventListener('submit', (event) => this.otherRange(event))
  }

  private otherRange(event: Event): void {
    event.preventDefault()
    if (!(event.target instanceof HTMLFormElement)) return
    const form = new FormData(event.target)
    const isUtc = this.params.get('tz') === 'utc'
    const time = (name: string): number => {
      const text = String(form.get(name) ?? '')
      return text === '' ? Date.now() : Date.parse(isUtc ? `${text}Z` : text)
    }
    const [from, to] = [time('from'), time('to')]
    if (Number.isNaN(from) || Number.isNaN(to) || to <= from) return
    event.target.closest('details')?.removeAttribute('open')
    this.params.delete('range')
    this.params.set('since', minute(from / 1000))
    this.params.set('until', minute(to / 1000))
    void this.go(true)
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

const minute = (seconds: number): string =>
  `${new Date(seconds * 1000).toISOString().slice(0, 16)}:00Z`

function wordsOf(answer: unknown): string {
  return typeof answer === 'object' && answer !== null && 'error' in answer
    ? String(answer.error)
    : 'the server did not answer'
}
