import { OutOfMemoryError } from '../../checks/errors.ts';
import { evaluateDim, type SymbolValues } from '../../dim.ts';
import { type BlockFormat, type DType, type HostArray, hostArray, isBlockFormat } from '../../dtype.ts';
import { bf16BitsToNumber, bf16ToF32, f16ToF32, numberToBf16Bits, roundToF16 } from '../../float16.ts';
import type { Executor, Program, Storage } from '../../graph/executor.ts';
import type { Graph } from '../../graph/graph.ts';
import { checkRows } from '../../graph/index-checks.ts';
import type { Node } from '../../graph/op.ts';
import type { ReferenceArray } from '../../graph/reference-lowering.ts';
import type { Tensor } from '../../graph/tensor.ts';
import { toHostArray } from '../../host-data.ts';
import { decodeFormat } from '../../quantized/decode.ts';
import { MemoryAccount, type MemoryReport } from '../../report/memory.ts';
import { type ConcreteType, evaluateShape, formatShape, sizeOf } from '../../shape.ts';
import { mapBroadcast } from './broadcast.ts';

/** Values of the reference executor: float64, whatever the dtype. */
export class ReferenceStorage implements Storage {
  readonly type: ConcreteType;
  readonly byteLength: number;
  data: Float64Array;
  /** The bytes that the values of a block format were read from. */
  readonly blocks: Uint8Array | undefined;
  readonly #release: () => void;

  constructor(type: ConcreteType, data: Float64Array, release: () => void, blocks?: Uint8Array) {
    this.type = type;
    this.data = data;
    this.blocks = blocks;
    this.byteLength = data.byteLength;
    this.#release = release;
  }
  dispose(): void {
    this.#release();
  }
}

/**
 * Computes graphs one operation after the other in plain TypeScript and float64: the oracle of every test. It is slow and
 * plans nothing; what it is for is being obviously right.
 */
export class ReferenceExecutor implements Executor {
  readonly name = 'reference';
  readonly description = 'plain TypeScript, float64';
  readonly debug: boolean;
  readonly #memory: MemoryAccount;

  constructor(options: { readonly memoryBudget?: number; readonly debug?: boolean }) {
    this.debug = options.debug ?? false;
    this.#memory = new MemoryAccount(options.memoryBudget, options.debug);
  }

  lowers(node: Node): boolean {
    const lowering = node.op.lower?.reference;
    return lowering !== undefined && (!('supports' in lowering) || lowering.supports!(node));
  }
  create(type: ConcreteType, owner: string, data?: HostArray): ReferenceStorage {
    if (isBlockFormat(type.dtype)) {
      const blocks = data ? Uint8Array.from(data) : hostArray(type.dtype, sizeOf(type.shape));
      return this.store(type, owner, () => blockValues(type, blocks), blocks);
    }
    return this.store(type, owner, () => (data ? fromHost(type.dtype, data) : new Float64Array(sizeOf(type.shape))));
  }
  store(type: ConcreteType, owner: string, values: () => Float64Array, blocks?: Uint8Array): ReferenceStorage {
    const release = this.#memory.take(sizeOf(type.shape) * 8, owner);
    try {
      return new ReferenceStorage(type, values(), release, blocks);
    } catch (error) {
      release();
      throw tooLarge(owner, [type], error);
    }
  }
  write(storage: Storage, data: HostArray, offset = 0): void {
    const { type, data: values, blocks } = storage as ReferenceStorage;
    if (!blocks) values.set(fromHost(type.dtype, data), offset);
    else {
      blocks.set(data, offset);
      values.set(blockValues(type, blocks));
    }
  }
  copy(storage: Storage, owner: string): Storage {
    const { type, data, blocks } = storage as ReferenceStorage;
    return this.store(type, owner, () => data.slice(), blocks?.slice());
  }
  async read(storage: Storage): Promise<HostArray> {
    const { type, data, blocks } = storage as ReferenceStorage;
    if (blocks) return blocks.slice();
    return type.dtype === 'f32' ? Float32Array.from(data) : toHostArray(type.dtype, data);
  }
  peek(storage: Storage, count: number): HostArray | undefined {
    const { type, data } = storage as ReferenceStorage;
    if (isBlockFormat(type.dtype)) return undefined;
    const values = data.slice(0, count);
    return type.dtype === 'f32' ? Float32Array.from(values) : toHostArray(type.dtype, values);
  }
  async compile(graph: Graph, options: { readonly owner: string; readonly ownOutputs: boolean }): Promise<Program> {
    return new ReferenceProgram(this, graph, options.ownOutputs ? undefined : options.owner);
  }
  memory(): MemoryReport {
    return this.#memory.report();
  }
  async dispose(): Promise<void> {}
}

function fromHost(dtype: DType, data: HostArray): Float64Array {
  if (dtype === 'bf16') return Float64Array.from(bf16ToF32(data as Uint16Array));
  return Float64Array.from(dtype === 'f16' ? f16ToF32(data as Uint16Array) : data);
}

function blockValues({ dtype, shape }: ConcreteType, blocks: Uint8Array): Float64Array {
  return Float64Array.from(decodeFormat(dtype as BlockFormat, blocks, shape));
}

