/**
 * The data folder of a PostgreSQL: made by initdb, whole or not at all, and fit for the PostgreSQL
 * that is to run on it.
 */
import {
  chownSync,
  closeSync,
  existsSync,
  fsyncSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { run } from './child.ts'
import type { Launcher } from './launcher.ts'

interface FirstStart {
  /** Of the role `shelf`. */
  password: string
  signal?: AbortSignal
}

/**
 * Makes `dataDir` where there is none: role and database `shelf`, owned by the launcher's user. No
 * server may run on it. Rejects with an Error for a folder of another owner or major version, or of
 * something else, and with the signal's reason.
 */
export async function prepareDataFolder(
  binDir: string,
  dataDir: string,
  launcher: Launcher,
  options: FirstStart,
): Promise<void> {
  const { owner, major } = launcher
  removeHalves(dataDir)
  if (isEmpty(dataDir)) await initialize(binDir, dataDir, launcher, options)
  checkFolder(dataDir, major)
  // Copied or restored by root.
  if (owner && statSync(dataDir).uid === 0)
    await run(['chown', '-R', `${owner.uid}:${owner.gid}`, dataDir])
}

/** initdb beside the data folder and a rename at the end: what is interrupted leaves no half. */
async function initialize(
  binDir: string,
  dataDir: string,
  { prefix, owner }: Launcher,
  { password, signal }: FirstStart,
): Promise<void> {
  const fresh = mkdtempSync(`${dataDir}.new-`)
  const step = async (program: string, args: string[], stdin = '') => {
    const { code, err } = await run([...prefix, join(binDir, program), ...args], stdin, signal)
    signal?.throwIfAborted()
    // A single-user server goes on after an error and exits 0.
    if (code !== 0 || /^(ERROR|FATAL|PANIC):/m.test(err))
      throw new Error(`${program}: ${err.trim()}`)
  }
  try {
    if (owner) chownSync(fresh, owner.uid, owner.gid)
    const encoding = ['--encoding=UTF8', '--no-locale', '--data-checksums']
    // The superuser gets no password, so scram lets nobody in as it.
    const access = ['--username=postgres', '--auth-local=reject', '--auth-host=scram-sha-256']
    await step('initdb', ['-D', fresh, ...encoding, ...access, '--no-instructions'])
    const settings = ['-c', 'log_line_prefix=', '-c', 'password_encryption=scram-sha-256']
    await step('postgres', ['--single', '-D', fresh, ...settings, 'postgres'], firstSql(password))
    renameSync(fresh, dataDir)
    const folder = openSync(dirname(dataDir), 'r')
    fsyncSync(folder)
    closeSync(folder)
  } finally {
    removeHalves(dataDir)
  }
}

/** What first starts left that did not come to their end. */
function removeHalves(dataDir: string): void {
  for (const name of readdirSync(dirname(dataDir))) {
    if (!name.startsWith(`${basename(dataDir)}.new-`)) continue
    try {
      rmSync(join(dirname(dataDir), name), { recursive: true, force: true })
    } catch {
      // An initdb that is just being killed may still write: the next start takes the rest away.
    }
  }
}

/** One statement a line: a single-user server ends a statement at the end of its line. */
function firstSql(password: string): string {
  const literal = `'${password.replaceAll("'", "''").replaceAll('\n', '')}'`
  return [
    `create role shelf login createdb password ${literal}`,
    'grant pg_monitor to shelf',
    'create database shelf owner shelf',
    '',
  ].join('\n')
}

function isEmpty(dataDir: string): boolean {
  return !existsSync(dataDir) || readdirSync(dataDir).length === 0
}

function checkFolder(dataDir: string, major: number): void {
  const { uid } = statSync(dataDir)
  const ours = process.getuid?.()
  if (ours !== 0 && ours !== undefined && uid !== ours) {
    throw new Error(
      `${dataDir} belongs to user ${uid}: start as that user, or move the folder away`,
    )
  }
  const versionFile = join(dataDir, 'PG_VERSION')
  if (!existsSync(versionFile)) {
    throw new Error(`${dataDir} is not a PostgreSQL data folder: move it away`)
  }
  const made = readFileSync(versionFile, 'utf8').trim()
  if (made === String(major)) return
  throw new Error(
    `${dataDir} was made by PostgreSQL ${made}, and this is PostgreSQL ${major}: ` +
      `move the folder away, or run a PostgreSQL ${made} on it and set DATABASE_URL`,
  )
}
