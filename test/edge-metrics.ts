/** Posts of metrics as Heroku's language agents send them, for the tests of that path. */
import type { Posted, PostOptions, TestEdge } from './edge.ts'

export const METRICS_PATH = '/drains/heroku/metrics'

/** What Java's agent posts, https://github.com/heroku/heroku-java-metrics-agent. */
export const JVM = {
  gauges: {
    'jvm_memory_bytes_used.area_heap': 61_000_000,
    'jvm_memory_bytes_used.area_nonheap': 42_500_000,
    'jvm_memory_bytes_committed.area_heap': 351_000_000,
    'jvm_memory_bytes_committed.area_nonheap': 48_000_000,
    'jvm_buffer_pool_bytes_used.name_direct': 8192,
    'jvm_buffer_pool_bytes_used.name_mapped': 0,
  },
  counters: {
    'jvm_gc_collection_seconds_count.gc_all': 6,
    'jvm_gc_collection_seconds_count.gc_G1_Young_Generation': 4,
    'jvm_gc_collection_seconds_sum.gc_G1_Young_Generation': 5.5,
  },
}

/** RFC 3339 in whole seconds, as the agents write it. */
export function secondsAgo(seconds: number): string {
  return `${new Date(Date.now() - seconds * 1000).toISOString().slice(0, 19)}Z`
}

/** Posts a body, or the JSON of an object, measured now. */
export async function postMetrics(
  edge: TestEdge,
  sent: object | string | Uint8Array<ArrayBuffer>,
  { path = METRICS_PATH, headers, ...options }: PostOptions = {},
): Promise<Posted> {
  const isBody = typeof sent === 'string' || sent instanceof Uint8Array
  return await edge.post(isBody ? sent : JSON.stringify(sent), {
    ...options,
    path,
    headers: {
      'content-type': 'application/json',
      'measurements-count': '1',
      'measurements-time': secondsAgo(0),
      'logplex-drain-token': undefined,
      'user-agent': 'Java/21',
      ...headers,
    },
  })
}
