/** What a burst holds, in words, so that tables of tests can say it on a line. */
import type { Burst } from '../core/burst.ts'
import { type BurstJson, burstToJson } from '../core/burst-json.ts'

/**
 * The requests, points, markers and sightings of a burst, each kind in the order of the body:
 * `request web 200 3ms`, `gauge web memory_rss = 512`, `marker release v4 by 1f2e3d4c`,
 * `dyno web.1 7f9b14bc-…`. A point's source stands in brackets, a process that is none is a dash.
 */
export function wordsOf(burst: Burst): string[] {
  const { requests, points, markers, dynos } = burstToJson(burst)
  return [
    ...requests.map(requestWords),
    ...points.map(({ kind, process, name, source, value }) =>
      words(kind, process || '-', name, source && `[${source}]`, '=', value),
    ),
    ...markers.map(({ kind, process, dyno, text, by }) =>
      words('marker', kind, dyno ?? process, text, by && `by ${by}`),
    ),
    ...dynos.map(({ dyno, instance }) => words('dyno', dyno, instance)),
  ]
}

/** When each of these happened, Unix ms, in the order of wordsOf. */
export function timesOf({ requests, signals }: Burst): number[] {
  const { points, markers, dynos } = signals
  return [...requests.timeMs, ...[points, markers, dynos].flat().map(({ timeMs }) => timeMs)]
}

function requestWords(request: BurstJson['requests'][number]): string {
  const { process, status, service, code } = request
  return words('request', process, status, service === undefined ? '' : `${service}ms`, code)
}

function words(...all: (string | number | undefined)[]): string {
  return all.filter((word) => word !== undefined && word !== '').join(' ')
}
