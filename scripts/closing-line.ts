import { relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Reporter, TestModule } from 'vitest/node';
import { type Counts, closeRun, joinReports, type Report, type TestReport } from './report.ts';

const root = fileURLToPath(new URL('../', import.meta.url));

/** Closes every vitest run: what did not run with its reason, by name what failed or passed only when it was run again, then a plain `N passed, N failed, N skipped`. */
export default class ClosingLine implements Reporter {
  readonly #properties: { readonly times: number; readonly seed: number } | undefined;

  /** `properties` is what properties are drawn with; it is named at the end. */
  constructor(properties?: { readonly times: number; readonly seed: number }) {
    this.#properties = properties;
  }

  onTestRunEnd(modules: readonly TestModule[], unhandled: readonly { readonly message: string }[]): void {
    const folders: Record<string, Report> = {};
    for (const module of modules) {
      const folder = workspaceOf(module.moduleId);
      folders[folder] = joinReports([...(folders[folder] ? [folders[folder]] : []), reportOf(module)]);
    }
    const { times, seed } = this.#properties ?? {};
    const drawn =
      seed === undefined ? [] : [`DRAWN    TEST_SEED=${seed} TEST_TIMES=${times} draws the same properties again`];
    const outside: Report = {
      counts: { passed: 0, failed: unhandled.length, skipped: 0 },
      notes: [...unhandled.map(({ message }) => `FAILED   outside of a test: ${message.split('\n')[0]}`), ...drawn],
    };
    const failed = modules.filter((module) => !module.ok());
    const report: TestReport = {
      ...joinReports([...Object.values(folders), outside]),
      folders,
      failedIn: [...new Set(failed.map(({ project }) => project.name))],
      failedFiles: [...new Set(failed.map(({ moduleId }) => relative(root, moduleId).split(sep).join('/')))],
      unhandled: unhandled.length,
    };
    closeRun(report);
  }
}

/** The workspace that a file is in, as a path from the root: `packages/tensor`, `bench`, `scripts`. */
function workspaceOf(file: string): string {
  const [first = '', second = ''] = relative(root, file).split(sep);
  return first === 'packages' ? `${first}/${second}` : first;
}

function reportOf(module: TestModule): Report {
  const counts: Counts = { passed: 0, failed: module.errors().length > 0 ? 1 : 0, skipped: 0 };
  const notRun: Record<string, number> = {};
  const file = relative(root, module.moduleId).split(sep).join('/');
  const said = (what: string, name: string, errors: readonly { readonly message: string }[]) =>
    `${what} [${module.project.name}] ${file}${name}: ${errors[0]?.message.split('\n')[0] ?? 'no error'}`;
  const notes = module.errors().length > 0 ? [said('FAILED  ', '', module.errors())] : [];
  for (const test of module.children.allTests()) {
    const result = test.result();
    if (result.state === 'passed' || result.state === 'failed') {
      counts[result.state]++;
      if (result.state === 'failed') notes.push(said('FAILED  ', ` > ${test.fullName}`, result.errors));
      if (test.diagnostic()?.flaky) notes.push(said('UNSTEADY', ` > ${test.fullName}`, result.errors ?? []));
      continue;
    }
    counts.skipped++;
    const note = result.state === 'skipped' ? (result.note ?? 'skipped in the source') : 'the run ended before it';
    const reason = `[${test.project.name}] ${note}`;
    notRun[reason] = (notRun[reason] ?? 0) + 1;
  }
  return { counts, notes, notRun };
}
