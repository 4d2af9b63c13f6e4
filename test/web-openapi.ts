/** Reads an OpenAPI document back into schemas, as anybody's client would. */
import { z } from 'zod'

const documentSchema = z.object({
  openapi: z.string().startsWith('3.1'),
  paths: z.record(
    z.string(),
    z.object({
      get: z.object({
        responses: z.object({
          200: z.object({
            content: z.object({ 'application/json': z.object({ schema: z.json() }) }).loose(),
          }),
        }),
      }),
    }),
  ),
  components: z.object({ schemas: z.record(z.string(), z.json()) }),
})

/** Of each path: the schema of its answer. */
export async function openAPISchemas(json: unknown): Promise<Record<string, z.ZodType>> {
  const { paths, components } = documentSchema.parse(json)
  const schemas: Record<string, z.ZodType> = {}
  for (const [path, { get }] of Object.entries(paths)) {
    const { schema } = get.responses[200].content['application/json']
    const text = JSON.stringify({ ...Object(schema), $defs: components.schemas })
    const standalone = JSON.parse(text.replaceAll('#/components/schemas/', '#/$defs/'))
    schemas[path] = z.fromJSONSchema(standalone)
  }
  return schemas
}
