/**
 * An S3 for tests, on files: s3rver, as a process that can be killed and frozen. It checks each
 * signature. Where it is not as S3 is, under this runtime, it is mended below.
 */
import crypto from 'node:crypto'
import fs, { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import S3rver from '@20minutes/s3rver'

export const BUCKET = 'shelf'

/** The only user that s3rver knows. */
const USER = 'S3RVER'

export interface S3Server {
  /** What a program needs to get there. */
  env(prefix?: string): Record<string, string>
  /** kill -9; what it holds stays. */
  kill(): Promise<void>
  /** Starts it again, on the same port. */
  restart(): Promise<void>
  freeze(): void
  thaw(): void
  stop(): Promise<void>
}

export async function startS3(): Promise<S3Server> {
  const folder = mkdtempSync(join(tmpdir(), 'shelf-s3-'))
  let { child, port } = await spawn(folder, 0)
  const kill = async (): Promise<void> => {
    child.kill('SIGKILL')
    await child.exited
  }
  return {
    env: (prefix = 'archive') => ({
      SHELF_ARCHIVE: `s3://${BUCKET}/${prefix}`,
      AWS_ENDPOINT_URL: `http://127.0.0.1:${port}`,
      AWS_ACCESS_KEY_ID: USER,
      AWS_SECRET_ACCESS_KEY: USER,
      AWS_REGION: 'us-east-1',
    }),
    kill,
    async restart() {
      ;({ child, port } = await spawn(folder, port))
    },
    freeze: () => child.kill('SIGSTOP'),
    thaw: () => child.kill('SIGCONT'),
    async stop() {
      await kill()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

async function spawn(folder: string, port: number) {
  const child = Bun.spawn([process.execPath, import.meta.path, folder, String(port)], {
    // It ends when we do, however we end.
    stdin: 'pipe',
    stdout: 'pipe',
    stderr: 'inherit',
  })
  const { value } = await child.stdout.getReader().read()
  const started = Number(new TextDecoder().decode(value))
  if (!(started > 0)) throw new Error('the S3 server did not start')
  return { child, port: started }
}

/**
 * It makes the tokens by which a list goes on with DES, which no OpenSSL of today has: nobody looks
 * into them, any cipher does. And it takes folders to be read in order, as Node gives them.
 */
function mend(): void {
  const { createCipheriv, createDecipheriv } = crypto
  const key = Buffer.alloc(16)
  Object.assign(crypto, {
    createCipheriv: () => createCipheriv('aes-128-ecb', key, null),
    createDecipheriv: () => createDecipheriv('aes-128-ecb', key, null),
  })
  const { readdirSync } = fs
  Object.assign(fs, { readdirSync: (path: string) => readdirSync(path).sort() })
}

/** It writes in place, and gives half a file to who reads it then: one after the other for each. */
function oneAfterTheOther(server: S3rver): void {
  const last = new Map<string, Promise<unknown>>()
  server.middleware.unshift(async ({ path, res }, next) => {
    const { promise, resolve } = Promise.withResolvers<void>()
    const before = last.get(path)
    last.set(path, promise)
    res.on('close', () => {
      if (last.get(path) === promise) last.delete(path)
      resolve()
    })
    await before
    await next()
  })
}

/** It does not find the folders that hold folders only. */
function findFolders({ store }: S3rver): void {
  const list = store.listObjects.bind(store)
  store.listObjects = async (
    bucket,
    { delimiter, maxKeys = 1000, prefix = '', startAfter = '' },
  ) => {
    const { objects } = await list(bucket, { prefix, startAfter })
    const rest = (key: string) => key.slice(prefix.length)
    const isDeeper = (key: string) => delimiter !== undefined && rest(key).includes(delimiter)
    const folders = objects
      .filter(({ key }) => isDeeper(key))
      .map(({ key }) => `${prefix}${rest(key).split(delimiter ?? '')[0]}${delimiter}`)
    const files = objects.filter(({ key }) => !isDeeper(key))
    return {
      objects: files.slice(0, maxKeys),
      commonPrefixes: [...new Set(folders)],
      isTruncated: files.length > maxKeys,
    }
  }
}

async function serve(directory: string, port: number): Promise<void> {
  mend()
  const server = new S3rver({
    address: '127.0.0.1',
    port,
    directory,
    silent: true,
    vhostBuckets: false,
    configureBuckets: [{ name: BUCKET }],
  })
  // It takes the signed path of a list, `/bucket/?…`, to have no slash at its end, as one client
  // sends it. This makes it check what was signed.
  server.middleware.splice(-1, 0, async (context, next) => {
    if (/^\/[^/]+\/$/.test(context.path)) {
      context.state.vhost = true
      context.mountPath = '/'
    }
    await next()
  })
  findFolders(server)
  oneAfterTheOther(server)
  const started = await server.run()
  process.stdout.write(String(started.port))
  process.stdin.on('end', () => process.exit())
  process.stdin.resume()
}

if (import.meta.main) await serve(process.argv[2] ?? '', Number(process.argv[3]))
