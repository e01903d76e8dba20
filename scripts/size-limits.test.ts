import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const root = fileURLToPath(new URL('../', import.meta.url));
const read = (path: string): unknown => JSON.parse(readFileSync(`${root}${path}`, 'utf8'));

test('every entry of every package has a limit of its size', () => {
  const entries = readdirSync(`${root}packages`).flatMap((folder) => {
    const { name, exports } = read(`packages/${folder}/package.json`) as {
      readonly name: string;
      readonly exports: Readonly<Record<string, { readonly default: string }>>;
    };
    return Object.entries(exports).map(
      ([entry, { default: file }]) => `${name}${entry.slice(1)} ../../packages/${folder}/${file.slice(2)}`,
    );
  });
  const limits = read('scripts/checks/.size-limit.json') as readonly { readonly name: string; readonly path: string }[];
  expect(limits.map(({ name, path }) => `${name} ${path}`).sort()).toEqual(entries.sort());
});
