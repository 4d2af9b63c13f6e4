/**
 * Where a message goes: what a rule names in `notify`. A name (`oncall`) stands for what the
 * environment says of it, so that no secret lies in rules, topics and rows.
 *
 *   https://example.com/hook            a webhook, signed
 *   https://hooks.slack.com/services/…  Slack; slack+https:// for what speaks like it (Mattermost)
 *   pagerduty:ROUTING_KEY               PagerDuty, Events API v2
 *   mailto:ada@example.com,…            e-mail
 *   log:                                a line on stderr
 *   oncall                              SHELF_CHANNEL_ONCALL, one of the above
 */

export type Environment = Record<string, string | undefined>

interface Http {
  /** Without credentials. */
  url: URL
  /** `Basic …`, where the URL had credentials. */
  authorization: string | undefined
  /** The operator named it, in the environment: it may lead inside, without TLS. */
  isTrusted: boolean
}

export type Target =
  | ({ channel: 'webhook'; secrets: string[] } & Http)
  | ({ channel: 'slack' } & Http)
  | { channel: 'pagerduty'; routingKey: string }
  | { channel: 'email'; to: string[] }
  | { channel: 'log' }

/** A target that can't be, in words without secrets. */
export class TargetError extends Error {
  override name = 'TargetError'

  /** `isPassing`: the environment may know it tomorrow. */
  constructor(
    message: string,
    readonly isPassing = false,
  ) {
    super(message)
  }
}

const NAME = /^[a-z][a-z0-9-]{0,62}$/
const RECIPIENTS_MAX = 50

/** @throws TargetError */
export function parseTarget(text: string, env: Environment): Target {
  if (!NAME.test(text)) return parse(text, [], false)
  const variable = `SHELF_CHANNEL_${text.toUpperCase().replaceAll('-', '_')}`
  const [address, ...secrets] = (env[variable] ?? '').trim().split(/\s+/)
  if (!address) throw new TargetError(`no channel is named ${text}: set ${variable}`, true)
  return parse(address, secrets, true)
}

function parse(text: string, secrets: string[], isTrusted: boolean): Target {
  if (text === 'log:' || text === 'log') return { channel: 'log' }
  const pagerduty = /^pagerduty:(.+)$/.exec(text)
  if (pagerduty?.[1] !== undefined) {
    if (!/^[\w-]{8,64}$/.test(pagerduty[1])) throw new TargetError('not a routing key of PagerDuty')
    return { channel: 'pagerduty', routingKey: pagerduty[1] }
  }
  if (text.startsWith('mailto:')) return { channel: 'email', to: recipients(text) }
  const isSlack = text.startsWith('slack+')
  const http = parseHttp(isSlack ? text.slice('slack+'.length) : text, isTrusted)
  if (isSlack || http.url.hostname === 'hooks.slack.com') return { channel: 'slack', ...http }
  return { channel: 'webhook', secrets, ...http }
}

function parseHttp(text: string, isTrusted: boolean): Http {
  const url = URL.parse(text)
  if (url === null || !/^https?:$/.test(url.protocol)) {
    throw new TargetError(
      'a target is https://…, slack+https://…, pagerduty:KEY, mailto:…, log: or a name',
    )
  }
  if (url.protocol === 'http:' && !isTrusted) {
    throw new TargetError('http:// is for channels named in the environment: use https://')
  }
  const { username, password } = url
  url.username = url.password = url.hash = ''
  const credentials = [username, password].map(decodeURIComponent).join(':')
  const authorization = username
    ? `Basic ${Buffer.from(credentials).toString('base64')}`
    : undefined
  return { url, authorization, isTrusted }
}

function recipients(text: string): string[] {
  const to = text
    .slice('mailto:'.length)
    .split(',')
    .map((address) => address.trim())
  const isAddress = (address: string) => /^[^\s@<>,;"]+@[^\s@<>,;"]+$/.test(address)
  if (!to.every(isAddress) || to.length > RECIPIENTS_MAX) {
    throw new TargetError(`mailto: takes 1 to ${RECIPIENTS_MAX} addresses, with commas between`)
  }
  return to
}

/** A target as it may be shown: a URL's path and a routing key are secrets. */
export function showTarget(text: string): string {
  if (text.startsWith('pagerduty:')) return 'pagerduty:…'
  const url = URL.parse(text.replace(/^slack\+/, ''))
  if (url === null || !/^https?:$/.test(url.protocol)) return text
  return `${text.startsWith('slack+') ? 'slack+' : ''}${url.origin}/…`
}
