/**
 * Lines of `sample#`, `measure#`, `count#`: Heroku's runtime metrics, its add-ons' metrics, and an
 * app's own, in the convention of l2met. https://r.32k.io/l2met-introduction
 */
import { isName, type PointKind } from './point.ts'
import { parseQuantity } from './units.ts'

/** Longest line that is looked at, and most values taken from one. */
const LINE_CHARS_MAX = 16_384
const VALUES_MAX = 200

const KINDS: Record<string, PointKind> = { sample: 'gauge', measure: 'measure', count: 'counter' }

export interface Sample {
  kind: PointKind
  name: string
  /** In base units. */
  value: number
}

export interface SampleLine {
  samples: Sample[]
  /** Values that could not be read: NaN, no number, a name that is none. */
  unreadable: number
  /** The words that go with them: source, addon, dyno. */
  source: string
  addon: string
  dyno: string
}

/** `sample#memory_rss=21.22MB`, `measure.db.latency=4ms` (the old form), `measure#a` (which is 1). */
const WORD = /(?:^|\s)(?:(sample|measure|count)[#.]([^\s=]+)(?:=(\S*))?|(source|addon|dyno)=(\S*))/g

/** `heroku.35930502.b9de5fce-44b7-4287-99a7-504519070cba`, which is an id, and of no person. */
const DYNO = /^[\w.-]{1,128}$/

/**
 * Reads a line; undefined where nothing of it is a sample. Quotes around a value fall away. The
 * old form with a dot is taken for `measure.` only, as the words sample and count are common.
 */
export function parseSamples(text: string): SampleLine | undefined {
  const line: SampleLine = { samples: [], unreadable: 0, source: '', addon: '', dyno: '' }
  let found = false
  for (const match of wholeWords(text).matchAll(WORD)) {
    const [word, kindName, name = '', value, key, keyValue = ''] = match
    if (key === 'source' || key === 'addon' || key === 'dyno') {
      const unquoted = unquote(keyValue)
      if (key === 'dyno' ? DYNO.test(unquoted) : isName(unquoted)) line[key] = unquoted
      continue
    }
    const isOldForm = word.trimStart().startsWith(`${kindName}.`)
    if (isOldForm && (kindName !== 'measure' || value === undefined)) continue
    const kind = KINDS[kindName ?? '']
    if (kind === undefined) continue
    found = true
    if (line.samples.length >= VALUES_MAX) {
      line.unreadable += 1
      continue
    }
    const number = value === undefined ? 1 : parseQuantity(unquote(value))
    // A distribution and a sum are of what was counted or measured: never negative.
    const valid = number !== undefined && (kind === 'gauge' || number >= 0)
    if (valid && isName(name)) line.samples.push({ kind, name, value: number })
    else line.unreadable += 1
  }
  return found ? line : undefined
}

/** As much of a long line as is looked at, up to the space before: half a number is a wrong one. */
function wholeWords(text: string): string {
  if (text.length <= LINE_CHARS_MAX) return text
  return text.slice(0, Math.max(0, text.lastIndexOf(' ', LINE_CHARS_MAX)))
}

function unquote(text: string): string {
  return text.length > 1 && text.startsWith('"') && text.endsWith('"') ? text.slice(1, -1) : text
}
