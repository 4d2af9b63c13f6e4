/** The signals of a body beside its requests: what dynos, the API, add-ons and the app itself say. */
import { parseApiLine } from '../../core/api-line.ts'
import { parseDynoLine, processOf } from '../../core/dyno-line.ts'
import type { Marker } from '../../core/marker.ts'
import { isName, type Point } from '../../core/point.ts'
import { parseSamples, type SampleLine } from '../../core/samples.ts'
import type { Signals } from '../../core/signals.ts'

/** Who did it, as a short hash that nobody turns back. */
export type HashUser = (user: string) => Promise<string>

/** What was done with a line: taken, of no use, or a line of a known kind with nothing readable. */
export type Verdict = 'kept' | 'ignored' | 'malformed'

/** `heroku.35930502.b9de5fce-44b7-4287-99a7-504519070cba`: the end names the instance. */
const INSTANCE = /^[a-z]{1,20}\.\d{1,20}\.([A-Za-z0-9-]{1,64})$/

export class SignalRows {
  readonly points: Point[] = []
  private readonly dynos: Signals['dynos'] = []
  private readonly markers: (Omit<Marker, 'by'> & { user: string })[] = []
  /** Values that could not be read. */
  unreadable = 0

  /** `heroku web.1 - …`: metrics of a dyno, its errors, its states. */
  addDyno(dyno: string, text: string, timeMs: number): Verdict {
    if (!isName(dyno)) return 'ignored'
    const process = processOf(dyno)
    const samples = parseSamples(text)
    if (samples !== undefined) {
      const [, instance] = INSTANCE.exec(samples.dyno) ?? []
      if (instance !== undefined) this.dynos.push({ timeMs, dyno, instance })
      return this.addSamples(samples, timeMs, process, (name) => name, '') ? 'kept' : 'malformed'
    }
    const line = parseDynoLine(text)
    if (line === undefined) return 'ignored'
    const { marker, counter, gauge } = line
    if (marker !== undefined) this.markers.push({ ...marker, timeMs, process, dyno, user: '' })
    if (counter !== undefined) this.addCounter(counter, timeMs, process)
    if (gauge !== undefined) {
      this.points.push({ kind: 'gauge', timeMs, process, source: '', ...gauge })
    }
    return 'kept'
  }

  /** `app api - …`: builds, releases, config, scale. */
  addApi(text: string, timeMs: number): Verdict {
    const line = parseApiLine(text)
    if (line === undefined) return 'ignored'
    for (const marker of line.markers) {
      this.markers.push({ ...marker, timeMs, dyno: '', user: line.user })
    }
    return 'kept'
  }

  /** `app heroku-postgres - source=… addon=… sample#…`, about once a minute. */
  addAddon(process: string, text: string, timeMs: number): Verdict {
    const samples = parseSamples(text)
    if (samples === undefined || !isName(process)) return 'ignored'
    const kind = process.slice('heroku-'.length)
    const nameOf = (name: string): string => `${kind}.${name.replaceAll('-', '_')}`
    const source = [samples.source, samples.addon].filter((word) => word !== '').join('/')
    return this.addSamples(samples, timeMs, process, nameOf, source) ? 'kept' : 'malformed'
  }

  /** The app's own line, which may carry metrics of its own. */
  addOutput(dyno: string, text: string, timeMs: number): Verdict {
    // The one platform error that Heroku logs as the app's.
    if (dyno.startsWith('run.') && text.startsWith('Error R13 (Attach error)')) {
      this.addCounter('R13', timeMs, 'run')
      return 'kept'
    }
    const samples = parseSamples(text)
    if (samples === undefined || !isName(dyno)) return 'ignored'
    const process = processOf(dyno)
    const nameOf = (name: string): string => `custom.${name}`
    return this.addSamples(samples, timeMs, process, nameOf, samples.source) ? 'kept' : 'ignored'
  }

  addCounter(name: string, timeMs: number, process: string): void {
    this.points.push({ kind: 'counter', timeMs, process, name, source: '', value: 1 })
  }

  async finish(hashUser: HashUser): Promise<Signals> {
    // Few people do much: a line that scales many process types names one of them.
    const hashes = new Map([['', '']])
    const markers: Marker[] = []
    for (const { user, ...marker } of this.markers) {
      const by = hashes.get(user) ?? (await hashUser(user))
      hashes.set(user, by)
      markers.push({ ...marker, by })
    }
    return { points: this.points, markers, dynos: this.dynos }
  }

  /** @returns whether any value was taken */
  private addSamples(
    line: SampleLine,
    timeMs: number,
    process: string,
    nameOf: (name: string) => string,
    source: string,
  ): boolean {
    this.unreadable += line.unreadable
    for (const { kind, name, value } of line.samples) {
      this.points.push({ kind, timeMs, process, name: nameOf(name), source, value })
    }
    return line.samples.length > 0
  }
}
