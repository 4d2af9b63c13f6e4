import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { authenticator, type DrainKey, drainSecret } from '../core/credential.ts'

const keyOf = (id: string, byte: number): DrainKey => ({
  id,
  key: new Uint8Array(32).fill(byte).toBase64({ alphabet: 'base64url', omitPadding: true }),
})

const key1 = keyOf('k1', 1)
const key2 = keyOf('k2', 2)

const basic = (user: string, password: string): string => `Basic ${btoa(`${user}:${password}`)}`

const secret = await drainSecret(key1, 'demo', 'd1')
const authenticate = authenticator([key1], new Set())

describe('a drain is let in', () => {
  test('with the secret that was made for it', async () => {
    expect(await authenticate(basic('demo', secret))).toEqual({ app: 'demo', drainId: 'd1' })
  })

  test('for any app and drain, under any key in force', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/),
        fc.stringMatching(/^[a-z0-9]{1,32}$/),
        fc.uint8Array({ minLength: 32, maxLength: 64 }),
        async (app, drainId, bytes) => {
          const key = { id: 'k1', key: bytes.toBase64({ alphabet: 'base64url' }) }
          const made = await drainSecret(key, app, drainId)
          const identity = await authenticator([key2, key], new Set())(basic(app, made))
          expect(identity).toEqual({ app, drainId })
        },
      ),
      { numRuns: 50 },
    )
  })

  test('under either of two keys, and under none that was taken out', async () => {
    const newer = await drainSecret(key2, 'demo', 'd1')
    const both = authenticator([key2, key1], new Set())
    expect(await both(basic('demo', secret))).toBeDefined()
    expect(await both(basic('demo', newer))).toBeDefined()
    const rotated = authenticator([key2], new Set())
    expect(await rotated(basic('demo', secret))).toBeUndefined()
    expect(await rotated(basic('demo', newer))).toBeDefined()
  })

  test.each([`basic ${btoa(`demo:${secret}`)}`, `BASIC   ${btoa(`demo:${secret}`)}`])(
    'however the scheme is written: %p',
    async (authorization) => {
      expect(await authenticate(authorization)).toBeDefined()
    },
  )

  test('until it is revoked, and no other with it', async () => {
    const revoking = authenticator([key1], new Set(['d1']))
    expect(await revoking(basic('demo', secret))).toBeUndefined()
    const other = await drainSecret(key1, 'demo', 'd2')
    expect(await revoking(basic('demo', other))).toEqual({ app: 'demo', drainId: 'd2' })
  })

  test('with a secret that needs no escaping in a URL', async () => {
    const url = new URL(`https://demo:${secret}@edge.example.com/drains/heroku`)
    expect(url.password).toBe(secret)
  })
})

describe('nobody else is', () => {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.'

  test('with any character of the secret changed', async () => {
    for (let i = 0; i < secret.length; i++) {
      for (const character of alphabet) {
        if (character === secret[i]) continue
        const changed = secret.slice(0, i) + character + secret.slice(i + 1)
        const identity = await authenticate(basic('demo', changed))
        if (identity !== undefined) throw new Error(`${changed} was let in for ${secret}`)
      }
    }
  })

  test('with the secret cut short or gone on', async () => {
    for (let length = 0; length < secret.length; length++) {
      expect(await authenticate(basic('demo', secret.slice(0, length)))).toBeUndefined()
    }
    for (const more of ['=', ' ', '\n', 'A', '.', '\0']) {
      expect(await authenticate(basic('demo', secret + more))).toBeUndefined()
      expect(await authenticate(basic('demo', more + secret))).toBeUndefined()
    }
  })

  test.each([
    'dem',
    'demo2',
    'Demo',
    'demo ',
    'demo\n',
    '',
    'demo\nk1',
    'd\u00e9mo',
    '-demo',
    '__proto__',
  ])('as the app %p', async (app) => {
    expect(await authenticate(basic(app, secret))).toBeUndefined()
  })

  test('with the key id or the drain id of another', async () => {
    const [, , mac = ''] = secret.split('.')
    const both = authenticator([key1, key2], new Set())
    for (const changed of [
      `k2.d1.${mac}`,
      `k1.d2.${mac}`,
      `k3.d1.${mac}`,
      `.d1.${mac}`,
      `k1..${mac}`,
    ]) {
      expect(await both(basic('demo', changed))).toBeUndefined()
    }
  })

  test('with parts that, one behind the other, are those of another drain', async () => {
    const a = (await drainSecret(key1, 'demo', 'd11')).split('.')
    const moved = [`k1.1.${a[2]}`, `k11.d1.${a[2]}`]
    const keys = authenticator([key1, { ...key1, id: 'k11' }], new Set())
    for (const changed of moved) expect(await keys(basic('demo', changed))).toBeUndefined()
  })

  test('where no key is in force', async () => {
    expect(await authenticator([], new Set())(basic('demo', secret))).toBeUndefined()
  })

  test.each<[string | null]>([
    [null],
    [''],
    ['Basic'],
    ['Basic '],
    ['Bearer abc'],
    ['Basic !!!!'],
    ['Basic ='],
    ['Basic A'],
    ['Basic _-_-'],
    [`Basic ${btoa('demo')}`],
    [`Basic ${btoa(':')}`],
    [`Basic ${btoa(`:${secret}`)}`],
    [`Basic ${btoa('demo:')}`],
    [`Basic ${btoa('a'.repeat(10_000))}`],
    [`Basic${btoa(`demo:${secret}`)}`],
    [`Basic ${btoa(`demo:${secret}`)} x`],
    [`Digest ${btoa(`demo:${secret}`)}`],
    ['\0'],
    ['Basic \u00ff\u00ff'],
  ])('with the header %p', async (authorization) => {
    expect(await authenticate(authorization)).toBeUndefined()
  })

  test('with whatever header: it is refused, and nothing throws', async () => {
    const text = fc.string({ unit: 'binary' })
    const header = fc.oneof(
      text,
      text.map((rest) => `Basic ${rest}`),
      fc.string({ unit: 'binary-ascii' }).map((rest) => `Basic ${btoa(rest)}`),
      fc.base64String().map((mac) => basic('demo', `k1.d1.${mac}`)),
    )
    await fc.assert(
      fc.asyncProperty(header, async (authorization) => {
        expect(await authenticate(authorization)).toBeUndefined()
      }),
      { numRuns: 500 },
    )
  })
})
