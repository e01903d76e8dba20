import type { Dim, DimSymbol, SymbolicDim } from '../../dim.ts';
import { type DType, type HostArray, hostArray, isBlockFormat, isStorageDType } from '../../dtype.ts';
import { f32ToF16 } from '../../float16.ts';
import type { OnnxBlocks, OnnxBuilder, OnnxOptions, OnnxTurn, OnnxType, OnnxTyped } from '../../graph/onnx-lowering.ts';
import { decodeFormat } from '../../quantized/decode.ts';
import type { ConcreteType, Shape } from '../../shape.ts';
import { elementTypes, type OnnxInitializer, type OnnxNode } from './model.ts';

/** Collects the nodes and constants of one model. */
export class GraphBuilder implements OnnxBuilder {
  nodes: OnnxNode[] = [];
  initializers: OnnxInitializer[] = [];
  /** Symbolic dimensions that are computed with, by the name of the int64 `[1]` input that gives the size. */
  readonly sizeInputs: Map<string, string> = new Map();
  readonly #constants = new Map<string, string>();
  #casts = new Map<string, string>();
  #sizes = new Map<string, string>();
  /** Values of storage-only dtypes: operations take of them what they need. */
  readonly #stored = new Map<string, { readonly type: ConcreteType; readonly data: HostArray }>();
  readonly #floats = new Map<string, string>();
  /** What a reshaped value was before, however many times it was reshaped. */
  #unshaped = new Map<string, string>();
  #values = 0;
  #scope = 'graph';

  /** Names the nodes that follow after the operation that they are for: the runtime's messages show the names. */
  enter(scope: string): void {
    this.#scope = scope;
  }

  op(type: string, inputs: readonly string[], options: OnnxOptions = {}): string {
    return this.opWithOutputs(type, inputs, 1, options)[0]!;
  }

