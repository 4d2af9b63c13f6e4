/** Rows as CSV (RFC 4180). */

type Cell = string | number | boolean | null | Date | object | undefined

/** Begins with a header of the names of `columns`. */
export function toCsv(
  columns: readonly string[],
  rows: readonly Readonly<Record<string, unknown>>[],
): string {
  const lines = rows.map((row) => columns.map((column) => cell(row[column] as Cell)).join(','))
  return [columns.join(','), ...lines, ''].join('\r\n')
}

function cell(value: Cell): string {
  if (value === null || value === undefined) return ''
  if (typeof value === 'number' || typeof value === 'boolean') return String(value)
  if (value instanceof Date) return value.toISOString()
  return quoted(typeof value === 'string' ? harmless(value) : JSON.stringify(value))
}

/** Spreadsheets run what begins so, and names come from an app's log. */
const harmless = (text: string): string => (/^[=+\-@\t\r\n＝＋－＠]/.test(text) ? `'${text}` : text)

const quoted = (text: string): string =>
  /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
