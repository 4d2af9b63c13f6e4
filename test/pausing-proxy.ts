/** A way to a server that can fall silent, or be cut, while both ends are well. */
import { connect, createServer, type Socket } from 'node:net'

export interface PausingProxy {
  port: number
  /** Carries nothing any more on all connections. Those that come when it is over are well again. */
  silence(isSilent: boolean): void
  /** Ends all connections and refuses new ones, or takes them again. */
  refuse(isRefusing: boolean): void
  stop(): void
}

export async function startPausingProxy(port: number): Promise<PausingProxy> {
  const pairs = new Set<[Socket, Socket]>()
  let isRefusing = false
  let isSilent = false
  const server = createServer((near) => {
    if (isRefusing) {
      near.destroy()
      return
    }
    const far = connect(port, '127.0.0.1')
    const pair: [Socket, Socket] = [near, far]
    pairs.add(pair)
    if (!isSilent) {
      near.pipe(far)
      far.pipe(near)
    }
    for (const socket of pair) {
      socket.on('error', () => {})
      socket.on('close', () => end(pair))
    }
  })
  const end = (pair: [Socket, Socket]): void => {
    pairs.delete(pair)
    for (const socket of pair) socket.destroy()
  }
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return {
    port: address.port,
    silence(isNow) {
      isSilent = isNow
      if (!isNow) return
      for (const [near, far] of pairs) {
        near.unpipe(far)
        far.unpipe(near)
      }
    },
    refuse(isNow) {
      isRefusing = isNow
      if (isNow) for (const pair of pairs) end(pair)
    },
    stop() {
      server.close()
      for (const pair of pairs) end(pair)
    },
  }
}
