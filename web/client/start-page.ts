/** Waits for the first burst of an app, or of any. */
const POLL_MS = 1500

export function waitForData(app: string | null): void {
  const url =
    app === null
      ? '/api/apps?limit=1&sort=fresh&order=desc'
      : `/api/apps/${encodeURIComponent(app)}/status`
  const timer = setInterval(async () => {
    try {
      const response = await fetch(url)
      if (!response.ok) return
      const answer: unknown = await response.json()
      const text = JSON.stringify(answer)
      if (!/"lastAt":"/.test(text)) return
      clearInterval(timer)
      const [, first] = /"app":"([^"]+)"/.exec(text) ?? []
      const name = app ?? first
      location.assign(name === undefined ? '/' : `/apps/${encodeURIComponent(name)}?range=30m`)
    } catch {
      // Try again.
    }
  }, POLL_MS)
}
