/** For `drizzle-kit generate`: where the schema is, and where its migrations go. */
import { defineConfig } from 'drizzle-kit'

export default defineConfig({
  dialect: 'postgresql',
  schema: './db/schema.ts',
  out: './db/migrations',
  schemaFilter: ['shelf'],
  migrations: { schema: 'shelf', table: 'migrations' },
  // A file is sent as one text, so that a person can read it as one text.
  breakpoints: false,
})
