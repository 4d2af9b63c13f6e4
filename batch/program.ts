/** What every program of `shelf` has in common: its words, its options, its exit codes. */
import { type ParseArgsOptionsConfig, parseArgs } from 'node:util'

/** Exit codes, as documented: 75 is EX_TEMPFAIL of sysexits.h. */
export const EXIT = { done: 0, failed: 1, usage: 2, tryAgain: 75 } as const

export interface Option {
  type: 'string' | 'boolean'
  short?: string
  /** It may be given several times. */
  multiple?: boolean
  /** What stands for the value in the help: `URL`. */
  value?: string
  help: string
}

export type Options = Record<string, Option>

export interface Arguments {
  /** Options of type string that were given. */
  text: Record<string, string | undefined>
  /** Options of type string that may be given several times, and were. */
  texts: Record<string, string[] | undefined>
  /** Options of type boolean that were given. */
  flags: Record<string, boolean>
  positionals: string[]
}

export interface Program {
  /** `from TOPIC` */
  usage: string
  summary: string
  /** More words for `--help`, with examples. */
  details?: string
  options: Options
  /** Positional arguments: at least and at most. */
  positionals?: [number, number]
  run(args: Arguments, signal: AbortSignal): Promise<void>
}

/** Wrong usage: exit code 2, with a hint at `--help`. */
export class UsageError extends Error {
  override name = 'UsageError'
}

/** Something outside failed that may work later: exit code 75. */
export class TryAgainError extends Error {
  override name = 'TryAgainError'
}

export function parseProgramArgs(program: Program, argv: string[]): Arguments {
  const options: ParseArgsOptionsConfig = {}
  for (const [name, { type, short, multiple = false }] of Object.entries(program.options)) {
    options[name] = short === undefined ? { type, multiple } : { type, short, multiple }
  }
  let parsed: ReturnType<typeof parseArgs>
  try {
    parsed = parseArgs({ args: argv, options, allowPositionals: true, strict: true })
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error))
  }
  const { positionals } = parsed
  const [least, most] = program.positionals ?? [0, 0]
  if (positionals.length < least) throw new UsageError(`usage: shelf ${program.usage}`)
  if (positionals.length > most) throw new UsageError(`unexpected argument ${positionals[most]}`)
  const args: Arguments = { text: {}, texts: {}, flags: {}, positionals }
  for (const [name, value] of Object.entries(parsed.values)) {
    if (typeof value === 'string') args.text[name] = value
    else if (value === true) args.flags[name] = true
    else if (Array.isArray(value)) args.texts[name] = value.map(String)
  }
  return args
}

export function helpOf(program: Program): string {
  const rows = Object.entries(program.options).map(([name, { short, value, help }]): Row => {
    const flag = `${short === undefined ? '    ' : `-${short}, `}--${name}`
    return [value === undefined ? flag : `${flag} ${value}`, help]
  })
  rows.push(['-h, --help', 'this help'])
  const details =
    program.details === undefined ? '' : `\n${program.details.replace(/^\n/, '').trimEnd()}\n`
  return `usage: shelf ${program.usage}\n\n${program.summary}\n${details}\n${table(rows)}`
}

type Row = [string, string]

/** Two columns, the first as wide as its longest entry. */
export function table(rows: readonly Row[]): string {
  const width = Math.max(...rows.map(([left]) => left.length))
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}\n`).join('')
}

/** A word to the person at the terminal: stderr, one line. */
export function say(text: string): void {
  process.stderr.write(`${text}\n`)
}

/** A setting of the environment that is a whole number from 1 on. @throws UsageError */
export function setting(name: string, otherwise: number): number {
  const value = Number(process.env[name] || otherwise)
  if (Number.isInteger(value) && value >= 1) return value
  throw new UsageError(`${name} must be a whole number from 1 on, not ${process.env[name]}`)
}
