import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { documents } from './documents.ts';
import { givenInBlocks, markdownBlocks } from './markdown-blocks.ts';

const root = fileURLToPath(new URL('../', import.meta.url));

test('finds the blocks of TypeScript with their places', () => {
  const fence = '```';
  const first = ['a', `${fence}sh`, 'npm ci', fence, `${fence}ts`, 'one;', 'two;', fence];
  const markdown = [...first, `${fence}ts fragment`, 'three;', fence].join('\n');
  expect(markdownBlocks(markdown)).toEqual([
    { line: 6, code: 'one;\ntwo;\n' },
    { line: 10, code: 'three;\n', notRun: 'fragment' },
  ]);
});

test('every block of TypeScript in the documents passes the type check, each by itself', () => {
  const folder = join(root, 'node_modules/.cache/markdown');
  // as deep as the tests beside which some of them belong
  const source = join(folder, 'packages/any/src');
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(source, { recursive: true });
  let blocks = 0;
  for (const document of documents)
    for (const { line, code } of markdownBlocks(readFileSync(join(root, document), 'utf8'))) {
      const name = `${join(dirname(document), basename(document, '.md')).replaceAll(/[\\/]/g, '-')}-${line}.ts`;
      // errors are reported at the lines of the document
      writeFileSync(join(source, name), `${'\n'.repeat(line - 1)}${code}\nexport {};\n`);
      blocks++;
    }
  expect(blocks).toBeGreaterThan(30);
  writeFileSync(join(source, 'given.ts'), givenInBlocks);
  const config = {
    extends: join(root, 'tsconfig.test.json'),
    compilerOptions: {
      incremental: false,
      moduleDetection: 'legacy', // what is given is no module, so that its names are everywhere
      noUnusedLocals: false,
      noUnusedParameters: false,
      rootDirs: [root, '.'],
    },
    files: readdirSync(source).map((name) => `packages/any/src/${name}`),
    include: [],
    exclude: [],
    references: [],
  };
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(config));
  expect(errorsOf(folder)).toBe('');
}, 60_000);

function errorsOf(project: string): string {
  try {
    return execFileSync(join(root, 'node_modules/.bin/tsc'), ['-p', project], { encoding: 'utf8', cwd: project });
  } catch (cause) {
    return (cause as { readonly stdout: string }).stdout;
  }
}