/** What a dtype does to values: integers wrap, f16 and bf16 round, f32 stays in float64. */
function settle(dtype: DType, data: Float64Array): Float64Array {
  if (dtype === 'i32') return data.map((value) => value | 0);
  if (dtype === 'u32') return data.map((value) => value >>> 0);
  if (dtype === 'f16') return data.map(roundToF16);
  if (dtype === 'bf16') return data.map((value) => bf16BitsToNumber(numberToBf16Bits(value)));
  return data;
}

class ReferenceProgram implements Program {
  readonly #executor: ReferenceExecutor;
  readonly #graph: Graph;
  readonly #owner: string | undefined;
  /** Results of the last run, where they are the program's. */
  #held: readonly Storage[] = [];

  /** @param owner whom outputs are accounted to; undefined where the caller owns them */
  constructor(executor: ReferenceExecutor, graph: Graph, owner: string | undefined) {
    this.#executor = executor;
    this.#graph = graph;
    this.#owner = owner;
  }
  get kernelCount(): number {
    return this.#graph.nodes.length;
  }

  run(inputs: readonly (Storage | HostArray)[], symbols: SymbolValues): readonly Storage[] {
    const values = new Map<Tensor, ReferenceArray>();
    const graph = this.#graph;
    this.#free();
    const bind = (tensor: Tensor, data: Float64Array) =>
      values.set(tensor, { shape: evaluateShape(tensor.shape, symbols), dtype: tensor.dtype, data });
    graph.inputs.forEach((tensor, i) => {
      const input = inputs[i]!;
      bind(tensor, ArrayBuffer.isView(input) ? fromHost(tensor.dtype, input) : (input as ReferenceStorage).data);
    });
    for (const tensor of [...graph.constants, ...graph.variables])
      bind(tensor, (tensor.storage as ReferenceStorage).data);
    for (const node of graph.nodes)
      for (const [i, data] of evaluate(node, values, symbols).entries()) bind(node.outputs[i]!, data);
    for (const { variable, rows } of graph.updates) if (rows) checkRows(variable, values.get(rows)!.data);
    const results = graph.outputs.map((tensor) => {
      const { shape, dtype, data } = values.get(tensor)!;
      return this.#executor.store({ shape, dtype }, this.#owner ?? 'tensors', () => data.slice());
    });
    if (this.#owner !== undefined) this.#held = results;
    // values first, then all writes: a read sees the value from before the run
    const writes = graph.updates.map((update) => ({
      storage: update.variable.storage as ReferenceStorage,
      data: values.get(update.value)!.data.slice(),
      rows: update.rows && values.get(update.rows)!.data.slice(),
    }));
    for (const { storage, data, rows } of writes) {
      const inner = sizeOf(storage.type.shape.slice(1));
      if (!rows) storage.data.set(data);
      else
        rows.forEach((row, t) => {
          if (row >= 0) storage.data.set(data.subarray(t * inner, (t + 1) * inner), row * inner);
        });
    }
    return results;
  }

  async prepare(): Promise<void> {}
  explain(): string {
    return this.#graph.nodes
      .map(({ op, outputs }) => `${op.name} -> ${outputs.map((o) => `${o.dtype}[${o.shape}]`)}`)
      .join('\n');
  }
  dispose(): void {
    this.#free();
  }
  #free(): void {
    for (const storage of this.#held) storage.dispose();
    this.#held = [];
  }
}

function evaluate(node: Node, values: ReadonlyMap<Tensor, ReferenceArray>, symbols: SymbolValues): Float64Array[] {
  const lowering = node.op.lower!.reference!;
  const inputs = node.inputs.map((input) => values.get(input)!);
  const outputs = node.outputs.map(({ shape, dtype }) => ({ shape: evaluateShape(shape, symbols), dtype }));
  const dim = (size: Parameters<typeof evaluateDim>[0]) => evaluateDim(size, symbols);
  try {
    const results =
      'run' in lowering
        ? lowering.run({ inputs, outputs, attributes: node.attributes, dim })
        : [
            mapBroadcast(
              node.op.name,
              inputs,
              outputs[0]!.shape,
              lowering.elementwise(node.attributes, outputs[0]!.dtype),
            ),
          ];
    return results.map((data, i) => settle(outputs[i]!.dtype, data));
  } catch (error) {
    throw tooLarge(node.op.name, outputs, error);
  }
}

/** Of an array that the engine does not make, what was to be made; other errors as they are. */
function tooLarge(name: string, types: readonly ConcreteType[], error: unknown): unknown {
  if (!(error instanceof RangeError && /array (length|buffer)|allocation/i.test(error.message))) return error;
  const [requested, shapes] = [
    types.reduce((sum, { shape }) => sum + sizeOf(shape) * 8, 0),
    types.map(({ shape }) => formatShape(shape)).join(' and '),
  ];
  return new OutOfMemoryError(
    `${name}: ${shapes} takes ${requested} bytes on the reference executor, more than this machine gives`,
    { requested, cause: error },
  );
}
