/**
 * `npm run check:runtimes`: the first example of the tensor README under Deno and Bun, where they are installed, from the package as
 * npm would install it. Says which ones are not there.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readmeExample } from './readme-example.ts';

const runtimes = [
  { name: 'deno', args: ['run', '--allow-all', '--node-modules-dir=manual', 'example.ts'] },
  { name: 'bun', args: ['run', 'example.ts'] },
];
const folder = fileURLToPath(new URL('../packages/tensor/', import.meta.url));
const project = mkdtempSync(join(tmpdir(), 'heddle-runtimes-'));
let failed = 0;
try {
  const packed = execFileSync('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', project], {
    cwd: folder,
    encoding: 'utf8',
  });
  const [{ filename }] = JSON.parse(packed) as [{ filename: string }];
  writeFileSync(join(project, 'package.json'), JSON.stringify({ private: true, type: 'module' }));
  writeFileSync(join(project, 'example.ts'), readmeExample(readFileSync(join(folder, 'README.md'), 'utf8')).code);
  execFileSync('npm', ['install', '--ignore-scripts', '--no-audit', '--no-fund', join(project, filename)], {
    cwd: project,
    stdio: 'ignore',
  });
  for (const { name, args } of runtimes) {
    const { error, status, stdout, stderr } = spawnSync(name, args, {
      cwd: project,
      encoding: 'utf8',
      timeout: 60_000,
    });
    if ((error as NodeJS.ErrnoException | undefined)?.code === 'ENOENT')
      console.log(`NOT RUN  ${name} is not installed`);
    else if (status === 0) console.log(`ok       ${name}\n${stdout.trimEnd().replace(/^/gm, '    ')}`);
    else {
      failed++;
      console.log(`FAILED   ${name}\n${stdout}${stderr}${error ?? ''}`);
    }
  }
} finally {
  rmSync(project, { recursive: true });
}
process.exitCode = failed > 0 ? 1 : 0;
