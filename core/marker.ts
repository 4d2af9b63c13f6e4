/** Markers: what was done to an app, and what its dynos did, as single lines tell it. */

/** From the API's lines and the dynos' lines; `shelf.markers` joins those that belong together. */
export const MARKER_KINDS = [
  'build',
  'deploy',
  'release',
  'rollback',
  'config',
  'scale',
  'addon',
  'restart',
  'crash',
  'boot',
  'idle',
  'unidle',
] as const

export type MarkerKind = (typeof MARKER_KINDS)[number]

/** One line's marker. All of it together is its identity: the same line twice is one marker. */
export interface Marker {
  kind: MarkerKind
  /** Unix ms. */
  timeMs: number
  /** The process type that it is about, or empty: the app as a whole. */
  process: string
  /** The dyno, `web.1`, or empty. */
  dyno: string
  /**
   * In few words, and none of a person's: a commit, a version, names of config vars, `2:Standard-1X`.
   */
  text: string
  /** Who did it, as 8 hex digits of a keyed hash; empty where the line names nobody. */
  by: string
}
