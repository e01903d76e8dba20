/**
 * `npm run faults`: plants each fault of the list in a copy of the repository, one at a time, and runs the tests that must
 * see it. A fault survives if they pass in one of its projects; the exit code says whether one did. Options after `--` plant
 * a part of the list: `--only TEXT` those whose file or description has the text (may be repeated), `--from A --to B` those
 * at these positions, `--executor webgpu` only on that executor (or `unit`, or a project of vitest),
 * `--hardware` none that only software drivers surely show. `--jobs N` plants N at a time in copies of their own,
 * `--report FILE` appends a line of JSON for each, `--list` plants none.
 */
import { appendFileSync, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Judges, type Verdict } from './faults/judge.ts';
import { faults } from './faults/list.ts';
import { locate } from './faults/locate.ts';
import { choose, type FaultOptions, type ListedFault, readOptions } from './faults/options.ts';
import { repositoryFiles, Scratch } from './faults/scratch.ts';

const root = fileURLToPath(new URL('../', import.meta.url));
const options = readOptions(process.argv.slice(2));
const files = repositoryFiles(root);
/** Entries that do not apply any more: their texts or files are gone. */
const stale: string[] = [];
const listed = faults.flatMap((fault, index): ListedFault[] => {
  try {
    return [{ ...locate(fault, files, (path) => readFileSync(join(root, path), 'utf8')), position: index + 1 }];
  } catch (error) {
    stale.push((error as Error).message);
    return [];
  }
});
const chosen = choose(listed, options);
for (const message of stale) console.log(`STALE     ${message}`);

if (options.list) {
  for (const { position, path, breaks } of chosen) console.log(`${position} ${path}: ${breaks}`);
  console.log(`${chosen.length} faults`);
} else process.exitCode = await plantAll(options);

async function plantAll({ jobs, report }: FaultOptions): Promise<number> {
  const copies = Array.from({ length: Math.min(jobs, chosen.length) }, () => new Scratch(root, files));
  try {
    const maxWorkers = jobs === 1 ? undefined : Math.max(1, Math.floor(availableParallelism() / jobs));
    const judges = new Judges(copies, maxWorkers);
    for (const test of await judges.findUnfit(chosen)) console.log(`FAILS     ${test}, without a fault`);
    const verdicts: Verdict[] = [];
    const missed: string[] = [];
    await judges.judge(chosen, (fault, verdict) => {
      verdicts.push(verdict);
      const line = describe(fault, verdict);
      console.log(`${verdicts.length}/${chosen.length} ${line}`);
      if (verdict.verdict !== 'caught') missed.push(line);
      const { position, path, breaks, projects, testPaths } = fault;
      const entry = { position, path, breaks, projects, testPaths, ...verdict };
      if (report) appendFileSync(report, `${JSON.stringify(entry)}\n`);
    });
    console.log();
    for (const line of missed) console.log(line);
    const count = (name: Verdict['verdict']) => verdicts.filter(({ verdict }) => verdict === name).length;
    console.log(
      `${chosen.length} planted, ${count('caught')} caught, ${count('survived')} survived, ${count('unjudged')} not judged`,
    );
    return missed.length + stale.length > 0 ? 1 : 0;
  } finally {
    for (const copy of copies) copy.dispose();
  }
}

function describe(fault: ListedFault, { verdict, passedIn, unfit, seconds }: Verdict): string {
  const what = `${fault.position} ${fault.path}: ${fault.breaks} (${seconds} s)`;
  if (verdict === 'unjudged') return `UNJUDGED  ${what}: without it ${unfit.join(', ')} fails, too`;
  if (verdict === 'survived') return `SURVIVED  ${what}: ${fault.testPaths.join(', ')} on ${passedIn.join(', ')}`;
  return `caught    ${what}`;
}
