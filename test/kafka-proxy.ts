/** Between a client and a Kafka: loses answers. */
import { createConnection, createServer, type Socket } from 'node:net'

const PRODUCE = 0

export interface LossyProxy {
  /** The answers to so many of the next produce requests are lost, with their connections. */
  lose(answers: number): void
  /** How many were lost since the start. */
  readonly lost: number
  /** Connections of clients. */
  readonly open: number
  close(): void
}

export async function startProxy(port: number, targetPort: number): Promise<LossyProxy> {
  let toLose = 0
  let lost = 0
  const sockets = new Set<Socket>()
  const clients = new Set<Socket>()
  const server = createServer((client) => {
    const broker = createConnection(targetPort, '127.0.0.1')
    const produces = new Set<number>()
    clients.add(client)
    const end = () => {
      clients.delete(client)
      client.destroy()
      broker.destroy()
    }
    for (const socket of [client, broker]) {
      sockets.add(socket)
      socket.on('error', end).on('close', end)
    }
    const onRequest = frames((frame) => {
      if (frame.readInt16BE(4) === PRODUCE) produces.add(frame.readInt32BE(8))
      broker.write(frame)
    })
    const onAnswer = frames((frame) => {
      if (toLose > 0 && produces.delete(frame.readInt32BE(4))) {
        toLose--
        lost++
        end()
      } else client.write(frame)
    })
    client.on('data', onRequest)
    broker.on('data', onAnswer)
  })
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  return {
    lose(answers) {
      toLose = answers
    },
    get lost() {
      return lost
    },
    get open() {
      return clients.size
    },
    close() {
      server.close()
      for (const socket of sockets) socket.destroy()
    },
  }
}

/** Cuts a stream into frames: 4 bytes of length, and what they count. */
function frames(take: (frame: Buffer) => void): (data: Buffer) => void {
  let rest = Buffer.alloc(0)
  return (data) => {
    rest = Buffer.concat([rest, data])
    while (rest.length >= 4 && rest.length >= 4 + rest.readInt32BE(0)) {
      const length = 4 + rest.readInt32BE(0)
      take(rest.subarray(0, length))
      rest = rest.subarray(length)
    }
  }
}
