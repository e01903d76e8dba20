import { ArgumentError, DeviceError, DisposedError } from '../checks/errors.ts';
import type { SymbolValues } from '../dim.ts';
import type { HostArray } from '../dtype.ts';
import { buildGraph } from '../graph/build.ts';
import type { Device } from '../graph/device.ts';
import type { Program, Storage } from '../graph/executor.ts';
import type { Graph } from '../graph/graph.ts';
import { checkedRun, type IndexCheck } from '../graph/index-checks.ts';
import { inputOp } from '../graph/op.ts';
import { recordOn } from '../graph/record.ts';
import { tensorsOf, updatesOf } from '../graph/recorded-leaves.ts';
import { Tensor } from '../graph/tensor.ts';
import { Update } from '../graph/variable.ts';
import type { KernelTime, PlanReport, TuningResult } from '../report/plan-report.ts';
import type { TensorType } from '../shape.ts';
import { copierOf, refusePromises } from '../tree.ts';
import { Bounds } from './bounds.ts';
import { assertGivenAway } from './donated.ts';
import { type Fed, InputPort } from './input-spec.ts';
import { RunOutputs } from './run-outputs.ts';
import { isLazy, type TracedCall } from './traced-call.ts';
import { everyBucket, prepareAll, type WarmProgress } from './warm.ts';

/** What a trace is told of its function. */
interface TraceOptions {
  readonly owner: string;
  /** The most bytes that a run may take beyond arguments, weights and variables. */
  readonly memoryBudget: number | undefined;
  /** Whether one plan serves all sizes. */
  readonly onePlan: boolean | undefined;
}

/** A tensor leaf of the arguments. */
export interface TracedInput {
  readonly path: string;
  readonly type: TensorType;
  /** Whether runs consume what they are given for it. */
  readonly donated: boolean;
}

/** A function traced for one signature: its program, and how arguments and results map to the program's. */
export class Trace {
  readonly #device: Device;
  readonly #ports: readonly InputPort[];
  readonly #graph: Graph;
  readonly #checks: readonly IndexCheck[];
  /** The function's result with other tensors, and undefined where updates were. */
  readonly #resultOf: (outputs: readonly unknown[]) => unknown;
  readonly #owner: string;
  readonly #memoryBudget: number | undefined;
  readonly #onePlan: boolean | undefined;
  /** Ports of arguments that runs consume. */
  readonly #donated: readonly number[];
  readonly #bounds: Bounds;
  readonly #outputs: RunOutputs;
  #program: Program | undefined;
  #disposed = false;

