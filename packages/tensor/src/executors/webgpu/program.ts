import { DisposedError, OutOfMemoryError } from '../../checks/errors.ts';
import type { SymbolValues } from '../../dim.ts';
import { evaluateDim } from '../../dim.ts';
import type { CompileTarget, Program, Storage } from '../../graph/executor.ts';
import type { Graph } from '../../graph/graph.ts';
import { formatReport } from '../../report/format-report.ts';
import type { KernelTime, PlanMemory, PlanReport, TuningResult } from '../../report/plan-report.ts';
import { bindingsOf } from './codegen/parts.ts';
import { getOrMake } from './get-or-make.ts';
import { Plan } from './plan.ts';
import { boundOf, bucketIndex, bucketOf, wholeBucket } from './planning/buckets.ts';
import { Fusion } from './planning/fusion.ts';
import { KnownKernels } from './planning/known-kernels.ts';
import { KernelSchedule } from './planning/units.ts';
import { workAt } from './planning/work.ts';
import { profilePlan } from './profile.ts';
import { ProgramBuffers, type RunInputs } from './program-buffers.ts';
import { reportPlan } from './report.ts';
import type { DeviceServices } from './services.ts';
import { TunedChoices } from './tuning/choices.ts';
import { measureChoices, wakingTime } from './tuning/tune.ts';

export interface ProgramOptions extends CompileTarget {
  /** Whether operations share kernels. */
  readonly fuse: boolean;
}

/** A graph on a device: one plan for each bucket of its symbolic dimensions, made when a run first needs it. */
export class WebGpuProgram implements Program {
  readonly #services: DeviceServices;
  readonly #graph: Graph;
  readonly #options: ProgramOptions;
  readonly #schedule: KernelSchedule;
  readonly #plans = new Map<number, Plan>();
  readonly #known = new KnownKernels();
  readonly #buffers: ProgramBuffers;
  #disposed = false;

  constructor(graph: Graph, options: ProgramOptions, services: DeviceServices) {
    this.#graph = graph;
    this.#options = options;
    this.#services = services;
    const { capabilities } = services;
    const fusion = new Fusion(graph, {
      fuse: options.fuse,
      maxStorageBuffers: capabilities.maxStorageBuffers,
      bindingsOf: (tensor) => bindingsOf(tensor, capabilities),
    });
    const bucket = bucketOf(graph.symbols, boundsOf(graph));
    this.#schedule = new KernelSchedule(graph, fusion, { capabilities, bound: (dim) => boundOf(dim, bucket) });
    this.#buffers = new ProgramBuffers(graph, options, services);
  }

