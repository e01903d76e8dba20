import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Plugin } from 'vite';

const folder = new URL('../examples/clients/', import.meta.url);
const names = ['@anthropic-ai/sdk', 'ai', 'openai'];

/** Whether `npm ci --prefix examples/clients` was run. */
export const clientsInstalled: boolean = names.every((name) => existsSync(new URL(`node_modules/${name}`, folder)));

/** What a test without them says. */
export const clientsMissing = 'npm ci --prefix examples/clients installs the official clients';

/**
 * `*.clients.test.ts` import the official clients of the APIs, thousands of files that a clone does without: they are found in
 * examples/clients, and where they are not installed each such file is one skipped test that says so.
 */
export function officialClients(): Plugin {
  return {
    name: 'heddle:official-clients',
    enforce: 'pre',
    resolveId(source, _importer, options) {
      if (!clientsInstalled || !names.includes(source)) return null;
      return this.resolve(source, fileURLToPath(new URL('package.json', folder)), { ...options, skipSelf: true });
    },
    load(id) {
      if (clientsInstalled || !id.endsWith('.clients.test.ts')) return null;
      return `import { test } from 'vitest';
test('with official clients', (context) => context.skip(${JSON.stringify(clientsMissing)}));`;
    },
  };
}
