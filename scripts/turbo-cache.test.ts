import { execFileSync, spawnSync } from 'node:child_process';
import {
  appendFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

const root = fileURLToPath(new URL('../', import.meta.url));
const copy = mkdtempSync(join(tmpdir(), 'heddle-turbo-'));
const all = ['attention', 'batcher', 'bench', 'examples', 'kvcache', 'llm', 'tensor', 'trainer'];

/** Tasks of the copy by package, with the hash of all that their result depends on. */
function hashes(task: string, env: Readonly<Record<string, string>> = {}): Map<string, string> {
  const turbo = join(root, 'node_modules/.bin/turbo');
  const { stdout, stderr } = spawnSync(turbo, ['run', task, '--dry=json', '--cwd', copy], {
    cwd: copy,
    encoding: 'utf8',
    maxBuffer: 2 ** 28,
    env: { PATH: process.env['PATH'], HOME: copy, TURBO_TELEMETRY_DISABLED: '1', ...env },
  });
  expect(stdout, stderr).toContain('{');
  const { tasks } = JSON.parse(stdout) as {
    readonly tasks: readonly { task: string; package: string; hash: string; command: string }[];
  };
  const own = tasks.filter((each) => each.task === task && each.command !== '<NONEXISTENT>');
  return new Map(own.map((each) => [each.package.replace('@heddle/', ''), each.hash]));
}

/** The packages whose task is not in the cache any more after `change`. */
function rerun(task: string, change: () => void): string[] {
  const before = hashes(task);
  change();
  const after = hashes(task);
  return [...after.keys()].filter((name) => after.get(name) !== before.get(name)).sort();
}

const edit = (file: string) => () => appendFileSync(join(copy, file), '\n');

beforeAll(() => {
  const files = execFileSync('git', ['ls-files', '-co', '--exclude-standard'], { cwd: root, encoding: 'utf8' });
  for (const file of files.trim().split('\n')) {
    if (!existsSync(join(root, file))) continue;
    mkdirSync(join(copy, dirname(file)), { recursive: true });
    cpSync(join(root, file), join(copy, file));
  }
  symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'));
});
afterAll(() => rmSync(copy, { recursive: true }));

describe('what turbo keeps', () => {
  it('is there for every package', () => {
    expect([...hashes('test').keys()].sort()).toEqual(all);
    expect([...hashes('lint').keys()].sort()).toEqual(all);
    expect([...hashes('build').keys()].sort()).toEqual(all.filter((name) => name !== 'examples'));
  });

  it('of tests: an edit in tensor runs all that depend on it again, an edit in batcher nothing of tensor', () => {
    expect(rerun('test', edit('packages/tensor/src/index.ts'))).toEqual(all.filter((name) => name !== 'batcher'));
    expect(rerun('test', edit('packages/attention/src/index.ts'))).toEqual([
      'attention',
      'bench',
      'examples',
      'kvcache',
      'llm',
    ]);
    expect(rerun('test', edit('packages/batcher/src/index.ts'))).toEqual(['batcher', 'bench', 'examples', 'llm']);
    expect(rerun('test', edit('packages/llm/src/index.ts'))).toEqual(['bench', 'examples', 'llm']);
  });

  it('of tests: an edit in what all tests use, or another machine, runs them all again; a document none', () => {
    expect(rerun('test', edit('test-support/suite.ts'))).toEqual(all);
    expect(rerun('test', edit('vitest.config.ts'))).toEqual(all);
    expect(rerun('test', edit('tsconfig.base.json'))).toEqual(all);
    expect(rerun('test', edit('decisions/README.md'))).toEqual([]);
    const here = hashes('test', { TEST_MACHINE: 'here' });
    for (const env of [{ TEST_MACHINE: 'there' }, { TEST_MACHINE: 'here', VK_DRIVER_FILES: 'other.json' }]) {
      const there = hashes('test', env);
      expect([...there].filter(([name, hash]) => here.get(name) === hash)).toEqual([]);
    }
  });

  it('of lint: an edit runs the one package again', () => {
    expect(rerun('lint', edit('packages/tensor/src/index.ts'))).toEqual(['tensor']);
    expect(rerun('lint', edit('biome.json'))).toEqual(all);
  });

  it('of builds: sources count, tests do not', () => {
    const dependents = rerun('build', edit('packages/attention/src/index.ts'));
    expect(dependents).toEqual(['attention', 'bench', 'kvcache', 'llm']);
    expect(rerun('build', edit('packages/batcher/src/scheduling/heap.test.ts'))).toEqual([]);
  });
});

describe('what the cache relies on', () => {
  it('holds: every package declares the packages that its sources and tests import', () => {
    const folders = [...readdirSync(join(root, 'packages')).map((name) => `packages/${name}`), 'bench', 'examples'];
    for (const folder of folders) {
      const manifest = JSON.parse(readFileSync(join(root, folder, 'package.json'), 'utf8')) as {
        readonly name: string;
        readonly dependencies?: object;
        readonly devDependencies?: object;
      };
      const declared = new Set(Object.keys({ ...manifest.dependencies, ...manifest.devDependencies }));
      for (const [file, name] of importsOf(folder)) {
        if (name !== manifest.name) expect(declared, `${file} imports ${name}`).toContain(name);
      }
    }
  });
});

/** The packages of this repository that files below `folder` import, by file. */
function importsOf(folder: string): [file: string, name: string][] {
  const files = readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' });
  return files
    .filter((file) => file.endsWith('.ts') && !/(^|\/)(node_modules|dist)\//.test(file))
    .flatMap((file) => {
      const text = readFileSync(join(root, folder, file), 'utf8');
      const names = [...text.matchAll(/(?:from|import\() ?'(@heddle\/[a-z]+)/g)].map(([, name]) => name!);
      return names.map((name): [string, string] => [join(folder, file), name]);
    });
}
