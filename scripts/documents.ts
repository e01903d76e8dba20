import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../', import.meta.url));
const folders = [
  ...['.', 'bench', 'decisions', 'docs', 'docs/guides', 'examples'],
  ...readdirSync(join(root, 'packages')).map((name) => `packages/${name}`),
];

/** The Markdown files that people read, as paths from the root. */
export const documents: readonly string[] = folders.flatMap((folder) =>
  readdirSync(join(root, folder))
    .filter((name) => name.endsWith('.md'))
    .map((name) => join(folder, name)),
);
