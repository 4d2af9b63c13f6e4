/** The edge as it is configured, for each runtime's entry: it answers requests, and drains its spool. */
import { authenticator, userHasher } from '../core/credential.ts'
import { edgeApp, type Peer } from './app.ts'
import { BodiesHeld } from './limits-bodies.ts'
import { RateLimit } from './limits-rate.ts'
import type { EdgeSettings } from './settings.ts'
import { type Drained, type DrainLimits, drainSpool } from './spool/drain.ts'
import { Keeper } from './spool/keeper.ts'
import type { Spool } from './spool/spool.ts'

export interface Edge {
  fetch(request: Request, peer: Peer): Response | Promise<Response>
  /** Undefined without a spool, and where the spool failed: a line on stderr says so. */
  drain(limits: DrainLimits): Promise<Drained | undefined>
  /** Whether the log came back since this was last asked. */
  hasRecovered(): boolean
}

export function openEdge(settings: EdgeSettings, spool: Spool | undefined): Edge {
  const { drainKeys, revoked, sink, drainRate, bodiesBytesMax } = settings
  const [newestKey] = drainKeys
  const keeper = new Keeper({ sink, spool, now: () => performance.now() })
  const app = edgeApp({
    authenticate: authenticator(drainKeys, revoked),
    hashUser: userHasher(newestKey),
    keeper,
    rateLimit: new RateLimit(drainRate),
    bodiesHeld: new BodiesHeld(bodiesBytesMax),
  })
  return {
    fetch: (request, peer) => app.fetch(request, peer),
    hasRecovered: () => keeper.hasRecovered(),
    async drain(limits) {
      if (spool === undefined) return undefined
      try {
        const drained = await drainSpool(spool, sink, limits)
        if (drained.produced > 0) {
          console.error(`edge: ${drained.produced} bursts of the spool are in the log`)
        }
        return drained
      } catch (error) {
        console.error(`edge: the spool can't be drained: ${error}`)
        return undefined
      }
    },
  }
}
