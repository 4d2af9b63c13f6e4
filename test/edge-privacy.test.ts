/** What identifies a person does not enter the log. */
import { afterAll, expect, test } from 'bun:test'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { body, DATA, message, request, requestsOf, startEdge, totals } from './edge.ts'

const edge = await startEdge()
afterAll(() => edge.stop())

/** All that a posted body left in the log, as Latin-1: each byte is one character. */
async function leftBy(
  sent: Uint8Array<ArrayBuffer>,
  headers: Record<string, string> = {},
): Promise<string> {
  const { status, records } = await edge.post(sent, { headers })
  expect([status, records.length]).toEqual([204, 1])
  const [{ value, ...rest } = { value: '' }] = records
  return (
    Buffer.from(String(value), 'base64').toString('latin1') + JSON.stringify(Object.values(rest))
  )
}

const SECRETS = {
  address: '203.0.113.77',
  proxy: '198.51.100.23',
  email: 'ada.lovelace@example.com',
  userId: '900000417',
  token: 'tok_live_4242',
  requestId: '8601b555-6a83-4c12-8269-97c8e32cdb22',
  host: 'ada-lovelace.example.net',
  name: 'Lovelace',
  dynoId: 'd97d0ea7-cf3d-411b-b453-d2943a50b456',
  drainToken: 'd.7c1d4d8e-0b7f-4d6e-a3d5-5f1c0b6a9e11',
  frameId: '09C557EAFCFB6CF2740EE62F62971098',
}

test('of addresses, ids, paths, hosts and e-mails nothing is in the record', async () => {
  const { address, proxy, email, userId, token, requestId, host, name, dynoId } = SECRETS
  const client =
    `path="/users/${userId}/${name} ${email}?token=${token}&ip=${address}" host=${host} ` +
    `request_id=${requestId} fwd="${address},${proxy}"`
  const figures = 'dyno=web.1 connect=1ms service=18ms status=200 bytes=13'
  const lines = [
    message(`at=info method=GET ${client} ${figures}`),
    message(`at=info method=GET ${client.replaceAll('"', '')} ${figures}`),
    message(`at=error code=H12 desc="Request timeout" ${client} ${figures}`),
    message(`at=info ${figures} ${client}`),
    message(`sock=client at=warning code=H27 desc="${email}" cause="${name}" ${client} ${figures}`),
    message(client, { app: 'app', process: 'web.1' }),
    message(`Deploy 059375fe by user ${email}`, { app: 'app', process: 'api' }),
    message(`Set ${token} config vars by user ${email}`, { app: 'app', process: 'api' }),
    message(`source=web.1 dyno=heroku.${userId}.${dynoId}`, { process: 'web.1' }),
    message(`at=info ${client} dyno=${email} status=200`),
    message(`at=error code=${email} ${client} status=503`),
    message(`Error L10: 5 messages dropped for ${email}`, { process: 'logplex' }),
    client,
  ]
  const left = await leftBy(body(...lines), {
    'logplex-drain-token': SECRETS.drainToken,
    'logplex-frame-id': SECRETS.frameId,
    'x-forwarded-for': address,
    'user-agent': name,
  })
  for (const [what, secret] of Object.entries(SECRETS)) {
    expect([what, left.toLowerCase().includes(secret.toLowerCase())]).toEqual([what, false])
  }
  // The lines themselves were read: what is not there was left out, not missed.
  const { bursts } = await edge.post(body(...lines))
  expect(totals(bursts[0])).toMatchObject({ received: lines.length, kept: 6, malformed: 3 })
  expect(requestsOf(bursts[0]).map(({ code }) => code)).toEqual([
    undefined,
    undefined,
    'H12',
    undefined,
    'H27',
  ])
})

test('what was not readable leaves no bytes behind', async () => {
  const broken = Buffer.concat([
    body(request()).subarray(0, -40),
    Buffer.from(`999 <158>1 ${SECRETS.email} ${SECRETS.address}`),
  ])
  const left = await leftBy(Buffer.from(broken))
  expect(left).not.toContain(SECRETS.email)
  expect(left).not.toContain(SECRETS.address)
})

test.skipIf(!existsSync(DATA))(
  'captured lines leave nothing but app, types and codes',
  async () => {
    const captured = readFileSync(join(DATA, 'logplex-examples.body'))
    const left = await leftBy(captured)
    expect(left).toContain('H12')
    const words = captured.toString('latin1').match(/[\w.@/-]{6,}/g) ?? []
    const leaked = new Set(words.filter((word) => left.includes(word)))
    expect([...leaked]).toEqual(['heroku'])
  },
)
