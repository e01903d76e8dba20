/**
 * `npm run soak`: every test of properties, with ten times as many cases (TEST_TIMES says how many times), drawn from a seed
 * that the closing lines name (TEST_SEED draws the same again). Arguments go to vitest: `npm run soak -- --project unit`.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { repositoryFiles } from './faults/scratch.ts';

const root = fileURLToPath(new URL('../', import.meta.url));
const files = repositoryFiles(root).filter(
  (file) => file.endsWith('.test.ts') && readFileSync(join(root, file), 'utf8').includes('test-support/properties.ts'),
);
const { status } = spawnSync(join(root, 'node_modules/.bin/vitest'), ['run', ...process.argv.slice(2), ...files], {
  cwd: root,
  stdio: 'inherit',
  env: { TEST_TIMES: '10', ...process.env },
});
process.exitCode = status ?? 1;
