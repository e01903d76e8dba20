import type { ListedFault } from './options.ts';
import { runTests } from './run-tests.ts';
import type { Scratch } from './scratch.ts';

/** What became of a fault. */
export interface Verdict {
  readonly verdict: 'caught' | 'survived' | 'unjudged';
  /** The projects in which its tests passed although it was planted. */
  readonly passedIn: readonly string[];
  /** Its tests that fail without it, too, each with its project in front: they show nothing. */
  readonly unfit: readonly string[];
  readonly seconds: number;
}

/** Longest that the tests of a fault may take; one that makes them hang is seen. */
const LIMIT_MS = 300_000;
/** Test files of one run without faults. */
const FILES_AT_ONCE = 6;

/** Copies of the repository in which faults are planted, as many at once as there are copies. */
export class Judges {
  readonly #copies: readonly Scratch[];
  readonly #maxWorkers: number | undefined;
  #unfit: ReadonlySet<string> = new Set();

  /** `maxWorkers` is how many test files each of them runs at once; by default vitest chooses. */
  constructor(copies: readonly Scratch[], maxWorkers: number | undefined) {
    this.#copies = copies;
    this.#maxWorkers = maxWorkers;
  }

  /** Finds the tests of `faults` that fail although nothing is spoiled, each with its project in front. */
  async findUnfit(faults: readonly ListedFault[]): Promise<ReadonlySet<string>> {
    const runs = [...new Set(faults.flatMap(({ projects }) => projects))].flatMap((project) => {
      const those = faults.filter(({ projects }) => projects.includes(project));
      const tests = [...new Set(those.flatMap(({ testPaths }) => testPaths))].sort();
      return chunks(tests, FILES_AT_ONCE).map((some) => ({ project, tests: some }));
    });
    const unfit = new Set<string>();
    await this.#each(runs, async ({ project, tests }, { root }) => {
      const run = { projects: [project], tests, limitMs: FILES_AT_ONCE * LIMIT_MS, bail: false };
      const { failedFiles } = await runTests(root, { ...run, maxWorkers: this.#maxWorkers });
      for (const file of failedFiles) unfit.add(`${project} ${file}`);
    });
    this.#unfit = unfit;
    return unfit;
  }

  /** Plants each of the faults by itself; `judged` is told of each as soon as it is known. */
  async judge(faults: readonly ListedFault[], judged: (fault: ListedFault, verdict: Verdict) => void): Promise<void> {
    await this.#each(faults, async (fault, copy) => {
      const started = performance.now();
      const verdict = await this.#verdict(fault, copy);
      judged(fault, { ...verdict, seconds: Math.round((performance.now() - started) / 1000) });
    });
  }

  async #verdict(fault: ListedFault, copy: Scratch): Promise<Omit<Verdict, 'seconds'>> {
    const { path, find, put, projects, testPaths } = fault;
    const unfit = projects.flatMap((project) =>
      testPaths.map((test) => `${project} ${test}`).filter((name) => this.#unfit.has(name)),
    );
    if (unfit.length > 0) return { verdict: 'unjudged', passedIn: [], unfit };
    const run = { projects, tests: testPaths, limitMs: LIMIT_MS, bail: projects.length === 1 };
    const { failedIn } = await copy.with(path, find, put, () =>
      runTests(copy.root, { ...run, maxWorkers: this.#maxWorkers }),
    );
    const passedIn = projects.filter((project) => !failedIn.includes(project));
    return { verdict: passedIn.length > 0 ? 'survived' : 'caught', passedIn, unfit };
  }

  /** Gives each item to the next copy that has nothing to do. */
  async #each<T>(items: readonly T[], work: (item: T, copy: Scratch) => Promise<void>): Promise<void> {
    const left = items.values();
    await Promise.all(
      this.#copies.map(async (copy) => {
        for (const item of left) await work(item, copy);
      }),
    );
  }
}

const chunks = <T>(items: readonly T[], size: number): T[][] =>
  Array.from({ length: Math.ceil(items.length / size) }, (_, i) => items.slice(i * size, (i + 1) * size));
