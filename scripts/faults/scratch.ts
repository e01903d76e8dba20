import { execFileSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, posix, relative } from 'node:path';

/** Folders with nothing of the repository's own, as .gitignore has them. */
const IGNORED = new Set(['.git', 'node_modules', 'dist', '.turbo', 'out', '.stryker-tmp']);

/** The repository's files that git knows or would add, as paths from the root; of a copy without git, all but built ones. */
export function repositoryFiles(root: string): string[] {
  if (!existsSync(join(root, '.git'))) return filesBelow(root, '');
  const listed = execFileSync('git', ['ls-files', '-co', '--exclude-standard'], { cwd: root, encoding: 'utf8' });
  return listed
    .trim()
    .split('\n')
    .filter((file) => existsSync(join(root, file)));
}

function filesBelow(root: string, folder: string): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = posix.join(folder, entry.name);
    if (entry.isDirectory()) return IGNORED.has(entry.name) ? [] : filesBelow(root, path);
    return entry.isFile() && !entry.name.endsWith('.tsbuildinfo') ? [path] : [];
  });
}

/**
 * A copy of the repository to spoil, with the same dependencies and its own packages. The test data beside the repository
 * lies beside it, too.
 */
export class Scratch {
  readonly root: string;
  readonly #folder: string;

  constructor(root: string, files: readonly string[]) {
    this.#folder = mkdtempSync(join(tmpdir(), 'heddle-faults-'));
    this.root = join(this.#folder, 'copy');
    for (const file of files) {
      mkdirSync(join(this.root, dirname(file)), { recursive: true });
      cpSync(join(root, file), join(this.root, file));
    }
    const shared = join(root, '../shared');
    if (existsSync(shared)) symlinkSync(shared, join(this.#folder, 'shared'));
    this.#linkModules(root);
  }

  /** Runs `use` while `find` is replaced by `put` in a file. */
  async with<T>(path: string, find: string, put: string, use: () => Promise<T>): Promise<T> {
    const file = join(this.root, path);
    const text = readFileSync(file, 'utf8');
    writeFileSync(
      file,
      text.replace(find, () => put),
    );
    try {
      return await use();
    } finally {
      writeFileSync(file, text);
    }
  }

  dispose(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }

  /** Every dependency is a link, but the packages of this repository are the copy's. */
  #linkModules(root: string): void {
    const target = join(this.root, 'node_modules');
    mkdirSync(join(target, '@heddle'), { recursive: true });
    for (const name of readdirSync(join(root, 'node_modules'))) {
      if (name !== '@heddle' && name !== '.vite') symlinkSync(join(root, 'node_modules', name), join(target, name));
    }
    const real = realpathSync(root);
    for (const name of readdirSync(join(root, 'node_modules/@heddle'))) {
      const path = relative(real, realpathSync(join(root, 'node_modules/@heddle', name)));
      symlinkSync(join(this.root, path), join(target, '@heddle', name));
      const own = join(root, path, 'node_modules');
      if (existsSync(own)) symlinkSync(own, join(this.root, path, 'node_modules'));
    }
  }
}