  get kernelCount(): number {
    const plan = [...this.#plans.values()].at(-1) ?? this.#planOf(boundsOf(this.#graph));
    return plan.steps.length;
  }

  async prepare(symbols: SymbolValues, onKernel?: (done: number, total: number) => void): Promise<void> {
    const plan = await this.#ready(symbols, onKernel);
    plan.expect(this.#buffers.expected(plan), symbols);
  }

  async #ready(symbols: SymbolValues, onKernel?: (done: number, total: number) => void): Promise<Plan> {
    this.#assertUsable();
    this.#services.health.flush();
    const plan = this.#planOf(symbols);
    if (!plan.isReady) this.#reserve(plan);
    await plan.prepare(this.#options.owner, onKernel);
    this.#assertUsable();
    this.#buffers.prepare(plan);
    return plan;
  }

  /** Asks the budgets for everything that a plan will allocate, so that it is refused before any of it is. */
  #reserve(plan: Plan): void {
    const { pool, arena } = this.#services;
    const { owner, memoryBudget } = this.#options;
    const memory = this.#memoryOf(plan);
    const what = describe(plan, memory);
    if (memoryBudget !== undefined && memory.total > memoryBudget)
      throw new OutOfMemoryError(
        `${owner}: a run${plan.bucket.key && ` for ${plan.bucket.key}`} takes ${memory.total} bytes (${what}); its budget is ${memoryBudget}`,
        { requested: memory.total, budget: memoryBudget, holders: holdersOf(memory) },
      );
    pool.require(arena.missing(plan.memory.slots) + plan.parameterBytes + this.#buffers.missing(plan), owner, what);
  }

  #memoryOf(plan: Plan): PlanMemory {
    const { slots: buffers, sum: activationsWithoutReuse } = plan.memory;
    const activations = buffers.reduce((sum, bytes) => sum + bytes, 0);
    const { outputs, inputs } = this.#buffers.bytesFor(plan);
    const parameters = plan.parameterBytes;
    const total = activations + outputs + inputs + parameters;
    return { total, activations, outputs, inputs, parameters, activationsWithoutReuse, buffers };
  }

  run(inputs: RunInputs, symbols: SymbolValues): readonly Storage[] | Promise<readonly Storage[]> {
    this.#assertUsable();
    const plan = this.#planOf(symbols);
    if (plan.isReady) return this.#submit(plan, inputs, symbols);
    return this.#ready(symbols).then(() => {
      this.#assertUsable();
      return this.#submit(plan, inputs, symbols);
    });
  }

  #submit(plan: Plan, inputs: RunInputs, symbols: SymbolValues): readonly Storage[] {
    const { health } = this.#services;
    health.assertWorks();
    if (health.holdsBack(this)) health.flush();
    const { recorder } = health;
    const { buffers, outputs } = this.#buffers.bind(plan, inputs, symbols, recorder);
    plan.encode(recorder, buffers, symbols, this.#next);
    health.submit(this);
    return outputs;
  }

  /** Submits what is recorded so far. */
  readonly #next = (): void => this.#services.health.flush();

  async profile(inputs: RunInputs, symbols: SymbolValues): Promise<readonly KernelTime[]> {
    const { device, health } = this.#services;
    const plan = await this.#ready(symbols);
    const timed = profilePlan(device, plan.steps.length, (encoder, queries) => {
      health.flush();
      const { buffers } = this.#buffers.bind(plan, inputs, symbols, { copies: encoder });
      plan.encodeTimed(encoder, buffers, symbols, queries);
    });
    const times = await health.orFailure(timed);
    return plan.steps.map((step, i) => ({
      kernel: step.label,
      microseconds: times[i]!,
      ...workAt(step, (dim) => evaluateDim(dim, symbols)),
    }));
  }

  report(symbols: SymbolValues): PlanReport {
    const plan = this.#planOf(symbols);
    return reportPlan(plan, this.#memoryOf(plan));
  }

  /**
   * Measures what the plan for these sizes could have chosen otherwise and was not measured on this adapter before. Its plans
   * are made anew where another choice is faster.
   */
  async tune(symbols: SymbolValues): Promise<readonly TuningResult[]> {
    const { choices, health } = this.#services;
    if (!(choices instanceof TunedChoices)) return [];
    const { cache, adapter } = choices;
    health.flush();
    const plan = this.#planOf(symbols);
    const results: TuningResult[] = [];
    const compile = (graph: Graph, services: DeviceServices) =>
      new WebGpuProgram(graph, { owner: 'tuning', ownOutputs: false, fuse: this.#options.fuse }, services);
    for (const made of plan.choices) {
      if (cache.get(adapter, made.shapeClass)) continue;
      health.assertWorks();
      const { most } = plan.bucket;
      const waking = results.length === 0 ? wakingTime : 0;
      const result = await measureChoices(made, most, this.#graph.symbols, this.#services, compile, waking);
      cache.set(adapter, made.shapeClass, { choice: result.choice, microseconds: result.microseconds });
      results.push(result);
    }
    this.#dropOutdated(choices);
    return results;
  }

  /** Disposes of plans that would be others now. */
  #dropOutdated(choices: TunedChoices): void {
    for (const [index, plan] of this.#plans) {
      const stands = plan.choices.every(
        ({ shapeClass, names, preferred, taken }) => choices.choose(shapeClass, names, preferred) === taken,
      );
      if (stands) continue;
      this.#plans.delete(index);
      this.#buffers.forget(plan);
      plan.dispose();
    }
  }

  explain(): string {
    if (this.#plans.size === 0) this.#planOf(boundsOf(this.#graph));
    return [...this.#plans.values()].map((plan) => formatReport(reportPlan(plan, this.#memoryOf(plan)))).join('\n\n');
  }

  dispose(): void {
    this.#disposed = true;
    for (const plan of this.#plans.values()) plan.dispose();
    this.#plans.clear();
    this.#buffers.dispose();
  }

  #assertUsable(): void {
    if (this.#disposed) throw new DisposedError(`${this.#options.owner}: the program was disposed of`);
  }

  #planOf(symbols: SymbolValues): Plan {
    const { symbols: names } = this.#graph;
    const { fuse, onePlan } = this.#options;
    return getOrMake(this.#plans, onePlan ? 0 : bucketIndex(names, symbols), () => {
      const donated = new Set(this.#options.donated);
      const bucket = onePlan ? wholeBucket(names) : bucketOf(names, symbols);
      return new Plan(this.#schedule, bucket, this.#services, { donated, fuse, known: this.#known });
    });
  }
}

function boundsOf({ symbols }: Graph): SymbolValues {
  return Object.fromEntries(symbols.map(({ name, bound }) => [name, bound]));
}

/** The parts of a plan's memory, largest first. */
function holdersOf({ activations, outputs, inputs, parameters }: PlanMemory) {
  const parts = { activations, outputs, inputs, parameters };
  return Object.entries(parts)
    .map(([owner, bytes]) => ({ owner, bytes }))
    .sort((a, b) => b.bytes - a.bytes);
}

/** What a plan takes its bytes for, and its largest intermediate. */
function describe(plan: Plan, memory: PlanMemory): string {
  const parts = holdersOf(memory).filter(({ bytes }) => bytes > 0);
  const [largest] = plan.memory.slotOf.keys(); // the plan gives places to the largest first
  const named =
    largest?.kind === 'temporary'
      ? ` of which ${largest.name} ${largest.type.dtype}[${largest.type.shape}] is the largest`
      : '';
  return parts.map(({ owner, bytes }) => `${owner} ${bytes}${owner === 'activations' ? named : ''}`).join(', ');
}
