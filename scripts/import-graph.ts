import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, sep } from 'node:path';
import { parseSync } from 'vite';

/** A module with the modules of the repository that it imports, all as paths from the root. */
export interface Module {
  readonly file: string;
  /** Imported when the program runs. */
  readonly values: readonly string[];
  /** Imported for types only. */
  readonly types: readonly string[];
  /** The modules of the repository by what names them in the imports. */
  readonly targets: ReadonlyMap<string, string>;
}

export type ImportGraph = ReadonlyMap<string, Module>;

/** Modules that import each other. */
export interface Circle {
  readonly kind: 'values' | 'types';
  readonly files: readonly string[];
}

const source = /^(?!.*\.(test|cases)\.ts$).*\.ts$/;

/** Every source module of the packages below `root`; tests are left out. @throws Error for a file that does not parse */
export function readImports(root: string): ImportGraph {
  const entries = packageEntries(root);
  const files = globFiles(root);
  return new Map(files.map((file) => [file, moduleOf(root, file, entries)]));
}

function globFiles(root: string): string[] {
  const folders = readdirSync(join(root, 'packages')).map((name) => join('packages', name, 'src'));
  return folders
    .flatMap((folder) =>
      readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' }).map((file) => join(folder, file)),
    )
    .map((file) => file.split(sep).join('/'))
    .filter((file) => source.test(file))
    .sort();
}

/** The source file of each entry of each package, by what names it in an import. */
function packageEntries(root: string): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  for (const folder of readdirSync(join(root, 'packages'))) {
    const { name, exports } = JSON.parse(readFileSync(join(root, 'packages', folder, 'package.json'), 'utf8')) as {
      name: string;
      exports: Readonly<Record<string, { readonly '@heddle/source'?: string }>>;
    };
    for (const [entry, { '@heddle/source': file }] of Object.entries(exports))
      if (file) found.set(join(name, entry), join('packages', folder, file));
  }
  return found;
}

function moduleOf(root: string, file: string, entries: ReadonlyMap<string, string>): Module {
  const text = readFileSync(join(root, file), 'utf8');
  const { module, errors } = parseSync(file, text);
  if (errors.length > 0) throw new Error(`${file}: ${errors[0]!.message}`);
  const [values, types, targets] = [new Set<string>(), new Set<string>(), new Map<string, string>()];
  const add = (start: number, end: number, specifier: string) => {
    const target = specifier.startsWith('.')
      ? relative(root, join(root, dirname(file), specifier))
      : entries.get(specifier);
    if (!target) return;
    targets.set(specifier, target);
    // `import { type A }` still runs the module, `import type { A }` does not
    (/^(import|export)\s+type\b/.test(text.slice(start, end)) ? types : values).add(target);
  };
  for (const { start, end, moduleRequest } of module.staticImports) add(start, end, moduleRequest.value);
  for (const { start, end, entries: names } of module.staticExports) {
    const from = names.find(({ moduleRequest }) => moduleRequest)?.moduleRequest;
    if (from) add(start, end, from.value);
  }
  return { file, values: [...values], types: [...types].filter((target) => !values.has(target)), targets };
}

/** Circles of values anywhere, and circles with types in them that reach over more than one folder. */
export function circlesOf(graph: ImportGraph): Circle[] {
  const values = components(graph, ({ values }) => values).map((files): Circle => ({ kind: 'values', files }));
  const types = components(graph, ({ values, types }) => [...values, ...types])
    .filter((files) => new Set(files.map((file) => dirname(file))).size > 1)
    .map((files): Circle => ({ kind: 'types', files }));
  return [...values, ...types];
}

/** Strongly connected modules, of more than one or of one that imports itself (Tarjan's algorithm). */
function components(graph: ImportGraph, importsOf: (module: Module) => readonly string[]): string[][] {
  const [order, low] = [new Map<string, number>(), new Map<string, number>()];
  const stack: string[] = [];
  const found: string[][] = [];
  const visit = (file: string): void => {
    order.set(file, order.size);
    low.set(file, order.get(file)!);
    stack.push(file);
    const imports = importsOf(graph.get(file)!).filter((target) => graph.has(target));
    for (const target of imports) {
      if (!order.has(target)) visit(target);
      if (stack.includes(target)) low.set(file, Math.min(low.get(file)!, low.get(target)!));
    }
    if (low.get(file) !== order.get(file)) return;
    const members = stack.splice(stack.indexOf(file)).sort();
    if (members.length > 1 || imports.includes(file)) found.push(members);
  };
  for (const file of graph.keys()) if (!order.has(file)) visit(file);
  return found;
}
