/** What each channel sends, to real receivers, and what becomes of what they answer. */
import { afterAll, describe, expect, spyOn, test } from 'bun:test'
import { createServer } from 'node:net'
import { Webhook } from 'standardwebhooks'
import { z } from 'zod'
import { compose, Incidents } from '../batch/notify-incidents.ts'
import { diffRules } from '../batch/rule-diff.ts'
import { isPublic } from '../notify/address.ts'
import { channels } from '../notify/channel.ts'
import { post, retryAfter } from '../notify/http.ts'
import type { Message } from '../notify/message.ts'
import { showTarget } from '../notify/target.ts'
import { linesOf, titleOf } from '../notify/words.ts'
import { History } from './check-history.ts'
import { httpReceiver, minute, result, smtpReceiver } from './notify-receivers.ts'

const SECRET = `whsec_${Buffer.from('a secret of thirty-two bytes, as is').toString('base64')}`
const OTHER = `whsec_${Buffer.from('another one of thirty-two bytes, ok').toString('base64')}`
const WEB = 'https://shelf.example.com/'

const stops: (() => unknown)[] = []
afterAll(() => Promise.all(stops.map((stop) => stop())))

function receiver(...args: Parameters<typeof httpReceiver>) {
  const made = httpReceiver(...args)
  stops.push(made.stop)
  return made
}

/** The channels with channel `oncall` named, and the settings given. */
const sending = (oncall: string, env: Record<string, string> = {}) =>
  channels({
    env: { SHELF_CHANNEL_ONCALL: oncall, SHELF_WEB_URL: WEB, ...env },
    webhookSecrets: () => [SECRET],
  })

/** What `apps` make that begin to fire at once, and then recover. */
function story(apps: readonly string[], target = 'oncall'): [Message, Message] {
  const incidents = new Incidents()
  const [fired, over] = (['firing', 'ok'] as const).map((state, index) => {
    const records = apps.map((app) => result(app, state, 1 + index * 4, { notify: [target] }))
    const [message] = compose(records, incidents, minute(6), 200)
    for (const item of message?.items ?? []) if (message) incidents.note(message, item, 0)
    return message
  })
  if (fired === undefined || over === undefined) throw new Error('no messages')
  return [fired, over]
}

const [FIRED, OVER] = story(['demo'])
const [MANY] = story(Array.from({ length: 50 }, (_, i) => `app-${i}`))

const LINE =
  'demo web: p95 1,234 ms, threshold >= 1,000 ms, over 5 min until ' +
  `${minute(1).slice(0, 16).replace('T', ' ')} UTC, 1,532 requests, 98.7 % of the data, ` +
  `fired at ${minute(1).slice(0, 16).replace('T', ' ')} UTC`

describe('a webhook', () => {
  test('is signed as Standard Webhooks says, and says all', async () => {
    const { received, url } = receiver()
    expect(await sending(`${url}/hook`)(FIRED)).toEqual({ isDelivered: true })
    const [got] = received
    if (got === undefined) throw new Error('nothing came')
    expect(new Webhook(SECRET).verify(got.body, got.headers)).toMatchObject({
      type: 'alert.fired',
      timestamp: minute(6),
      data: {
        title: 'Firing (critical): p95 over 1 s: demo web',
        text: LINE,
        severity: 'critical',
        open: 1,
        items: [
          { app: 'demo', event: 'fired', value: 1234, threshold: 1000, completeness: 0.9876 },
        ],
        links: [
          { text: 'Playbook', href: 'https://example.com/playbooks/slow' },
          { text: 'Dashboard', href: 'https://shelf.example.com/apps/demo' },
        ],
      },
    })
    expect(got.headers['webhook-id']).toBe(FIRED.key)
    expect(FIRED.key).not.toContain('.')
  })

  test('has the same id and body each time it is sent', async () => {
    const { received, url } = receiver()
    const send = sending(url)
    await send(FIRED)
    await send(FIRED)
    await send(OVER)
    const ids = received.map(({ headers, body }) => [headers['webhook-id'], body])
    expect(ids[0]).toEqual(ids[1] ?? [])
    expect(ids[2]?.[0]).not.toBe(ids[0]?.[0])
  })

  test('is signed with the secrets of its channel, all of them', async () => {
    const { received, url } = receiver()
    await sending(`${url} ${OTHER} ${SECRET}`)(FIRED)
    for (const secret of [SECRET, OTHER]) {
      expect(() =>
        new Webhook(secret).verify(received[0]?.body ?? '', received[0]?.headers ?? {}),
      ).not.toThrow()
    }
    expect(await sending(`${url} whsec_c2hvcnQ=`)(FIRED)).toMatchObject({ isDelivered: false })
    expect(received).toHaveLength(1)
  })

  test('takes the credentials of its URL as Basic', async () => {
    const { received, url } = receiver()
    await sending(url.replace('//', '//ada:l%40ve@'))(FIRED)
    expect(received[0]?.headers.authorization).toBe(`Basic ${btoa('ada:l@ve')}`)
  })
})

