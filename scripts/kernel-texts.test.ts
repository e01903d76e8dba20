import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { repositoryFiles } from './faults/scratch.ts';

const root = fileURLToPath(new URL('../', import.meta.url));

/** Ways to search a text, or to change it. */
const searches = /\.(replaceAll|replace|match|matchAll|search|split|test|exec)\(|new RegExp\(/;

/** What such files may search: no text of a kernel. */
const allowed: Readonly<Record<string, readonly string[]>> = {
  // whether an expression is a name already
  'codegen/expression-writer.ts': ['/^\\w+$/.test(expression)', '/^[a-z]\\w*$/i.test(expression)'],
  // numbers, and names of buffers
  'codegen/float-literal.ts': ['/[.e]/.test(text)'],
  'tiles/score.wgsl.ts': ['/[.e]/.test(text)'],
  'codegen/call-step.ts': ['/^e_/.test(name)'],
  'paged/wgsl/buffers.wgsl.ts': ['name.replace(/[A-Z]/g'],
};

/** Lines of a file that search, in files that write WGSL. */
function searchesIn(path: string, text: string): string[] {
  const [, passes = []] = Object.entries(allowed).find(([file]) => path.endsWith(file)) ?? [];
  return text
    .split('\n')
    .filter((line) => searches.test(line) && !passes.some((pass) => line.includes(pass)))
    .map((line) => `${path}: ${line.trim()}`);
}

describe('texts of kernels', () => {
  it('are not searched, and not changed after they are written', () => {
    const writers = repositoryFiles(root).filter(
      (path) => /(\.wgsl\.ts|webgpu\/codegen\/.*\.ts|tensor-core\/.*\.ts)$/.test(path) && !path.endsWith('.test.ts'),
    );
    expect(writers.length).toBeGreaterThan(60);
    expect(writers.flatMap((path) => searchesIn(path, readFileSync(join(root, path), 'utf8')))).toEqual([]);
  });

  it('name the functions of the prelude that they call', () => {
    const prelude = readFileSync(join(root, 'packages/tensor/src/executors/webgpu/codegen/prelude.ts'), 'utf8');
    const functions = Array.from(prelude.matchAll(/`fn (\w+)\(/g), ([, name]) => name!).filter((name) =>
      /_|\d/.test(name),
    );
    expect(functions.length).toBeGreaterThan(20);
    const guessed = new RegExp(`(?<![{.\\w])(?:${functions.join('|')})\\(`);
    const guesses = repositoryFiles(root)
      .filter((path) => /^packages\/.*src\/.*\.ts$/.test(path) && !/\.test\.ts$|codegen\/prelude\.ts$/.test(path))
      .flatMap((path) =>
        readFileSync(join(root, path), 'utf8')
          .split('\n')
          .map((line) => `${path}: ${line.trim()}`),
      )
      .filter((line) => guessed.test(line));
    expect(guesses).toEqual([]);
  });

  it('would be seen', () => {
    expect(searchesIn('a.wgsl.ts', "const x = 1;\nreturn text.replaceAll('@', c);")).toEqual([
      "a.wgsl.ts: return text.replaceAll('@', c);",
    ]);
  });
});
