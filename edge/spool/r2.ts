/** The spool in a bucket of Cloudflare R2. A put that resolved is durable and seen by all. */
import * as z from 'zod'
import { OBJECT_BYTES_MAX, REJECTED, type Spool, step, WAITING } from './spool.ts'

/** One list or delete takes so many keys: https://developers.cloudflare.com/r2/api/workers/ */
const KEYS_MAX = 1000

/** What is used of a bucket's binding. */
export interface R2Bucket {
  put(key: string, value: Uint8Array<ArrayBuffer> | ReadableStream): Promise<unknown>
  get(key: string): Promise<R2Object | null>
  list(options: { prefix: string; limit: number; cursor?: string }): Promise<R2Page>
  delete(keys: string[]): Promise<void>
}

interface R2Object {
  size: number
  /** Its length is known, as put wants it. */
  body: ReadableStream
  arrayBuffer(): Promise<ArrayBuffer>
}

interface R2Page {
  objects: { key: string }[]
  truncated: boolean
  cursor?: string
}

/** A binding of a bucket, and not of something else by its name. */
export const r2BucketSchema = z.custom<R2Bucket>(
  (value) => typeof value === 'object' && value !== null && 'put' in value && 'list' in value,
  'it is no R2 bucket',
)

export function r2Spool(bucket: R2Bucket): Spool {
  const remove = async (names: readonly string[]): Promise<void> => {
    for (let at = 0; at < names.length; at += KEYS_MAX) {
      await bucket.delete(names.slice(at, at + KEYS_MAX).map((name) => WAITING + name))
    }
  }
  return {
    async put(name, value) {
      await bucket.put(WAITING + name, value)
    },
    async list(limit) {
      const names: string[] = []
      let from: { cursor?: string } = {}
      while (names.length < limit) {
        const wanted = Math.min(limit - names.length, KEYS_MAX)
        const page = await step(bucket.list({ prefix: WAITING, limit: wanted, ...from }))
        names.push(...page.objects.map(({ key }) => key.slice(WAITING.length)))
        if (!page.truncated || page.cursor === undefined) break
        from = { cursor: page.cursor }
      }
      return names
    },
    async get(name) {
      const object = await bucket.get(WAITING + name)
      if (object === null) return undefined
      if (object.size <= OBJECT_BYTES_MAX) return new Uint8Array(await object.arrayBuffer())
      await object.body.cancel()
      return 'too-large'
    },
    delete: remove,
    async reject(name) {
      const object = await bucket.get(WAITING + name)
      if (object === null) return
      // It passes through, and is not held: a bucket's objects have up to 5 TB.
      await bucket.put(REJECTED + name, object.body)
      await remove([name])
    },
  }
}