/** https://docs.slack.dev/reference/block-kit/blocks: what we use of it, and its limits. */
const slackShape = z.strictObject({
  text: z.string().min(1).max(4000),
  blocks: z
    .array(
      z.discriminatedUnion('type', [
        z.strictObject({
          type: z.literal('header'),
          text: z.strictObject({ type: z.literal('plain_text'), text: z.string().max(150) }),
        }),
        z.strictObject({
          type: z.literal('section'),
          text: z.strictObject({ type: z.literal('mrkdwn'), text: z.string().min(1).max(3000) }),
        }),
      ]),
    )
    .max(50),
})

describe('Slack', () => {
  test('gets blocks within its limits, and a text for those without', async () => {
    const { received, url } = receiver()
    const send = sending(`slack+${url}/services/T/B/x`)
    for (const message of [FIRED, MANY, OVER]) await send(message)
    const [fired, many, over] = received.map(({ body }) => slackShape.parse(JSON.parse(body)))
    expect(fired?.text).toBe('🔴 Firing (critical): p95 over 1 s: demo web')
    const sections = fired?.blocks.slice(1).map(({ text }) => text.text)
    expect(sections).toEqual([
      `• ${LINE.replace('>', '&gt;')}`,
      '<https://example.com/playbooks/slow|Playbook> · ' +
        '<https://shelf.example.com/apps/demo|Dashboard>',
    ])
    expect(many?.text).toBe('🔴 Firing (critical): p95 over 1 s: 50 apps')
    expect(JSON.stringify(many)).toContain('and 30 more')
    expect(over?.text).toBe('🟢 Recovered (critical): p95 over 1 s: demo web')
  })

  test('gets no markup out of names', async () => {
    const { received, url } = receiver()
    await sending(`slack+${url}`)({ ...FIRED, name: '<!channel> & <@U1>' })
    const { text } = slackShape.parse(JSON.parse(received[0]?.body ?? ''))
    expect(text).toContain('&lt;!channel&gt; &amp; &lt;@U1&gt;')
  })
})

/** The Events API v2, strictly: fields, lengths and words of its documentation. */
const pagerdutyShape = z.discriminatedUnion('event_action', [
  z.strictObject({
    routing_key: z.string().length(32),
    event_action: z.literal('trigger'),
    dedup_key: z.string().min(1).max(255),
    client: z.string(),
    client_url: z.url(),
    links: z.array(z.strictObject({ href: z.url(), text: z.string() })),
    payload: z.strictObject({
      summary: z.string().min(1).max(1024),
      source: z.string().min(1),
      severity: z.enum(['critical', 'error', 'warning', 'info']),
      timestamp: z.iso.datetime(),
      class: z.string(),
      group: z.string(),
      custom_details: z.record(z.string(), z.unknown()),
    }),
  }),
  z.strictObject({
    routing_key: z.string().length(32),
    event_action: z.literal('resolve'),
    dedup_key: z.string().min(1).max(255),
  }),
])

test('PagerDuty gets a trigger, and a resolve with the same key when all have recovered', async () => {
  const { received, url } = receiver(() => Response.json({ status: 'success' }, { status: 202 }))
  const key = 'a0b1c2d3e4f5a6b7c8d9e0f1a2b3c4d5'
  const send = sending(`pagerduty:${key}`, { SHELF_PAGERDUTY_URL: `${url}/v2/enqueue` })
  const partly = { ...OVER, open: 3 }
  for (const message of [FIRED, FIRED, partly, OVER]) {
    expect(await send(message)).toEqual({ isDelivered: true })
  }
  const events = received.map(({ body }) => pagerdutyShape.parse(JSON.parse(body)))
  expect(events.map(({ event_action }) => event_action)).toEqual([
    'trigger',
    'trigger',
    'trigger',
    'resolve',
  ])
  expect(new Set(events.map(({ dedup_key }) => dedup_key))).toEqual(new Set([FIRED.group]))
  expect(events[0]).toMatchObject({
    routing_key: key,
    payload: {
      summary: 'Firing (critical): p95 over 1 s: demo web',
      source: 'demo',
      severity: 'critical',
      custom_details: { results: [LINE] },
    },
  })
})

