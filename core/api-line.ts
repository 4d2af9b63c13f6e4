/**
 * Lines of Heroku's API (`app api - …`, before about 2016 `heroku api - …`): builds, releases,
 * config, scale. Markers carry no e-mails and no values of config vars.
 */
import type { MarkerKind } from './marker.ts'
import { TEXT_CHARS_MAX } from './text.ts'

export interface ApiLine {
  /** One, or one a process type where a line scales several. */
  markers: { kind: MarkerKind; process: string; text: string }[]
  /** Who did it, as the line names them; to be hashed. Empty where it names nobody. */
  user: string
}

/** Most process types of a line that are taken; an app has at most 64 in Shelf. */
const ITEMS_MAX = 100

/** Longest name of a user that is taken: an e-mail has at most 254 characters (RFC 5321). */
const USER_CHARS_MAX = 254

const one = (kind: MarkerKind, text = '', process = '') => [{ kind, process, text }]

const LINES: readonly [RegExp, (match: RegExpExecArray) => ApiLine['markers']][] = [
  [/^Build started\b/, () => one('build', 'started')],
  [/^Build succeeded\b/, () => one('build', 'succeeded')],
  [/^Build failed\b/, () => one('build', 'failed')],
  [/^Deploy ([0-9a-fA-F]{4,40})$/, ([, commit = '']) => one('deploy', commit.slice(0, 12))],
  // Of a container: `Deployed web (eacd9b960537)`, the start of the image's id.
  [
    /^Deployed [\w-]{1,64} \(([0-9a-fA-F]{4,64})\)$/,
    ([, id = '']) => one('deploy', id.slice(0, 12)),
  ],
  [/^Deploy(?:ed)?\b/, () => one('deploy')],
  [/^Release (v\d{1,9})$/, ([, version = '']) => one('release', version)],
  [/^Running release (v\d{1,9}) commands$/, () => []],
  [/^Release (v\d{1,9}) command failed$/, () => []],
  [/^Initial release$/, () => one('release', 'v1')],
  [/^Rollback to (v\d{1,9})$/, ([, version = '']) => one('rollback', version)],
  [/^Scaled? to (.+)$/, ([, list = '']) => scaled(list)],
  [/^Set (.+) config vars?$/, ([, names = '']) => config('set', names)],
  [/^(?:Remove|Unset) (.+) config vars?$/, ([, names = '']) => config('removed', names)],
  [/^(?:Add|Update|Change) (.+) config(?: vars?)?$/, ([, names = '']) => config('set', names)],
  // Of 2011 and 2012.
  [/^Config add (.+)$/, ([, names = '']) => config('set', names)],
  [/^Config remove (.+)$/, ([, names = '']) => config('removed', names)],
  [
    /^(Attach|Detach|Update) ([A-Z][A-Z0-9_]{0,63})\b/,
    ([, what = '', name = '']) => addon(what, name),
  ],
  [
    /^@ref:([a-z0-9-]{1,64}) completed provisioning\b/,
    ([, name = '']) => addon('Provisioned', name),
  ],
  // Before 2015, with the add-on's plan: `Add mongohq:sandbox add-on`.
  [
    /^(Add|Remove) ([a-z0-9-]{1,64})(?::[a-z0-9-]{1,64})? add-on$/,
    ([, what = '', name = '']) => addon(what, name),
  ],
  [/^Enable Logplex$/, () => []],
]

const addon = (what: string, name: string) => one('addon', `${what.toLowerCase()} ${name}`)

/** `web@2:Standard-1X worker@1:Standard-2X`; in the oldest form `mailer=1, web=3`. */
function scaled(list: string): ApiLine['markers'] {
  return list
    .split(/[,\s]+/)
    .map((item) => /^([A-Za-z][\w-]{0,63})[@=](\d{1,6})(?::([A-Za-z0-9-]{1,32}))?$/.exec(item))
    .filter((match) => match !== null)
    .slice(0, ITEMS_MAX)
    .map(([, process = '', quantity = '', size]) => ({
      kind: 'scale' as const,
      process,
      text: size === undefined ? quantity : `${quantity}:${size}`,
    }))
}

/** Names only, in the line's order. Where one of a list is none, any of it may be a value. */
function config(verb: string, list: string): ApiLine['markers'] {
  const names = list.split(/, ?| and /)
  if (!names.every((name) => /^[A-Za-z_][A-Za-z0-9_]{0,127}$/.test(name)))
    return one('config', verb)
  const text = `${verb} ${names.join(', ')}`
  if (text.length <= TEXT_CHARS_MAX) return one('config', text)
  const cut = text.lastIndexOf(', ', TEXT_CHARS_MAX - ', …'.length)
  return one('config', `${text.slice(0, cut)}, …`)
}

/** Splits ` created by user someone@example.com` off a line; old lines have no `user`. */
function splitUser(text: string): { what: string; user: string } {
  const line = text.trim()
  const at = line.lastIndexOf(' by ')
  if (at < 0) return { what: line, user: '' }
  const what = line.slice(0, at).trimEnd()
  const user = line.slice(at + ' by '.length).replace(/^\s*user\s+/, '')
  return {
    what: what.endsWith(' created') ? what.slice(0, -' created'.length) : what,
    user: user.slice(0, USER_CHARS_MAX),
  }
}

/** Reads a line's text; undefined for one that is not known. */
export function parseApiLine(text: string): ApiLine | undefined {
  const { what, user } = splitUser(text)
  for (const [pattern, read] of LINES) {
    const match = pattern.exec(what)
    if (match !== null) return { markers: read(match), user }
  }
  return undefined
}