  /**
   * @param types what each tensor leaf of the arguments is
   * @param call records the function on placeholders
   */
  constructor(
    device: Device,
    { owner, memoryBudget, onePlan }: TraceOptions,
    types: readonly TracedInput[],
    call: (placeholders: readonly Tensor[]) => unknown,
  ) {
    this.#device = device;
    this.#owner = owner;
    this.#memoryBudget = memoryBudget;
    this.#onePlan = onePlan;
    this.#donated = types.flatMap(({ donated }, i) => (donated ? [i] : []));
    this.#ports = types.map(({ path, type }) => new InputPort(path, type));
    const inputs = types.map(
      ({ path, type }) => recordOn(device, inputOp, [], { name: path, shape: type.shape, dtype: type.dtype })[0]!,
    );
    const result = call(inputs);
    refusePromises(owner, result);
    this.#resultOf = copierOf(
      result,
      (leaf) => leaf instanceof Tensor,
      (leaf) => (leaf instanceof Update ? undefined : leaf),
    );
    const recording = { outputs: tensorsOf(result), updates: updatesOf(result), inputs };
    const { graph, checks } = buildGraph(device.executor, recording, 'constants');
    this.#graph = graph;
    this.#checks = checks;
    this.#bounds = new Bounds(owner, graph.symbols);
    this.#outputs = new RunOutputs(device);
  }

  /** The symbolic dimensions that are 0 in a run, where the executor wants a trace of its own for them. */
  emptyIn(fed: readonly Fed[], symbols: SymbolValues): readonly string[] {
    if (!this.#device.executor.tracesEmptyApart || this.#bounds.names.length === 0) return [];
    const sizes: Record<string, number> = { ...symbols };
    for (const [i, port] of this.#ports.entries()) if (fed.length > 0) port.accept(fed[i]!, sizes);
    return this.#bounds.names.filter((name) => sizes[name] === 0);
  }

  run(fed: readonly Fed[], symbols: SymbolValues, call: TracedCall): Promise<unknown> {
    const sizes: Record<string, number> = { ...symbols };
    const inputs = this.#ports.map((port, i) => this.#own(port, port.accept(fed[i]!, sizes)));
    this.#bounds.check(sizes);
    // what is lazy is computed before the run, which takes its place in the order of calls at once
    const computed = inputs.some(isLazy) ? this.#device.realize(inputs.filter(isLazy)) : undefined;
    computed?.catch(() => {}); // the run rejects with it
    return this.#device.enqueue(() => {
      const program = this.#program;
      if (program && !computed) return this.#execute(program, inputs, sizes, call);
      return this.#ready(computed).then((compiled) => this.#execute(compiled, inputs, sizes, call));
    });
  }

  /** Runs once with every kernel timed. @throws DeviceError where the device cannot */
  profile(fed: readonly Fed[], symbols: SymbolValues): Promise<readonly KernelTime[]> {
    const sizes: Record<string, number> = { ...symbols };
    const inputs = this.#ports.map((port, i) => this.#own(port, port.accept(fed[i]!, sizes)));
    this.#bounds.check(sizes);
    return this.#device.enqueue(async () => {
      const program = await this.#ready();
      if (!program.profile)
        throw new DeviceError(`${this.#owner}: the ${this.#device.name} device does not time its kernels`);
      const given = inputs.map((input) => {
        if (!(input instanceof Tensor)) return input;
        input.assertUsable(this.#owner);
        if (!input.storage) throw new DeviceError(`${this.#owner}: profile takes host values and realized tensors`);
        return input.storage;
      });
      this.#outputs.expire();
      return program.profile(given, sizes);
    });
  }

  /** Compiles, and does what the first run of these sizes would have to wait for. */
  async prepare(symbols: SymbolValues, onKernel?: (done: number, total: number) => void): Promise<void> {
    this.#bounds.check(symbols);
    await this.#device.enqueue(async () => (await this.#ready()).prepare(symbols, onKernel));
  }

  /** Compiles for all of these sizes side by side, and does what their first runs would have to wait for. */
  async warm(sizes: readonly SymbolValues[] | undefined, onProgress?: (progress: WarmProgress) => void): Promise<void> {
    const list = sizes ?? everyBucket(this.#bounds.byName);
    for (const symbols of list) this.#bounds.check(symbols);
    await this.#device.enqueue(async () => prepareAll(await this.#ready(), list, onProgress));
  }

  /** Measures and takes the fastest kernels for these sizes, by default for dimensions at their bounds. */
  async tune(sizes: readonly SymbolValues[] | undefined): Promise<readonly TuningResult[]> {
    const list = sizes ?? [this.#bounds.sizes];
    for (const symbols of list) this.#bounds.check(symbols);
    return this.#device.enqueue(async () => {
      const program = await this.#ready();
      if (!program.tune) return [];
      this.#outputs.expire();
      const results: TuningResult[] = [];
      for (const symbols of list) results.push(...(await program.tune(symbols)));
      return results;
    });
  }

  /** What runs up to these sizes do and take; dimensions that are not named are at their bounds. Allocates nothing. */
  async report(symbols: SymbolValues): Promise<PlanReport> {
    const sizes = { ...this.#bounds.sizes, ...symbols };
    this.#bounds.check(sizes);
    const program = await this.#device.enqueue(() => this.#ready());
    if (!program.report)
      throw new DeviceError(`${this.#owner}: the ${this.#device.name} device does not say what a run takes`);
    return program.report(sizes);
  }

  get device(): Device {
    return this.#device;
  }

  get program(): Program | undefined {
    return this.#program;
  }

  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#outputs.expire();
    const program = this.#program;
    this.#program = undefined;
    // after the calls under way, which may be waiting for pipelines or for the device
    if (program) this.#device.afterCalls(() => program.dispose());
  }

  /** The program, compiled where it is not yet, once `before` is done. */
  async #ready(before?: Promise<unknown>): Promise<Program> {
    await before;
    this.#assertUsable();
    if (this.#program) return this.#program;
    const program = await this.#device.executor.compile(this.#graph, {
      owner: this.#owner,
      ownOutputs: false,
      donated: this.#donated,
      memoryBudget: this.#memoryBudget,
      onePlan: this.#onePlan,
    });
    if (this.#memoryBudget !== undefined && !program.report) {
      program.dispose();
      throw new DeviceError(
        `${this.#owner}: memoryBudget needs a device that knows what a run takes, the ${this.#device.name} device does not`,
      );
    }
    if (this.#disposed) program.dispose();
    this.#assertUsable();
    this.#program = program;
    return program;
  }

  #own(port: InputPort, input: HostArray | Tensor): HostArray | Tensor {
    if (input instanceof Tensor && input.device !== this.#device)
      throw new ArgumentError(
        `${port.path} must be on the function's device, got ${input.device.name} and ${this.#device.name}`,
      );
    return input;
  }

  #execute(program: Program, inputs: readonly (HostArray | Tensor)[], sizes: SymbolValues, call: TracedCall): unknown {
    this.#assertUsable();
    for (const i of this.#donated) assertGivenAway(this.#ports[i]!.path, i, inputs, this.#graph.constants);
    const copies: Storage[] = [];
    const given = inputs.map((input) => {
      if (!(input instanceof Tensor)) return input;
      input.assertUsable(this.#owner);
      if (!this.#outputs.includes(input)) return input.storage!;
      // the run overwrites its own outputs: one that is fed back is read from a copy
      copies.push(this.#device.executor.copy(input.storage!, this.#owner));
      return copies.at(-1)!;
    });
    this.#outputs.begin(call);
    if (copies.length > 0) return this.#runOnCopies(program, inputs, given, sizes, copies);
    const storages = this.#start(program, given, sizes);
    if (storages instanceof Promise) return storages.then((list) => this.#wrap(list, inputs));
    return this.#wrap(storages, inputs);
  }

  #start(program: Program, given: readonly (HostArray | Storage)[], sizes: SymbolValues): ReturnType<Program['run']> {
    const run = program.run(given, sizes);
    const checks = this.#checks;
    return checks.length > 0 ? checkedRun(this.#device.executor, run, checks, sizes, false) : run;
  }

  async #runOnCopies(
    program: Program,
    inputs: readonly (HostArray | Tensor)[],
    given: readonly (HostArray | Storage)[],
    sizes: SymbolValues,
    copies: readonly Storage[],
  ): Promise<unknown> {
    try {
      return this.#wrap(await this.#start(program, given, sizes), inputs);
    } finally {
      for (const copy of copies) copy.dispose();
    }
  }

  /** The function's result with tensors over the program's outputs, and undefined where updates were; takes what was donated. */
  #wrap(storages: readonly Storage[], inputs: readonly (HostArray | Tensor)[]): unknown {
    for (const i of this.#donated) if (inputs[i] instanceof Tensor) inputs[i].dispose();
    return this.#resultOf(this.#outputs.hold(storages));
  }

  #assertUsable(): void {
    if (this.#disposed) throw new DisposedError(`${this.#owner}: the compiled function was disposed of`);
    for (const leaf of this.#graph.constants) leaf.assertUsable(this.#owner);
    for (const variable of this.#graph.variables) variable.assertUsable(this.#owner);
  }
}
