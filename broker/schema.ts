/**
 * The file of the embedded log: its tables, how it is opened, and how a record's place is one
 * integer.
 */

import { Database } from 'bun:sqlite'
import { chmodSync, statSync } from 'node:fs'
import { LogError } from './error.ts'

/** In `pragma user_version`: a file of a newer one is refused. */
const SCHEMA_VERSION = 1
/** What `pragma auto_vacuum` answers for it. */
const AUTO_VACUUM_INCREMENTAL = 2
/** The WAL is cut back to this after a checkpoint, where a slow disk had let it grow. */
const WAL_BYTES_KEPT = 16 * 1024 * 1024

// `place` is a rowid on purpose: without rowid, SQLite moves values above 1 KiB to overflow
// pages of their own, which took 2.3 times the space and 2 to 3 times as long for values of 1.5 KB.
const TABLES = `
  create table partitions (
    id integer primary key check (id < 8192),
    topic text not null,
    partition integer not null,
    next_offset integer not null default 0 check (next_offset < 1099511627776),
    last_timestamp integer not null default 0,
    unique (topic, partition)
  ) strict;
  create table records (
    place integer primary key,
    timestamp integer not null,
    key text,
    value text not null,
    headers text
  ) strict;
  pragma user_version = ${SCHEMA_VERSION};
`

/**
 * The place of an offset: partition id times 2^40, plus the offset. With ids below 2^13 and
 * offsets below 2^40, as the table checks, it stays an exact JavaScript number.
 */
export function placeOf(partition: { id: number }, offset: number): number {
  return partition.id * 2 ** 40 + offset
}

/**
 * Opens or makes the file at `path`, for its owner only: it holds what drains sent, and a state
 * folder can be passed through by others. SQLite gives its -wal and -shm the mode of the file.
 * @throws SQLiteError; the system's error where another owner's file can't be closed to others
 */
export function openFile(path: string): Database {
  for (const file of [path, `${path}-wal`, `${path}-shm`]) closeToOthers(file)
  const before = process.umask(0o077)
  try {
    return new Database(path, { strict: true, create: true })
  } finally {
    process.umask(before)
  }
}

/**
 * Makes the tables. Writes nothing where nothing is new, so that a log on a full disk can still be
 * opened and read.
 * @throws LogError 'failed' for a file of a newer version
 */
export function prepare(db: Database): void {
  // EXCLUSIVE holds the lock for life: a second broker on the same folder is refused.
  db.run('pragma locking_mode = exclusive')
  // Only where it is new: this pragma writes, whatever the file has already.
  if (pragma(db, 'auto_vacuum') !== AUTO_VACUUM_INCREMENTAL)
    db.run('pragma auto_vacuum = incremental')
  db.run('pragma journal_mode = wal')
  db.run('pragma synchronous = full')
  // On macOS a plain fsync leaves the data in the drive's cache; elsewhere this does nothing.
  db.run('pragma fullfsync = on')
  db.run(`pragma journal_size_limit = ${WAL_BYTES_KEPT}`)
  const version = pragma(db, 'user_version')
  if (version > SCHEMA_VERSION) {
    throw new LogError(
      'failed',
      `${db.filename} is of version ${version}, this program reads up to ${SCHEMA_VERSION}: ` +
        'run the newer program that wrote it, or use another folder',
    )
  }
  if (version === 0) db.transaction(() => db.run(TABLES))()
}

/** Makes the partitions that these topics lack, all or none; writes nothing where none is missing. */
export function addPartitions(db: Database, topics: Readonly<Record<string, number>>): void {
  const count = db.query<{ n: number }, [string]>(
    'select count(*) as n from partitions where topic = ?',
  )
  db.transaction(() => {
    for (const [topic, partitions] of Object.entries(topics)) {
      for (let partition = count.get(topic)?.n ?? 0; partition < partitions; partition++) {
        db.run('insert into partitions (topic, partition) values (?, ?)', [topic, partition])
      }
    }
  })()
}

/** The number that a pragma answers, 0 where it answers something else. */
export function pragma(db: Database, name: string): number {
  const value = db.query(`pragma ${name}`).values()[0]?.[0]
  return typeof value === 'number' ? value : 0
}

/** A file of an older release, or one that was copied, may be open. */
function closeToOthers(file: string): void {
  const found = statSync(file, { throwIfNoEntry: false })
  if (found && (found.mode & 0o077) !== 0) chmodSync(file, 0o600)
}
