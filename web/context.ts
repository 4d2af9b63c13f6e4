/** What each request of the dashboard carries. */
import type { Sql } from '../db/client.ts'
import type { Viewer } from './access.ts'
import type { Facts } from './read/truth.ts'

export interface Env {
  /** What a runtime gives along with a request. */
  Bindings: {
    sql: Sql
    /** The address that it came from. */
    peer: string
    /** Keeps the runtime alive until work is done that the answer does not wait for. */
    inBackground: (work: Promise<unknown>) => void
    /** Lets go of connections that do not answer: the next request gets new ones. */
    reconnect: () => void
  }
  Variables: {
    viewer: Viewer
    /** Of the app in the path, which the viewer may see. */
    facts: Facts
  }
}
