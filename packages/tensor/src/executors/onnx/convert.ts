import { DeviceError } from '../../checks/errors.ts';
import type { HostArray } from '../../dtype.ts';
import type { Graph } from '../../graph/graph.ts';
import type { Node } from '../../graph/op.ts';
import type { Tensor } from '../../graph/tensor.ts';
import { Variable } from '../../graph/variable.ts';
import type { ConcreteType } from '../../shape.ts';
import { declaredShape, GraphBuilder, valueType } from './builder.ts';
import type { OnnxModel, OnnxValue } from './model.ts';
import { messageOf } from './runtime.ts';
import { type Source, storageOf } from './source.ts';

/** A value that a run gives to the model. */
export interface Feed {
  readonly name: string;
  readonly tensor: Tensor;
  /** Which input of the graph it is; undefined for a variable. */
  readonly input: number | undefined;
}

/** A value that became part of the model. */
interface Baked {
  readonly name: string;
  readonly tensor: Tensor;
}

/** A graph as an ONNX model, and how its inputs and outputs belong to the graph's. */
export interface Conversion {
  readonly model: OnnxModel;
  readonly feeds: readonly Feed[];
  /** Inputs that are sizes of symbolic dimensions: int64 `[1]`. */
  readonly sizeFeeds: readonly { readonly name: string; readonly symbol: string }[];
  readonly sourceOf: (tensor: Tensor) => Source;
  /** The graph's constants and variables in the model. */
  readonly baked: readonly Baked[];
  readonly bakedBytes: number;
}

export interface ConversionOptions {
  /** Which variables become part of the model, as constants do; others are fed. */
  readonly bakes: (variable: Variable) => boolean;
  /** What becomes part of the model, by default as it lies in the executor's storage. */
  readonly valuesOf?: (tensor: Tensor) => { readonly type: ConcreteType; readonly data: HostArray };
}

/** Whether an application of an operation becomes nodes of ONNX by a lowering of its own; if not, it is decomposed. */
export function isLoweredToOnnx(node: Node): boolean {
  const lowering = node.op.lower?.onnx;
  return lowering !== undefined && (lowering.supports?.(node) ?? true);
}

/**
 * Turns a graph into nodes of ONNX. Constants and the variables that `bakes` names become part of the model; inputs and
 * other variables are fed, those that a node reads. Only results of nodes are outputs of the model: what a graph gives or
 * writes unchanged is already on the host.
 */
export function convertGraph(graph: Graph, { bakes, valuesOf = storageOf }: ConversionOptions): Conversion {
  const builder = new GraphBuilder();
  const names = new Map<Tensor, string>();
  const feeds: Feed[] = [];
  const baked: Baked[] = [];
  let bakedBytes = 0;
  const inputs = new Map(graph.inputs.map((tensor, index) => [tensor, index]));

  const leaf = (tensor: Tensor): string => {
    const input = inputs.get(tensor);
    if (input === undefined && (!(tensor instanceof Variable) || bakes(tensor))) {
      const { type, data } = valuesOf(tensor);
      bakedBytes += data.byteLength;
      const name = builder.leaf(type, data);
      baked.push({ name, tensor });
      return name;
    }
    const name = input === undefined ? `variable${feeds.length}` : `input${input}`;
    feeds.push({ name, tensor, input });
    return name;
  };
  const nameOf = (tensor: Tensor): string => {
    let name = names.get(tensor);
    if (name === undefined) {
      name = leaf(tensor);
      names.set(tensor, name);
    }
    return name;
  };

  graph.nodes.forEach((node, place) => {
    builder.enter(`${node.op.name}${place}`);
    const args = node.inputs.map(nameOf);
    let results: string | readonly string[];
    try {
      results = node.op.lower!.onnx!.emit(builder, args, node);
    } catch (cause) {
      throw new DeviceError(`${node.op.name}: the ONNX lowering failed: ${messageOf(cause)}`, { cause });
    }
    const list = typeof results === 'string' ? [results] : results;
    node.outputs.forEach((output, i) => {
      names.set(output, list[i]!);
    });
  });

  const computed = new Set(graph.nodes.flatMap((node) => node.outputs));
  const results = new Map<Tensor, OnnxValue>();
  // a lowering may give a constant or an input as its result, or one value as two: an output needs a name of its own
  const free = new Set(builder.nodes.flatMap((node) => node.outputs));
  const wanted = [...graph.outputs, ...graph.updates.flatMap(({ value, rows }) => (rows ? [value, rows] : [value]))];
  builder.enter('result');
  for (const tensor of wanted) {
    if (!computed.has(tensor) || results.has(tensor)) continue;
    const value = names.get(tensor)!;
    const name = free.delete(value) ? value : builder.op('Identity', [value]);
    results.set(tensor, { name, type: valueType(tensor.dtype), shape: declaredShape(tensor.shape) });
  }

  builder.prune([...results.values()].map(({ name }) => name));
  const sizeFeeds = [...builder.sizeInputs].map(([symbol, name]) => ({ symbol, name }));
  const fed = feeds.map(({ name, tensor }) => ({
    name,
    type: valueType(tensor.dtype),
    shape: declaredShape(tensor.shape),
  }));
  const sizes = sizeFeeds.map(({ name }): OnnxValue => ({ name, type: 'i64', shape: [1] }));
  return {
    model: {
      inputs: [...fed, ...sizes],
      outputs: [...results.values()],
      initializers: builder.initializers,
      nodes: builder.nodes,
    },
    feeds,
    sizeFeeds,
    baked,
    bakedBytes,
    sourceOf(tensor) {
      const result = results.get(tensor);
      if (result) return { kind: 'result', name: result.name, tensor };
      const index = inputs.get(tensor);
      return index === undefined ? { kind: 'stored', tensor } : { kind: 'input', index, tensor };
    },
  };
}
