/** What the tests use of it; it comes without types. */
declare module '@20minutes/s3rver' {
  interface Context {
    path: string
    params?: { bucket?: string; key?: string }
    state: { vhost?: boolean }
    mountPath?: string
    res: { on(event: 'close', told: () => void): void }
  }

  interface Listing {
    objects: { key: string }[]
    commonPrefixes: string[]
    isTruncated: boolean
  }

  interface ListOptions {
    prefix?: string
    startAfter?: string
    delimiter?: string
    maxKeys?: number
  }

  interface Store {
    listObjects(bucket: string, options: ListOptions): Promise<Listing>
  }

  export default class S3rver {
    constructor(options: {
      address: string
      port: number
      directory: string
      silent: boolean
      vhostBuckets: boolean
      configureBuckets: { name: string }[]
    })
    middleware: ((context: Context, next: () => Promise<void>) => Promise<void>)[]
    store: Store
    run(): Promise<{ port: number }>
  }
}
