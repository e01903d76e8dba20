// What happened in the slowest steps of an engine: where their time went, and what else the process did meanwhile.
import { readFileSync } from 'node:fs';
import { monitorEventLoopDelay, PerformanceObserver } from 'node:perf_hooks';
import type { StepTimes } from '@heddle/llm';

/** Methods of a GPUDevice that a step which is prepared should not call, or only few times. */
const makers = ['createBuffer', 'createBindGroup', 'createComputePipelineAsync', 'createShaderModule'] as const;

interface Seen {
  readonly times: StepTimes;
  readonly made: readonly number[];
  readonly cpuMs: number;
  readonly faults: number;
  readonly switches: number;
  /** The longest time for which the event loop did not turn, since the step before had its results. */
  readonly blockedMs: number;
  readonly throttledMs: number;
}

/** Watches the steps of engines in this process; `onStep` goes into their options. */
export class SlowSteps {
  readonly #made = new Map<string, number>();
  readonly #collections: { readonly from: number; readonly ms: number }[] = [];
  readonly #observer: PerformanceObserver;
  readonly #loop = monitorEventLoopDelay({ resolution: 1 });
  #steps: Seen[] = [];
  #last = process.resourceUsage();
  #lastMade: readonly number[] = makers.map(() => 0);
  #throttled = throttledMs();

  /** @param gpu counts what is made with it: the class `GPUDevice` of the process */
  constructor(gpu: { readonly prototype: object } | undefined) {
    const prototype = gpu?.prototype as Record<string, ((...args: unknown[]) => unknown) | undefined> | undefined;
    for (const name of makers) {
      const make = prototype?.[name];
      if (!prototype || !make) continue;
      const made = this.#made;
      prototype[name] = function (this: unknown, ...args: unknown[]) {
        made.set(name, (made.get(name) ?? 0) + 1);
        return make.apply(this, args);
      };
    }
    this.#observer = new PerformanceObserver((list) => {
      for (const { startTime, duration } of list.getEntries())
        this.#collections.push({ from: startTime, ms: duration });
    });
    this.#observer.observe({ entryTypes: ['gc'] });
    this.#loop.enable();
  }

  readonly onStep = (times: StepTimes): void => {
    const usage = process.resourceUsage();
    const made = makers.map((name) => this.#made.get(name) ?? 0);
    // the file is read for what is slow only
    const throttled = times.read - times.begun > 20 ? throttledMs() : this.#throttled;
    const { involuntaryContextSwitches, majorPageFault, systemCPUTime, userCPUTime } = usage;
    this.#steps.push({
      times,
      made: made.map((count, i) => count - this.#lastMade[i]!),
      cpuMs: (userCPUTime + systemCPUTime - this.#last.userCPUTime - this.#last.systemCPUTime) / 1000,
      faults: majorPageFault - this.#last.majorPageFault,
      switches: involuntaryContextSwitches - this.#last.involuntaryContextSwitches,
      blockedMs: this.#loop.max / 1e6,
      throttledMs: throttled - this.#throttled,
    });
    this.#loop.reset();
    this.#throttled = throttled;
    this.#last = usage;
    this.#lastMade = made;
  };

  /**
   * Prints the slowest of the steps since the last look, from their turn to their results, and forgets all of them. `wait` is for
   * the step before to be submitted, `encode` up to the submission, `device` until the tokens were read, `rest` the results; `gc`
   * is what the collector took between, and how often; `cpu` of all threads; `loop` how long the event loop stood still.
   */
  async print(count = 10): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, 5)); // what the collector did is told later
    const steps = this.#steps;
    this.#steps = [];
    const length = ({ times: { begun, completed } }: Seen) => completed - begun;
    const slowest = count === 0 ? [] : steps.sort((a, b) => length(b) - length(a)).slice(0, count);
    if (slowest.length > 0)
      console.table(
        slowest.map((seen) => {
          const { step, sequences, tokens, planned, begun, submitted, read, completed } = seen.times;
          const collected = this.#collections.filter(({ from, ms }) => from < completed && from + ms > begun);
          const ms = (value: number) => Number(value.toFixed(2));
          return {
            step,
            rows: `${tokens} of ${sequences}`,
            wait: ms(begun - planned),
            encode: ms(submitted - begun),
            device: ms(read - submitted),
            rest: ms(completed - read),
            gc:
              collected.length === 0
                ? ''
                : `${ms(collected.reduce((sum, each) => sum + each.ms, 0))} (${collected.length})`,
            loop: ms(seen.blockedMs),
            cpu: ms(seen.cpuMs),
            faults: seen.faults,
            switches: seen.switches,
            throttled: ms(seen.throttledMs),
            made: seen.made.join('/'),
          };
        }),
      );
    this.#collections.length = 0;
  }

  dispose(): void {
    this.#observer.disconnect();
    this.#loop.disable();
  }
}

/** For how long the control group of the process was kept from running, where the system says. */
function throttledMs(): number {
  try {
    const [, microseconds] = /throttled_usec (\d+)/.exec(readFileSync('/sys/fs/cgroup/cpu.stat', 'utf8')) ?? [];
    return Number(microseconds ?? 0) / 1000;
  } catch {
    return 0;
  }
}
