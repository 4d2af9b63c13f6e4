/** What makes two requests the same burst: Logplex resends a frame under one Frame-Id. */
import { afterAll, expect, test } from 'bun:test'
import { body, message, type PostOptions, request, startEdge } from './edge.ts'

const edge = await startEdge()
afterAll(() => edge.stop())

const FRAME_ID = '09C557EAFCFB6CF2740EE62F62971098'
const one = body(request())
const resent = body(message('Error L10: 5 messages dropped', { process: 'logplex' }), request())

async function idOf(sent: Uint8Array<ArrayBuffer>, { app, headers }: PostOptions = {}) {
  const all = { 'logplex-frame-id': FRAME_ID, ...headers }
  const { bursts } = await edge.post(sent, { ...(app === undefined ? {} : { app }), headers: all })
  return bursts[0]?.id
}

const id = await idOf(one)

test('an id is 16 bytes', () => {
  expect(id).toMatch(/^[0-9a-f]{32}$/)
})

test('a frame that is sent again is the same burst, though its body has grown an L10', async () => {
  expect(await idOf(one)).toBe(id)
  expect(await idOf(resent, { headers: { 'logplex-msg-count': '2' } })).toBe(id)
})

test('another Frame-Id, another drain token, another app: another burst', async () => {
  const others = [
    await idOf(one, { headers: { 'logplex-frame-id': `${FRAME_ID}0` } }),
    await idOf(one, { headers: { 'logplex-drain-token': 'd.other' } }),
    await idOf(one, { headers: { 'logplex-drain-token': undefined } }),
    await idOf(one, { app: 'other' }),
  ]
  expect(new Set([id, ...others]).size).toBe(5)
})

test.each([undefined, '', 'x'.repeat(129)])(
  'where the Frame-Id is none, the body tells: %p',
  async (frameId) => {
    const headers = { 'logplex-frame-id': frameId }
    const first = await idOf(one, { headers })
    expect(await idOf(one, { headers })).toBe(first)
    expect(first).not.toBe(id)
    expect(await idOf(resent, { headers })).not.toBe(first)
    expect(await idOf(one, { app: 'other', headers })).not.toBe(first)
  },
)
