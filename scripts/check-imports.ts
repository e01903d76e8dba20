/**
 * Imports run one way: no circle of values anywhere, none of types over more than one folder, and each module of each package
 * can be the first that loads. `tsx --experimental-vm-modules scripts/check-imports.ts [root of a repository]`
 */
import { fileURLToPath } from 'node:url';
import { circlesOf, readImports } from './import-graph.ts';
import { loadEachAlone } from './load-alone.ts';

/** Modules that are programs: loading one runs it. */
const programs = ['packages/llm/src/command/cli.ts', 'packages/llm/src/serve/models/engine-worker.ts'];

const root = process.argv[2] ?? fileURLToPath(new URL('../', import.meta.url));

const graph = readImports(root);
const faults = circlesOf(graph).map(({ kind, files }) => `a circle of ${kind}:\n  ${files.join('\n  ')}`);
const libraries = [...graph.keys()].filter((file) => !programs.includes(file));
for (const { file, error } of await loadEachAlone(root, graph, libraries))
  faults.push(`${file} cannot be the first module that loads: ${error}`);

for (const fault of faults) console.log(fault);
console.log(`${graph.size} modules, ${faults.length} faults in their imports`);
process.exitCode = faults.length > 0 ? 1 : 0;
