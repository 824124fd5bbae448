import { z } from 'zod';
import { schema } from './schema.js';

/** The JSON Schema of configurations (draft 2020-12), for editors; from the same source as the checks. */
export function jsonSchema(): object {
  const document = z.toJSONSchema(schema, {
    io: 'input',
    override: ({ jsonSchema: node }) => {
      // a lone name, word or number may stand for a list of one
      const items = node.items as { type?: string; enum?: unknown } | undefined;
      if (node.type === 'array' && items !== undefined && items.type !== 'object') {
        const { type, items: element, ...rest } = node;
        for (const key of Object.keys(node)) delete node[key as keyof typeof node];
        Object.assign(node, { anyOf: [element, { type, items: element, ...rest }] });
      }
    },
  });
  return { title: 'Penstock configuration', ...document };
}
