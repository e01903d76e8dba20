/**
 * Packs every package, installs each tarball into an empty project with what its README says to install, type checks
 * the README's first example against the installed declarations, and runs it with plain node, without TypeScript; so what
 * newcomers write first (`newcomers/`). The
 * packages of models are packed too, and installed where a README says so.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readmeExample } from './readme-example.ts';
import { type Counts, closeRun } from './report.ts';

interface Manifest {
  readonly name: string;
  readonly bin?: Readonly<Record<string, string>>;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
}
interface Package {
  readonly folder: string;
  readonly manifest: Manifest;
  readonly tarball: string;
}

const root = fileURLToPath(new URL('../', import.meta.url));
const bin = (name: string): string => join(root, 'node_modules/.bin', name);
const readManifest = (folder: string): Manifest =>
  JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as Manifest;
const pinned = readManifest(root).devDependencies ?? {};

/** Runs a command to its end and returns what it wrote, and what to its errors. @throws Error with its output where it fails. */
function attempt(cwd: string, file: string, args: readonly string[], timeoutMs = 300_000) {
  const { status, error, stdout, stderr } = spawnSync(file, args, {
    cwd,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: timeoutMs,
    maxBuffer: 2 ** 26,
  });
  const output = `${stdout ?? ''}${stderr ?? ''}`;
  if (status !== 0) throw new Error(`${file} ${args.join(' ')} failed\n${output}${error ?? ''}`.trimEnd());
  return { stdout, output };
}
const run = (...command: Parameters<typeof attempt>): string => attempt(...command).stdout;

/** What the tarball of a library must hold, and that of a model. */
const libraryFiles = ['LICENSE', 'README.md', 'dist/index.js', 'dist/index.d.ts'];
const modelFiles = ['LICENSE', 'README.md', 'config.json', 'model.safetensors', 'tokenizer.json'];

function pack(folder: string, into: string, required: readonly string[]): Package {
  const out = run(folder, 'npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', into]);
  const [packed] = JSON.parse(out) as { filename: string; files: { path: string }[] }[];
  if (!packed) throw new Error(`npm pack wrote nothing for ${folder}`);
  const paths = packed.files.map(({ path }) => path);
  const stray = paths.find((path) => /\.test\.|\.tsbuildinfo$/.test(path));
  if (stray) throw new Error(`${stray} does not belong in the tarball`);
  for (const file of required) if (!paths.includes(file)) throw new Error(`its tarball has no ${file}`);
  return { folder, manifest: readManifest(folder), tarball: join(into, packed.filename) };
}

/** Tarballs of `name` and of what it stands on, so that nothing of ours comes from a registry. */
function closure(name: string, packages: ReadonlyMap<string, Package>, seen = new Set<string>()): Set<string> {
  const found = packages.get(name);
  if (!found) throw new Error(`${name} is not a package of this repository, or did not pack`);
  if (!seen.has(found.tarball)) {
    seen.add(found.tarball);
    for (const dependency of Object.keys(found.manifest.dependencies ?? {}))
      if (dependency.startsWith('@heddle/')) closure(dependency, packages, seen);
  }
  return seen;
}

/** Installs and runs the first example of `each` in a new folder under `scratch`. */
function tryOut(each: Package, packages: ReadonlyMap<string, Package>, scratch: string): void {
  const { install, flags, code } = readmeExample(readFileSync(join(each.folder, 'README.md'), 'utf8'));
  if (!install.includes(each.manifest.name))
    throw new Error(`its README does not say to install ${each.manifest.name}`);
  const project = join(scratch, each.manifest.name.replace('@heddle/', ''), 'project');
  mkdirSync(project, { recursive: true });
  writeFileSync(join(project, 'package.json'), JSON.stringify({ private: true, type: 'module' }));
  const ours = new Set<string>();
  const others: string[] = [];
  for (const name of install) {
    if (name.startsWith('@heddle/')) closure(name, packages, ours);
    else others.push(pinned[name] ? `${name}@${pinned[name]}` : name);
  }
  const command = ['install', '--prefer-offline', '--no-audit', '--no-fund', ...flags, ...ours, ...others];
  const { output: said } = attempt(project, 'npm', command);
  if (/npm warn/i.test(said)) throw new Error(`what its README says to install warns:\n${said}`);

  writeFileSync(join(project, 'example.ts'), code);
  // ESNext: what Node 20 cannot read must fail here, not be compiled away.
  const compile = ['--strict', '--module', 'nodenext', '--target', 'esnext', '--skipLibCheck', '--types', 'node'];
  const types = ['--typeRoots', join(root, 'node_modules/@types')];
  run(project, bin('tsc'), [...compile, ...types, 'example.ts']);
  const out = run(project, process.execPath, ['example.js'], 120_000);
  console.log(out.trimEnd().replace(/^/gm, '    '));
  asNewcomer(each, project, types);
  for (const command of Object.keys(each.manifest.bin ?? {}))
    run(project, join(project, 'node_modules/.bin', command), ['--help'], 60_000);
}

/**
 * Runs what a newcomer writes first, `newcomers/<package>.ts`, and type checks it in the settings that people have: ES2022 without
 * the DOM's types, and declarations checked too.
 */
function asNewcomer(each: Package, project: string, types: readonly string[]): void {
  const program = join(root, 'scripts/newcomers', `${each.manifest.name.replace('@heddle/', '')}.ts`);
  if (!existsSync(program)) return;
  writeFileSync(join(project, 'newcomer.ts'), readFileSync(program, 'utf8'));
  const settings = ['--strict', '--module', 'nodenext', '--target', 'es2022', '--types', 'node'];
  run(project, bin('tsc'), [...settings, '--lib', 'es2022', '--noEmit', ...types, 'newcomer.ts']);
  run(project, bin('tsc'), [...settings, '--skipLibCheck', ...types, 'newcomer.ts']);
  console.log(run(project, process.execPath, ['newcomer.js'], 120_000).trimEnd().replace(/^/gm, '    '));
}

const scratch = mkdtempSync(join(tmpdir(), 'heddle-tarballs-'));
const counts: Counts = { passed: 0, failed: 0, skipped: 0 };
const notes: string[] = [];
const fail = (name: string, cause: unknown): void => {
  counts.failed++;
  const reason = cause instanceof Error ? cause.message : String(cause);
  console.log(`FAILED  ${name}: ${reason}`);
  notes.push(`FAILED   tarball of ${name}: ${reason.split('\n')[0]}`);
};

try {
  const packages = new Map<string, Package>();
  const packAll = (parent: string, required: readonly string[]): Package[] =>
    readdirSync(join(root, parent))
      .sort()
      .flatMap((name) => {
        try {
          const each = pack(join(root, parent, name), scratch, required);
          packages.set(each.manifest.name, each);
          return [each];
        } catch (cause) {
          fail(name, cause);
          return [];
        }
      });
  packAll('examples/models', modelFiles);
  for (const each of packAll('packages', libraryFiles)) {
    const { name } = each.manifest;
    try {
      tryOut(each, packages, scratch);
      counts.passed++;
      console.log(`ok      ${name}: installs, its first example type checks and runs`);
    } catch (cause) {
      fail(name, cause);
    }
  }
} finally {
  rmSync(scratch, { recursive: true });
}
process.exitCode = counts.failed > 0 ? 1 : 0;
closeRun({ counts, notes });
