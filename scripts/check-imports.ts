/**
 * Imports run one way: no circle of values anywhere, none of types over more than one folder, and each module of each package
 * can be the first that loads. `tsx --experimental-vm-modules scripts/check-imports.ts [root of a repository]`
 */
import { fileURLToPath } from 'node:url';
import { type Circle, circlesOf, readImports } from './import-graph.ts';
import { loadEachAlone } from './load-alone.ts';

/** Circles that stay for a reason, each named by the folder that holds them. */
const exceptions: readonly { readonly folder: string; readonly kind: Circle['kind']; readonly reason: string }[] = [
  {
    folder: 'packages/attention/src',
    kind: 'types',
    reason: 'score functions take the sizes of dense attention, whose spec has score functions',
  },
];

/** Modules that are programs: loading one runs it. */
const programs = ['packages/llm/src/command/cli.ts', 'packages/llm/src/serve/models/engine-worker.ts'];

const own = fileURLToPath(new URL('../', import.meta.url));
const root = process.argv[2] ?? own;
const known = root === own ? exceptions : [];

const graph = readImports(root);
const circles = circlesOf(graph);
const exceptionOf = ({ kind, files }: Circle) =>
  known.find((each) => each.kind === kind && files.every((file) => file.startsWith(`${each.folder}/`)));
const faults = circles
  .filter((circle) => !exceptionOf(circle))
  .map(({ kind, files }) => `a circle of ${kind}:\n  ${files.join('\n  ')}`);
for (const each of known)
  if (!circles.some((circle) => exceptionOf(circle) === each))
    faults.push(`${each.folder} has no circle of ${each.kind} any more: take the exception out of check-imports.ts`);
const libraries = [...graph.keys()].filter((file) => !programs.includes(file));
for (const { file, error } of await loadEachAlone(root, graph, libraries))
  faults.push(`${file} cannot be the first module that loads: ${error}`);

for (const fault of faults) console.log(fault);
console.log(`${graph.size} modules, ${faults.length} faults in their imports, ${known.length} known`);
process.exitCode = faults.length > 0 ? 1 : 0;
