import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, test } from 'vitest';

const root = fileURLToPath(new URL('../', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'heddle-imports-'));
afterAll(() => rmSync(folder, { recursive: true }));

const files: Readonly<Record<string, string>> = {
  'packages/one/package.json': '{ "name": "@any/one", "exports": { ".": { "@heddle/source": "./src/index.ts" } } }',
  'packages/one/src/index.ts': "export { base } from './base.ts'; export type { A } from './a/a.ts';",
  'packages/one/src/base.ts': 'export const base = 1;',
  // types over two folders
  'packages/one/src/a/a.ts': "import type { B } from '../b/b.ts'; export interface A { b: B }",
  'packages/one/src/b/b.ts':
    "import { base } from '../base.ts'; import type { A } from '../a/a.ts'; export class B { a: A | null = null; n = base }",
  // types in one folder
  'packages/one/src/c/c.ts': "import type { D } from './d.ts'; export interface C { d: D }",
  'packages/one/src/c/d.ts': "import type { C } from './c.ts'; export interface D { c: C }",
  // values, by an import whose names are types alone: that runs the module, too
  'packages/one/src/e/e.ts': "import { type F, f } from './f.ts'; export const e: F = f + 1;",
  'packages/one/src/e/f.ts':
    "import { e } from './e.ts'; export type F = number; export const f = 1; export const g = () => e;",
  'packages/two/package.json': '{ "name": "@any/two", "exports": {} }',
  'packages/two/src/first.ts': "import { base } from '@any/one'; export const two = base + 1;",
  'packages/two/src/broken.ts': "throw new Error('not alone');",
};

test('the check of imports names each circle that is not allowed, and each module that does not load alone', async () => {
  for (const [file, text] of Object.entries(files)) {
    mkdirSync(join(folder, dirname(file)), { recursive: true });
    writeFileSync(join(folder, file), text);
  }
  const script = join(root, 'scripts/check-imports.ts');
  const node = ['--import', 'tsx', '--experimental-vm-modules', '--no-warnings', script, folder];
  const child = spawn(process.execPath, node, { cwd: root });
  let out = '';
  child.stdout.on('data', (chunk) => {
    out += chunk;
  });
  const code = await new Promise((resolve) => child.on('close', resolve));
  expect(out.trim().split('\n')).toEqual([
    'a circle of values:',
    '  packages/one/src/e/e.ts',
    '  packages/one/src/e/f.ts',
    'a circle of types:',
    '  packages/one/src/a/a.ts',
    '  packages/one/src/b/b.ts',
    "packages/one/src/e/f.ts cannot be the first module that loads: ReferenceError: Cannot access 'f' before initialization",
    'packages/two/src/broken.ts cannot be the first module that loads: Error: not alone',
    '10 modules, 4 faults in their imports',
  ]);
  expect(code).toBe(1);
}, 60_000);
