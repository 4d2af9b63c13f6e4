/** A log served over its REST dialect, by the broker and by the gateway. */

import type { BrokerLog } from './dialect.ts'
import { brokerApp } from './server.ts'

export const HOSTNAME = '127.0.0.1'
export const PORT_DEFAULT = 8788
const USERNAME = 'shelf'
/** Above the longest wait of a fetch (30 s); Bun's own default of 10 s would cut it off. */
const IDLE_SECONDS = 120
/** After this a stop no longer waits for slow clients; the log itself is closed by then. */
const DRAIN_MS_MAX = 3_000

type ServedLog = BrokerLog & { close(): void | Promise<void> }

interface Listening {
  hostname: string
  /** 0 takes a free port. */
  port: number
  password: string
}

export interface Serving {
  url: string
  /** Takes no more connections, answers what it took, closes the log; in 3 s at most. */
  stop(): Promise<void>
}

/**
 * Serves a log to whoever knows the password, as user `shelf`.
 * @throws Error with what to do, where it can't listen; the log is closed then
 */
export function serve(log: ServedLog, { hostname, port, password }: Listening): Serving {
  const server = listen(log, { hostname, port, password })
  return {
    url: `http://${hostname.includes(':') ? `[${hostname}]` : hostname}:${server.port}`,
    async stop() {
      const drained = server.stop()
      await Promise.race([Promise.all([log.close(), drained]), Bun.sleep(DRAIN_MS_MAX)])
    },
  }
}

function listen(log: ServedLog, { hostname, port, password }: Listening): Bun.Server<undefined> {
  try {
    const { fetch } = brokerApp(log, { username: USERNAME, password })
    return Bun.serve({ hostname, port, fetch, idleTimeout: IDLE_SECONDS })
  } catch (error) {
    log.close()
    const inUse = error instanceof Error && 'code' in error && error.code === 'EADDRINUSE'
    throw new Error(
      inUse
        ? `port ${port} on ${hostname} is in use: stop what listens there, ` +
            'or set SHELF_BROKER_PORT to a free one'
        : `can't listen on ${hostname}:${port}: ${error}`,
    )
  }
}
