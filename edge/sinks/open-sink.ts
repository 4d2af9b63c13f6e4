/** The sink that settings name: a dialect, and a URL. */
import { type HttpDialect, httpSink } from './http-sink.ts'
import { restV2 } from './rest-v2.ts'
import { restV3 } from './rest-v3.ts'
import type { Sink } from './sink.ts'
import { type Target, targetOf } from './target.ts'
import { upstash } from './upstash.ts'

export const DIALECTS = ['upstash', 'rest-v2', 'rest-v3'] as const
export type Dialect = (typeof DIALECTS)[number]

interface Speech {
  speak: (target: Target) => HttpDialect
  /** The URL that fits, as an operator reads it. */
  url: string
  fits: (target: Target) => boolean
}

const SPEECH: Record<Dialect, Speech> = {
  upstash: {
    speak: upstash,
    url: 'https://user:password@host',
    fits: ({ headers }) => headers.authorization !== undefined,
  },
  'rest-v2': {
    speak: restV2,
    url: 'https://host or https://user:password@host',
    fits: () => true,
  },
  'rest-v3': {
    speak: restV3,
    url: 'https://key:secret@host/kafka/v3/clusters/ID or http://host:8082/v3/clusters/ID',
    fits: ({ base }) => /\/v3\/clusters\/[^/]+$/.test(base),
  },
}

/**
 * @param warn gets a line for each call that left records untaken, without a secret in it
 * @throws Error that says which URL the dialect wants, and nothing of the one it got
 */
export function openSink(
  dialect: Dialect,
  url: string,
  warn: (line: string) => void = console.error,
): Sink {
  const { speak, url: wanted, fits } = SPEECH[dialect]
  return httpSink(speak(fittingTarget(url, wanted, fits)), warn)
}

function fittingTarget(url: string, wanted: string, fits: Speech['fits']): Target {
  let why = 'a part is missing'
  try {
    const target = targetOf(url)
    if (fits(target)) return target
  } catch (error) {
    if (error instanceof Error) why = error.message
  }
  throw new Error(`the URL must be ${wanted}: ${why}`)
}
