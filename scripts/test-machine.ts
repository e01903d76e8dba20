import { createHash } from 'node:crypto';
import { type Dirent, existsSync, readdirSync, statSync } from 'node:fs';
import { arch, cpus, platform, release } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { clientsInstalled } from '../test-support/official-clients.ts';
import { onnxWebInstalled } from '../test-support/onnx-web.ts';

/**
 * What a test result depends on beside the repository's files, in a few characters: the machine, Node, the test data beside
 * the repository (names, sizes and times of its files), and whether what some tests need on demand is installed. Results are
 * kept for the same machine only.
 */
export function testMachine(): string {
  const hash = createHash('sha256');
  hash.update([process.version, platform(), arch(), release(), cpus()[0]?.model ?? '', cpus().length].join(' '));
  for (const line of listing(fileURLToPath(new URL('../../shared', import.meta.url)))) hash.update(`\n${line}`);
  const tokenizers = existsSync(fileURLToPath(new URL('../test-support/tokenizers/node_modules', import.meta.url)));
  hash.update(`\n${clientsInstalled} ${tokenizers} ${onnxWebInstalled}`);
  return hash.digest('hex').slice(0, 16);
}

function listing(folder: string): string[] {
  let entries: Dirent[];
  try {
    entries = readdirSync(folder, { withFileTypes: true, recursive: true });
  } catch {
    return ['no test data'];
  }
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => {
      const path = join(entry.parentPath, entry.name);
      const { size, mtimeMs } = statSync(path);
      return `${path} ${size} ${mtimeMs}`;
    })
    .sort();
}