  opWithOutputs(type: string, inputs: readonly string[], count: number, options: OnnxOptions = {}): readonly string[] {
    const outputs = Array.from({ length: count }, () => this.#name());
    const { domain = '', attributes = {} } = options;
    this.nodes.push({ name: `${this.#scope}.${type}.${outputs[0]}`, type, domain, inputs, outputs, attributes });
    return outputs;
  }

  constant(type: OnnxType, shape: readonly number[], values: readonly number[]): string {
    const key = `${type} ${shape} ${values.map((value) => (Object.is(value, -0) ? '-0' : value))}`;
    return remember(this.#constants, key, () => this.initializer(type, shape, constantData(type, values)));
  }

  /** Values that become part of the model, by reference. */
  initializer(type: OnnxType, shape: readonly number[], data: ArrayBufferView): string {
    const name = this.#name();
    this.initializers.push({ name, type, shape, data });
    return name;
  }

  /** A leaf that becomes part of the model, in the form in which operations ask for it where it is storage-only. */
  leaf(type: ConcreteType, data: HostArray): string {
    if (!isStorageDType(type.dtype)) return this.initializer(type.dtype, type.shape, data);
    const name = this.#name();
    this.#stored.set(name, { type, data });
    return name;
  }

  blocks(value: string): OnnxBlocks | undefined {
    const stored = this.#stored.get(value);
    if (!stored || !isBlockFormat(stored.type.dtype)) return undefined;
    return { format: stored.type.dtype, shape: stored.type.shape, bytes: stored.data as Uint8Array };
  }

  floats(value: string): string {
    const stored = this.#stored.get(value);
    if (!stored) return value;
    return remember(this.#floats, value, () => {
      const { shape, dtype } = stored.type;
      if (!isBlockFormat(dtype)) return this.cast(this.initializer(dtype, shape, stored.data), 'f32');
      return this.initializer('f32', shape, decodeFormat(dtype, stored.data as Uint8Array, shape));
    });
  }

  sizes(dims: readonly Dim[]): string {
    if (dims.every((dim) => typeof dim === 'number')) return this.constant('i64', [dims.length], dims);
    return remember(this.#sizes, dims.join(), () => {
      const parts = dims.map((dim) => (typeof dim === 'number' ? this.sizes([dim]) : this.#size(dim)));
      return parts.length === 1 ? parts[0]! : this.op('Concat', parts, { attributes: { axis: 0 } });
    });
  }

  cast(value: string, to: OnnxType): string {
    return remember(this.#casts, `${value} ${to}`, () =>
      this.op('Cast', [value], { attributes: { to: elementTypes[to] } }),
    );
  }

  reshape(value: string, shape: Shape): string {
    const source = this.#unshaped.get(value) ?? value;
    const open = shape.filter((dim) => typeof dim !== 'number' || dim === -1);
    const fixed = open.length <= 1 && !shape.includes(0);
    const target = fixed
      ? this.constant(
          'i64',
          [shape.length],
          shape.map((dim) => (typeof dim === 'number' ? dim : -1)),
        )
      : this.sizes(shape);
    const reshaped = this.op('Reshape', [source, target], { attributes: { allowzero: fixed ? 0 : 1 } });
    this.#unshaped.set(reshaped, source);
    return reshaped;
  }

  loop(
    count: string,
    carried: readonly OnnxTyped[],
    body: (turn: string, carried: readonly string[]) => OnnxTurn,
  ): readonly string[] {
    const around = { nodes: this.nodes, casts: this.#casts, sizes: this.#sizes, unshaped: this.#unshaped };
    // what is computed inside is not there outside
    this.nodes = [];
    this.#casts = new Map(around.casts);
    this.#sizes = new Map(around.sizes);
    this.#unshaped = new Map(around.unshaped);
    const [turn, goesOn] = [this.#name(), this.#name()];
    const inputs = carried.map(({ type }): OnnxTyped => ({ value: this.#name(), type }));
    const inner = body(
      turn,
      inputs.map(({ value }) => value),
    );
    // a value may not be both carried in and out, nor be from outside
    const own = (value: string) => this.op('Identity', [value]);
    const outputs = [
      { value: own(goesOn), type: 'bool' as const },
      ...inner.carried.map((value, i): OnnxTyped => ({ value: own(value), type: carried[i]!.type })),
      ...inner.collected.map(({ value, type }): OnnxTyped => ({ value: own(value), type })),
    ];
    const nodes = this.nodes;
    this.nodes = around.nodes;
    this.#casts = around.casts;
    this.#sizes = around.sizes;
    this.#unshaped = around.unshaped;
    const results = outputs.slice(1).map(() => this.#name());
    this.nodes.push({
      name: `${this.#scope}.Loop.${results[0]}`,
      type: 'Loop',
      domain: '',
      inputs: [count, '', ...carried.map(({ value }) => value)],
      outputs: results,
      attributes: {},
      body: { inputs: [{ value: turn, type: 'i64' }, { value: goesOn, type: 'bool' }, ...inputs], outputs, nodes },
    });
    return results;
  }

  /** Drops the nodes that none of `outputs` depends on. */
  prune(outputs: readonly string[]): void {
    const needed = new Set(outputs);
    const read = (node: OnnxNode) => {
      for (const input of node.inputs) needed.add(input);
      for (const inner of node.body?.nodes ?? []) read(inner);
    };
    const kept = this.nodes.reverse().filter((node) => {
      if (!node.outputs.some((output) => needed.has(output))) return false;
      read(node);
      return true;
    });
    this.nodes = kept.reverse();
    for (const [symbol, input] of this.sizeInputs) if (!needed.has(input)) this.sizeInputs.delete(symbol);
    this.initializers = this.initializers.filter(({ name }) => needed.has(name));
  }

  /** A size that depends on symbolic dimensions, as int64 `[1]`. */
  #size(dim: SymbolicDim): string {
    return remember(this.#sizes, dim.key, () => {
      const terms = dim.terms.map(({ symbols, coefficient }) => {
        const factors = symbols.map((symbol) => this.#sizeInput(symbol));
        if (coefficient !== 1 || factors.length === 0) factors.push(this.sizes([coefficient]));
        return factors.reduce((a, b) => this.op('Mul', [a, b]));
      });
      return terms.reduce((a, b) => this.op('Add', [a, b]));
    });
  }

  #sizeInput({ name }: DimSymbol): string {
    return remember(this.sizeInputs, name, () => `size.${name}`);
  }

  #name(): string {
    return `v${this.#values++}`;
  }
}

function remember(map: Map<string, string>, key: string, make: () => string): string {
  let value = map.get(key);
  if (value === undefined) {
    value = make();
    map.set(key, value);
  }
  return value;
}

function constantData(type: OnnxType, values: readonly number[]): ArrayBufferView {
  if (type === 'u8') return Uint8Array.from(values);
  if (type === 'i64') return BigInt64Array.from(values, BigInt);
  if (type === 'f64') return Float64Array.from(values);
  if (type === 'f16') return f32ToF16(Float32Array.from(values));
  const data = hostArray(type, values.length);
  data.set(values);
  return data;
}

/** The element type of a tensor's values that a model takes, gives or computes. */
export function valueType(dtype: DType): OnnxType {
  return isStorageDType(dtype) ? 'f32' : dtype;
}

/** Sizes as a model declares them: a name for what is known only in a run. */
export function declaredShape(shape: readonly Dim[]): (number | string)[] {
  return shape.map((dim) => (typeof dim === 'number' ? dim : dim.key));
}
