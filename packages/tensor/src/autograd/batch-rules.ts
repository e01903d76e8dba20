import type { Dim } from '../dim.ts';
import type { Node } from '../graph/op.ts';
import { record } from '../graph/record.ts';
import type { Tensor } from '../graph/tensor.ts';
import { stack } from '../ops/movement/arrange.ts';
import { expand, permute, reshape } from '../ops/movement/movement.ts';
import { slice } from '../ops/movement/slice.ts';
import type { Shape } from '../shape.ts';

/** An input of an application: with the axis of examples in front, or the same for all of them. */
export interface Batched {
  readonly tensor: Tensor;
  readonly isBatched: boolean;
}

/** The outputs of an application for all examples, which are in front; undefined where there is no rule. */
type Rule = (node: Node, inputs: readonly Batched[], size: Dim) => readonly Tensor[] | undefined;

/** Records an application for all examples at once. */
export function batchNode(node: Node, inputs: readonly Batched[], size: number): readonly Tensor[] {
  const rule = isElementwise(node) ? elementwise : Object.hasOwn(rules, node.op.name) ? rules[node.op.name] : undefined;
  return rule?.(node, inputs, size) ?? oneByOne(node, inputs, size);
}

const isElementwise = ({ op: { lower } }: Node): boolean => lower?.webgpu !== undefined && 'expression' in lower.webgpu;

const again = (node: Node, inputs: readonly Tensor[], attributes: unknown): readonly Tensor[] =>
  record(node.op, inputs, attributes);

/** The tensor with the axis in front, whether or not it had it. */
const inFront = ({ tensor, isBatched }: Batched, size: Dim): Tensor =>
  isBatched ? tensor : expand(tensor, [size, ...tensor.shape]);

const elementwise: Rule = (node, inputs) => {
  const rank = node.outputs[0]!.rank;
  // operands broadcast from behind: examples stay in front of all their axes
  const aligned = inputs.map(({ tensor, isBatched }, i) => {
    const missing = rank - node.inputs[i]!.rank;
    if (!isBatched || missing === 0) return tensor;
    return reshape(tensor, [tensor.shape[0]!, ...new Array<number>(missing).fill(1), ...tensor.shape.slice(1)]);
  });
  return again(node, aligned, node.attributes);
};

/** Rules of operations whose attributes name axes or shapes of their first input. */
const shifted =
  (change: (attributes: never, size: Dim) => unknown): Rule =>
  (node, inputs, size) =>
    again(
      node,
      inputs.map((input) => inFront(input, size)),
      change(node.attributes as never, size),
    );

const byAxis = shifted((attributes: { readonly axis: number }) => ({ ...attributes, axis: attributes.axis + 1 }));
const byAxes = shifted((attributes: { readonly axes: readonly number[] }) => ({
  ...attributes,
  axes: attributes.axes.map((axis) => axis + 1),
}));
const toShape = (attributes: { readonly shape: Shape }, size: Dim) => ({
  ...attributes,
  shape: [size, ...attributes.shape],
});
const onGrid = shifted(
  (attributes: { readonly shape: Shape; readonly start: readonly Dim[]; readonly step: readonly number[] }, size) => ({
    shape: [size, ...attributes.shape],
    start: [0, ...attributes.start],
    step: [1, ...attributes.step],
  }),
);

const matmul: Rule = (node, inputs) => {
  const rank = Math.max(...node.inputs.map((input) => input.rank));
  const aligned = inputs.map(({ tensor, isBatched }, i) => {
    const missing = rank - node.inputs[i]!.rank;
    if (!isBatched || missing === 0) return tensor;
    return reshape(tensor, [tensor.shape[0]!, ...new Array<number>(missing).fill(1), ...tensor.shape.slice(1)]);
  });
  return again(node, aligned, node.attributes);
};

const expanded: Rule = (node, [input], size) => {
  const { shape } = node.attributes as { readonly shape: Shape };
  const x = inFront(input!, size);
  const missing = shape.length - node.inputs[0]!.rank;
  const aligned = reshape(x, [size, ...new Array<number>(missing).fill(1), ...x.shape.slice(1)]);
  return [expand(aligned, [size, ...shape])];
};

const taken: Rule = (node, [x, indices], size) => {
  const { axis } = node.attributes as { readonly axis: number };
  if (!indices!.isBatched) return again(node, [inFront(x!, size), indices!.tensor], { axis: axis + 1 });
  if (x!.isBatched) return undefined;
  // the axis of examples is among those of the indices, and goes to the front
  const [y] = again(node, [x!.tensor, indices!.tensor], { axis });
  return [permute(y!, [axis, ...y!.shape.map((_, i) => i).filter((i) => i !== axis)])];
};

const rules: Readonly<Record<string, Rule>> = {
  sum: byAxes,
  max: byAxes,
  min: byAxes,
  prod: byAxes,
  logSumExp: byAxes,
  flip: byAxes,
  permute: shifted(({ axes }: { readonly axes: readonly number[] }) => ({
    axes: [0, ...axes.map((axis) => axis + 1)],
  })),
  reshape: shifted(toShape),
  expand: expanded,
  slice: onGrid,
  place: onGrid,
  matmul,
  take: taken,
  takeAlongAxis: byAxis,
  scatterAddAlongAxis: byAxis,
  argmax: byAxis,
  argmin: byAxis,
  softmax: byAxis,
  logSoftmax: byAxis,
  cumsum: byAxis,
  concat: byAxis,
  topK: byAxis,
};

/** Any operation: one application an example. */
function oneByOne(node: Node, inputs: readonly Batched[], size: number): readonly Tensor[] {
  const examples = Array.from({ length: size }, (_, i) =>
    record(
      node.op,
      inputs.map(({ tensor, isBatched }) =>
        isBatched ? reshape(slice(tensor, 0, i, i + 1), tensor.shape.slice(1)) : tensor,
      ),
      node.attributes,
    ),
  );
  return node.outputs.map((_, output) =>
    stack(
      examples.map((outputs) => outputs[output]!),
      0,
    ),
  );
}
