import type { SymbolValues } from '../dim.ts';
import { buildGraph } from './build.ts';
import type { Executor, Program, Storage } from './executor.ts';
import { checkedRun } from './index-checks.ts';
import type { Tensor } from './tensor.ts';
import type { Update } from './variable.ts';

/** Programs of single realizations that are kept for the next equal one. */
const keptPrograms = 256;
const noSymbols: SymbolValues = Object.freeze({});

/** Computes tensors that are asked for by themselves, with programs that the next equal request uses again. */
export class EagerPrograms {
  readonly #executor: Executor;
  readonly #enqueue: <T>(task: () => T | Promise<T>) => Promise<T>;
  readonly #programs = new Map<string, Program>();

  /** @param enqueue runs tasks in the order of the calls */
  constructor(executor: Executor, enqueue: <T>(task: () => T | Promise<T>) => Promise<T>) {
    this.#executor = executor;
    this.#enqueue = enqueue;
  }

  /** Storages of `outputs`, owned by the caller. */
  compute(outputs: readonly Tensor[], updates: readonly Update[]): Promise<readonly Storage[]> {
    const { graph, key, leaves, checks } = buildGraph(this.#executor, { outputs, updates, inputs: [] }, 'inputs');
    const remembered = leaves.map((leaf) => (leaf.isRemembered ? leaf.storage : undefined));
    return this.#enqueue(async () => {
      let program = this.#programs.get(key);
      this.#programs.delete(key); // and to the end: least recently used first
      program ??= await this.#executor.compile(graph, { owner: 'eager programs', ownOutputs: true });
      this.#programs.set(key, program);
      if (this.#programs.size > keptPrograms) {
        const [oldest, old] = this.#programs.entries().next().value!;
        this.#programs.delete(oldest);
        old.dispose();
      }
      const inputs = leaves.map((leaf, i) => {
        if (!remembered[i]) leaf.assertUsable('realize');
        return remembered[i] ?? leaf.storage!;
      });
      const run = program.run(inputs, noSymbols);
      return checks.length > 0 ? checkedRun(this.#executor, run, checks, noSymbols, true) : run;
    });
  }

  /** Frees all programs. */
  clear(): void {
    for (const program of this.#programs.values()) program.dispose();
    this.#programs.clear();
  }
}