describe('e-mail', () => {
  const from = 'Shelf <shelf@example.com>'

  test('says it in its subject and text, with an id that stays the same', async () => {
    const smtp = await smtpReceiver()
    stops.push(smtp.stop)
    const send = sending('mailto:ada@example.com,bob@example.com', {
      ...{ SHELF_SMTP_URL: smtp.url, SHELF_MAIL_FROM: from },
    })
    expect(await send(FIRED)).toEqual({ isDelivered: true })
    expect(await send(FIRED)).toEqual({ isDelivered: true })
    const [mail, again] = smtp.mails
    expect(mail?.from).toBe('shelf@example.com')
    expect(mail?.to).toEqual(['ada@example.com', 'bob@example.com'])
    const text = (mail?.text ?? '').replaceAll('=\r\n', '').replaceAll('=3D', '=')
    expect(text).toContain('Subject: Firing (critical): p95 over 1 s: demo web\r\n')
    expect(text).toContain('Auto-Submitted: auto-generated\r\n')
    expect(text).toContain(LINE)
    expect(text).toContain('Playbook: https://example.com/playbooks/slow')
    expect(text).toContain('Dashboard: https://shelf.example.com/apps/demo')
    const idOf = (mail: string | undefined) => /^Message-ID: (.*)\r$/im.exec(mail ?? '')?.[1]
    expect(idOf(mail?.text)).toBe(`<${FIRED.key}@example.com>`)
    expect(idOf(again?.text)).toBe(`<${FIRED.key}@example.com>`)
    expect(text).toMatch(new RegExp(`^References: <${FIRED.group}@example.com>`, 'm'))
  })

  test('is given up where no recipient is one, and tried again where the server is busy', async () => {
    const answers = new Map([
      ['gone@example.com', 550],
      ['busy@example.com', 451],
    ])
    const smtp = await smtpReceiver((recipient) =>
      Object.assign(new Error('no'), { responseCode: answers.get(recipient) ?? 500 }),
    )
    stops.push(smtp.stop)
    const env = { SHELF_SMTP_URL: smtp.url, SHELF_MAIL_FROM: from }
    expect(await sending('mailto:gone@example.com', env)(FIRED)).toMatchObject({ isFinal: true })
    expect(await sending('mailto:busy@example.com', env)(FIRED)).toMatchObject({ isFinal: false })
  })

  test('is tried again where nobody listens, or nobody set it up', async () => {
    const smtp = await smtpReceiver()
    await smtp.stop()
    const env = { SHELF_SMTP_URL: smtp.url, SHELF_MAIL_FROM: from }
    expect(await sending('mailto:a@example.com', env)(FIRED)).toMatchObject({ isFinal: false })
    expect(await sending('mailto:a@example.com')(FIRED)).toMatchObject({
      isFinal: false,
      words: 'set SHELF_SMTP_URL and SHELF_MAIL_FROM to send e-mail',
    })
  })
})

test('what ends because its rule or app is gone is not said to have recovered', () => {
  const gone = { ...OVER, items: OVER.items.map((item) => ({ ...item, value: null, count: 0 })) }
  expect(titleOf(OVER)).toBe('Recovered (critical): p95 over 1 s: demo web')
  expect(titleOf(gone)).toBe('No longer watched (critical): p95 over 1 s: demo web')
  expect(linesOf(gone)[0]).toEndWith(', the rule was changed or deleted, or the app is gone')
  const both = { ...OVER, items: [...OVER.items, ...gone.items] }
  expect(titleOf(both)).toStartWith('Recovered (critical)')
})

test('a log line is one line on stderr', async () => {
  const lines: string[] = []
  const spy = spyOn(process.stderr, 'write').mockImplementation((text) => {
    lines.push(String(text))
    return true
  })
  const outcome = await sending('log:')({ ...FIRED, name: 'two\nlines' })
  spy.mockRestore()
  expect(outcome).toEqual({ isDelivered: true })
  expect(lines).toEqual([`alert ${FIRED.key}: Firing (critical): two lines: demo web; ${LINE}\n`])
})

