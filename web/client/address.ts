/** The state of the page of an app, as its URL has it: what is not in it is as it is at first. */
import type { Choices } from './panels.ts'

/** What the numbers depend on. The rest is how they are shown. */
const ASKED = ['range', 'since', 'until', 'process']

export class Address {
  private readonly params = new URLSearchParams(location.search)

  get choices(): Choices {
    return { isByCode: this.params.get('by') === 'code', isLog: this.params.get('y') === 'log' }
  }

  get isUtc(): boolean {
    return this.params.get('tz') === 'utc'
  }

  /** What the API is asked for. */
  get query(): URLSearchParams {
    return new URLSearchParams([...this.params].filter(([name]) => ASKED.includes(name)))
  }

  /** Lines that were shown or hidden by hand. */
  private get switched(): Set<string> {
    return new Set((this.params.get('lines') ?? '').split(',').filter((line) => line !== ''))
  }

  isSwitched(line: string): boolean {
    return this.switched.has(line)
  }

  switchLine(line: string): void {
    const { switched } = this
    if (!switched.delete(line)) switched.add(line)
    this.set('lines', switched.size === 0 ? null : [...switched].join())
    history.replaceState(null, '', this.url)
  }

  /** `name=value`, or no `name` where it is that already. */
  choose(name: string, value: string): void {
    this.set(name, this.params.get(name) === value ? null : value)
    history.replaceState(null, '', this.url)
  }

  /** Whole minutes: a URL that a person can read. A step that the back button takes back. */
  goTo(sinceSeconds: number, untilSeconds: number): void {
    this.set('range', null)
    this.set('since', minute(Math.floor(sinceSeconds / 60)))
    this.set('until', minute(Math.ceil(untilSeconds / 60)))
    history.pushState(null, '', this.url)
  }

  /** `24h`: ends now. */
  goToLast(range: string): void {
    this.set('since', null)
    this.set('until', null)
    this.set('range', range)
    history.pushState(null, '', this.url)
  }

  /** Where a link leads that changes one thing. */
  with(name: string, value: string | null): string {
    const params = new URLSearchParams(this.params)
    if (value === null) params.delete(name)
    else params.set(name, value)
    return urlOf(params)
  }

  /** After a step back. */
  read(): void {
    for (const name of [...this.params.keys()]) this.params.delete(name)
    for (const [name, value] of new URLSearchParams(location.search)) this.params.set(name, value)
  }

  private set(name: string, value: string | null): void {
    if (value === null) this.params.delete(name)
    else this.params.set(name, value)
  }

  private get url(): string {
    return urlOf(this.params)
  }
}

const urlOf = (params: URLSearchParams): string =>
  params.size === 0 ? location.pathname : `${location.pathname}?${params}`

const minute = (minutes: number): string =>
  `${new Date(minutes * 60_000).toISOString().slice(0, 16)}:00Z`
