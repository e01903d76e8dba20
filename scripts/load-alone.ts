import { readFileSync } from 'node:fs';
import { join, relative, sep } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { SourceTextModule, SyntheticModule, type Module as VmModule } from 'node:vm';
import { transformWithEsbuild } from 'vite';
import type { ImportGraph } from './import-graph.ts';

/** A module that cannot be the first of the packages that a program loads. */
export interface LoadFailure {
  readonly file: string;
  readonly error: unknown;
}

/**
 * Loads each of `files`, modules of `graph`, as the first of a program: with instances of its own of everything from the packages that it
 * imports, as in a fresh process. What comes from elsewhere is loaded once. Needs `node --experimental-vm-modules`.
 */
export async function loadEachAlone(
  root: string,
  graph: ImportGraph,
  files: readonly string[],
): Promise<LoadFailure[]> {
  const texts = new Map<string, string>();
  for (const file of graph.keys()) {
    // each helper of the syntax that Node lacks stands in the module that needs it
    const { code } = await transformWithEsbuild(readFileSync(join(root, file), 'utf8'), join(root, file), {
      target: 'es2022',
      sourcemap: false,
      tsconfigRaw: { compilerOptions: { verbatimModuleSyntax: true } },
    });
    texts.set(file, code);
  }
  const failures: LoadFailure[] = [];
  for (const file of files) {
    try {
      await loadAlone(root, file, graph, texts);
    } catch (error) {
      failures.push({ file, error });
    }
  }
  return failures;
}

async function loadAlone(root: string, file: string, graph: ImportGraph, texts: ReadonlyMap<string, string>) {
  const instances = new Map<string, SourceTextModule>();
  const instanceOf = (path: string): SourceTextModule => {
    const known = instances.get(path);
    if (known) return known;
    const { href } = pathToFileURL(join(root, path));
    const made = new SourceTextModule(texts.get(path)!, {
      identifier: href,
      initializeImportMeta: (meta) => {
        meta.url = href;
      },
    });
    instances.set(path, made);
    return made;
  };
  const first = instanceOf(file);
  await first.link((specifier, from) => {
    const target = graph.get(relativeTo(root, from.identifier))!.targets.get(specifier);
    return target === undefined ? external(specifier) : instanceOf(target);
  });
  await first.evaluate();
}

const relativeTo = (root: string, href: string) => relative(root, fileURLToPath(href)).split(sep).join('/');

/** A module from outside of the packages. */
async function external(specifier: string): Promise<VmModule> {
  const exported = (await import(specifier)) as Readonly<Record<string, unknown>>;
  const names = Object.keys(exported);
  return new SyntheticModule(names, function () {
    for (const name of names) this.setExport(name, exported[name]);
  });
}