describe('an answer', () => {
  test.each([
    [204, true, undefined],
    [301, false, true],
    [400, false, true],
    [404, false, true],
    [410, false, true],
    [408, false, false],
    [429, false, false],
    [500, false, false],
    [503, false, false],
  ])('of %p is delivered: %p, final: %p', async (status, isDelivered, isFinal) => {
    const { received, url } = receiver(
      () => new Response(null, { status, headers: { location: '/elsewhere' } }),
    )
    const outcome = await sending(url)(FIRED)
    expect(outcome.isDelivered).toBe(isDelivered)
    if (!outcome.isDelivered && isFinal !== undefined) expect(outcome.isFinal).toBe(isFinal)
    expect(received).toHaveLength(1)
  })

  test('may say when to come again', async () => {
    const { url } = receiver(
      () => new Response('slow down', { status: 429, headers: { 'retry-after': '7' } }),
    )
    expect(await sending(url)(FIRED)).toMatchObject({
      ...{ isFinal: false, retryAfterMs: 7000, words: '429 slow down' },
    })
    const nowMs = Date.UTC(2026, 10, 23, 3)
    expect(retryAfter('Mon, 23 Nov 2026 03:00:30 GMT', nowMs)).toBe(30_000)
    expect(retryAfter('Mon, 23 Nov 2026 02:00:30 GMT', nowMs)).toBe(0)
    expect(retryAfter('999999999', nowMs)).toBe(3_600_000)
    expect(retryAfter('soon', nowMs)).toBeUndefined()
  })

  test('that never ends is read no further than its words', async () => {
    const { url } = receiver(
      () =>
        new Response(
          new ReadableStream({
            async pull(controller) {
              await Bun.sleep(1)
              controller.enqueue(new Uint8Array(1024).fill(120))
            },
          }),
          { status: 500 },
        ),
    )
    expect(await sending(url)(FIRED)).toMatchObject({ words: `500 ${'x'.repeat(296)}` })
  })

  test('that does not come is not waited for for ever', async () => {
    const silent = createServer(() => {}).listen(0, '127.0.0.1')
    stops.push(() => silent.close())
    await new Promise((resolve) => silent.once('listening', resolve))
    const address = silent.address()
    const port = typeof address === 'object' && address !== null ? address.port : 0
    const options = {
      url: new URL(`http://127.0.0.1:${port}`),
      headers: {},
      body: '',
      isTrusted: true,
    }
    expect(await post(options, 200)).toMatchObject({
      ...{ isFinal: false, words: 'no answer within 0.2 s' },
    })
  })

  test('of nobody is tried again', async () => {
    const { url, stop } = receiver()
    await stop()
    expect(await sending(url)(FIRED)).toMatchObject({ isDelivered: false, isFinal: false })
  })
})

describe('the URL of a rule leads outside only', () => {
  const { received, url } = receiver()
  const port = new URL(url).port

  test.each([
    `https://127.0.0.1:${port}/`,
    `https://localhost:${port}/`,
    `https://[::1]:${port}/`,
    `https://[::ffff:127.0.0.1]:${port}/`,
    `https://2130706433:${port}/`,
    'https://10.1.2.3/',
    'https://169.254.169.254/latest/meta-data/',
    'https://[fd00::1]/',
    'https://0.0.0.0/',
    `slack+https://127.0.0.1:${port}/`,
    `http://127.0.0.1:${port}/`,
    'http://example.com/',
    'ftp://example.com/',
    'javascript:alert(1)',
  ])('not to %s', async (target) => {
    expect(await sending('log:')({ ...FIRED, target })).toMatchObject({
      ...{ isDelivered: false, isFinal: true },
    })
    expect(received).toEqual([])
  })

  test.each([
    ['93.184.216.34', true],
    ['2606:2800:220:1::1', true],
    ['::ffff:93.184.216.34', true],
    ['192.168.0.1', false],
    ['100.64.0.1', false],
    ['224.0.0.1', false],
    ['::', false],
    ['::127.0.0.1', false],
    ['64:ff9b::7f00:1', false],
    ['2002:7f00:1::', false],
    ['fe80::1', false],
    ['nonsense', false],
  ])('%s is public: %p', (address, expected) => {
    expect(isPublic(address)).toBe(expected)
  })
})

test('a name that nobody gave is waited for; what is no target is not', async () => {
  expect(await sending('log:')({ ...FIRED, target: 'payments' })).toMatchObject({
    isFinal: false,
    words: 'no channel is named payments: set SHELF_CHANNEL_PAYMENTS',
  })
  for (const target of ['pagerduty:no', 'mailto:', 'mailto:a b@c', '', 'Über']) {
    expect(await sending('log:')({ ...FIRED, target })).toMatchObject({ isFinal: true })
  }
})

test('a target is shown without its secrets', () => {
  expect(
    [
      'https://ada:secret@hooks.slack.com/services/T/B/secret',
      'slack+https://chat.example.com/hooks/secret',
      'pagerduty:secretsecret',
      'mailto:ada@example.com',
      'oncall',
    ].map(showTarget),
  ).toEqual([
    'https://hooks.slack.com/…',
    'slack+https://chat.example.com/…',
    'pagerduty:…',
    'mailto:ada@example.com',
    'oncall',
  ])
})

test('the difference of two rules says that targets changed, without their secrets', () => {
  const [rule] = new History().rule({ metric: 'p95', threshold: 1 }).rules
  if (rule?.kind !== 'rule' || rule.rule === null) throw new Error('there is a rule')
  const wanted = { ...rule.rule, notify: ['https://hooks.slack.com/services/T/B/secret', 'oncall'] }
  expect(diffRules([rule.rule], [wanted], { keep: false }).lines).toEqual([
    '~ r notify: [] → ["https://hooks.slack.com/…","oncall"]',
  ])
})
