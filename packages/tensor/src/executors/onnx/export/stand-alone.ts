import type { HostArray } from '../../../dtype.ts';
import type { Graph } from '../../../graph/graph.ts';
import type { Tensor } from '../../../graph/tensor.ts';
import { Variable } from '../../../graph/variable.ts';
import type { ConcreteType, Shape } from '../../../shape.ts';
import { declaredShape } from '../builder.ts';
import type { Conversion } from '../convert.ts';
import type { OnnxInitializer, OnnxModel, OnnxNode, OnnxValue } from '../model.ts';

/** The values of a constant or variable. */
export interface Stored {
  readonly type: ConcreteType;
  readonly data: HostArray;
}

/** A model, the names that its inputs and outputs are to have, and names that would suit its weights. */
interface StandAlone {
  readonly model: OnnxModel;
  readonly fixed: ReadonlyMap<string, string>;
  readonly wanted: ReadonlyMap<string, string>;
}

/**
 * A conversion as a model that needs no program around it: every input and output of the graph is one of the model's, and
 * sizes of symbolic dimensions are taken from the inputs that show them.
 */
export function standAlone(
  graph: Graph,
  { model, sizeFeeds, baked, sourceOf }: Conversion,
  valuesOf: (tensor: Tensor) => Stored,
  inputNames: readonly string[],
  outputNames: readonly string[],
): StandAlone {
  const nodes: OnnxNode[] = [];
  const initializers: OnnxInitializer[] = [...model.initializers];
  const fixed = new Map<string, string>(inputNames.map((name, i) => [`input${i}`, name]));
  const wanted = new Map<string, string>();
  for (const { name, tensor } of baked) if (tensor instanceof Variable) wanted.set(name, tensor.name);

  const inputs: OnnxValue[] = graph.inputs.map((tensor, i) => declared(`input${i}`, tensor));
  for (const { name, symbol } of sizeFeeds) {
    const place = placeOf(symbol, graph.inputs);
    if (place) nodes.push(node('Shape', `input${place.input}`, name, { start: place.axis, end: place.axis + 1 }));
    else inputs.push({ name, type: 'i64', shape: [1] });
  }
  nodes.push(...model.nodes);

  const outputs = graph.outputs.map((tensor, i): OnnxValue => {
    const source = sourceOf(tensor);
    if (source.kind === 'result' && !fixed.has(source.name)) {
      fixed.set(source.name, outputNames[i]!);
      return declared(source.name, tensor);
    }
    const name = `output.${i}`;
    let from = source.kind === 'result' ? source.name : source.kind === 'input' ? `input${source.index}` : undefined;
    if (from === undefined) {
      const { type, data } = valuesOf(tensor);
      from = `stored.${i}`;
      initializers.push({ name: from, type: type.dtype, shape: type.shape, data });
    }
    nodes.push(node('Identity', from, name));
    fixed.set(name, outputNames[i]!);
    return declared(name, tensor);
  });
  return { model: { inputs, outputs, initializers, nodes }, fixed, wanted };
}

function declared(name: string, { dtype, shape }: Tensor): OnnxValue {
  return { name, type: dtype, shape: declaredShape(shape) };
}

function node(type: string, input: string, output: string, attributes: OnnxNode['attributes'] = {}): OnnxNode {
  return { name: `${type}.${output}`, type, domain: '', inputs: [input], outputs: [output], attributes };
}

/** The input and axis that show the size of a symbolic dimension. */
function placeOf(symbol: string, inputs: readonly { readonly shape: Shape }[]) {
  for (const [input, { shape }] of inputs.entries()) {
    const axis = shape.findIndex((dim) => typeof dim !== 'number' && dim.key === symbol);
    if (axis >= 0) return { input, axis };
  }
  return undefined;
}
