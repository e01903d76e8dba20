import type { Device } from '../device.ts';
import type { SymbolValues } from '../dim.ts';
import type { HostArray } from '../dtype.ts';
import { ArgumentError } from '../errors.ts';
import type { Program, Storage } from '../executor.ts';
import { buildGraph } from '../graph/build.ts';
import type { Graph } from '../graph/graph.ts';
import { inputOp } from '../graph/op.ts';
import { recordOn } from '../graph/record.ts';
import { Tensor } from '../graph/tensor.ts';
import { Update } from '../graph/variable.ts';
import type { TensorType } from '../shape.ts';
import { mapTree, tensorsOf, updatesOf } from '../tree.ts';
import { type Fed, InputPort } from './input-spec.ts';

/** A function traced for one signature: its program, and how arguments and results map to the program's. */
export class Trace {
  readonly #device: Device;
  readonly #ports: readonly InputPort[];
  readonly #graph: Graph;
  readonly #result: unknown;
  readonly #owner: string;
  readonly #bounds: ReadonlyMap<string, number>;
  #program: Program | undefined;
  #disposed = false;
  /** Handles of the last run's outputs, which the next run makes stale. */
  #outputs: readonly Tensor[] = [];

  /**
   * @param types what each tensor leaf of the arguments is, by its path
   * @param call records the function on placeholders
   */
  constructor(
    device: Device,
    owner: string,
    types: readonly { readonly path: string; readonly type: TensorType }[],
    call: (placeholders: readonly Tensor[]) => unknown,
  ) {
    this.#device = device;
    this.#owner = owner;
    this.#ports = types.map(({ path, type }) => new InputPort(path, type));
    const inputs = types.map(
      ({ path, type }) => recordOn(device, inputOp, [], { name: path, shape: type.shape, dtype: type.dtype })[0]!,
    );
    this.#result = call(inputs);
    const recording = { outputs: tensorsOf(this.#result), updates: updatesOf(this.#result), inputs };
    this.#graph = buildGraph(device.executor, recording, 'constants').graph;
    this.#bounds = new Map(this.#graph.symbols.map(({ name, bound }) => [name, bound]));
  }

  run(fed: readonly Fed[], symbols: SymbolValues): Promise<unknown> {
    const sizes: Record<string, number> = { ...symbols };
    const inputs = this.#ports.map((port, i) => port.accept(fed[i]!, sizes));
    this.#checkBounds(sizes);
    return this.#device.enqueue(() => {
      this.#assertUsable();
      const program = this.#program;
      if (program) return this.#execute(program, inputs, sizes);
      return this.#compile().then((compiled) => this.#execute(compiled, inputs, sizes));
    });
  }

  /** Compiles, and does what the first run of these sizes would have to wait for. */
  async prepare(symbols: SymbolValues): Promise<void> {
    this.#checkBounds(symbols);
    await this.#device.enqueue(async () => {
      this.#assertUsable();
      await (this.#program ?? (await this.#compile())).prepare(symbols);
    });
  }

  get program(): Program | undefined {
    return this.#program;
  }

  dispose(): void {
    this.#disposed = true;
    this.#expire();
    this.#program?.dispose();
    this.#program = undefined;
  }

  async #compile(): Promise<Program> {
    this.#program = await this.#device.executor.compile(this.#graph, { owner: this.#owner, ownOutputs: false });
    return this.#program;
  }

  #execute(program: Program, inputs: readonly (HostArray | Tensor)[], sizes: SymbolValues): unknown {
    const given = inputs.map((input) => {
      if (!(input instanceof Tensor)) return input;
      input.assertUsable(this.#owner);
      return input.storage!;
    });
    this.#expire();
    const storages = program.run(given, sizes);
    return storages instanceof Promise ? storages.then((list) => this.#wrap(list)) : this.#wrap(storages);
  }

  /** The function's result with tensors over the program's outputs, and undefined where updates were. */
  #wrap(storages: readonly Storage[]): unknown {
    const outputs = storages.map((storage) => this.#device.adopt(storage, true));
    this.#outputs = outputs;
    let next = 0;
    return mapTree(this.#result, (leaf) => {
      if (leaf instanceof Tensor) return outputs[next++];
      return leaf instanceof Update ? undefined : leaf;
    });
  }

  #expire(): void {
    for (const tensor of this.#outputs) tensor.expire();
    this.#outputs = [];
  }

  #checkBounds(sizes: SymbolValues): void {
    for (const [name, bound] of this.#bounds) {
      const size = sizes[name];
      if (size === undefined || !Number.isInteger(size) || size < 0 || size > bound)
        throw new ArgumentError(
          `${this.#owner}: dimension ${name} must be a whole number up to its bound ${bound}, got ${size}`,
        );
    }
  }

  #assertUsable(): void {
    if (this.#disposed) throw new ArgumentError(`${this.#owner}: the compiled function was disposed of`);
    for (const leaf of this.#graph.constants) leaf.assertUsable(this.#owner);
    for (const variable of this.#graph.variables) variable.assertUsable(this.#owner);
  }
}
