import { addDims, type Dim, multiplyDims } from '../../../dim.ts';
import type { Node } from '../../../graph/op.ts';
import type { Tensor } from '../../../graph/tensor.ts';
import type { KernelCall } from '../../../graph/webgpu-lowering.ts';
import { sizeOf } from '../../../shape.ts';
import type { BufferOf } from '../codegen/kernel-builder.ts';
import { bufferBytes } from '../memory/buffer-bytes.ts';
import type { BufferValue, Step, Work } from '../values.ts';
import type { EpilogueGroup } from './epilogue-groups.ts';

const bytesOf = ({ type }: BufferValue, count: number) => bufferBytes(type.dtype, count);
const wholeBytes = (value: BufferValue, size: (dim: Dim) => number) => bytesOf(value, size(sizeOf(value.type.shape)));

/** What is computed on the way to some tensors: operations for each value, and how often each buffer is read for it. */
interface Inlined {
  readonly operations: number;
  readonly reads: ReadonlyMap<BufferValue, number>;
}

function inlinedIn(roots: readonly Tensor[], bufferOf: BufferOf): Inlined {
  const seen = new Set<Node>();
  const reads = new Map<BufferValue, number>();
  let operations = 0;
  const open = [...roots];
  while (open.length > 0) {
    const tensor = open.pop()!;
    const buffer = bufferOf(tensor);
    if (buffer) {
      reads.set(buffer, (reads.get(buffer) ?? 0) + 1);
      continue;
    }
    const { node } = tensor;
    if (seen.has(node)) continue;
    seen.add(node);
    if ('expression' in (node.op.lower?.webgpu ?? {})) operations++;
    open.push(...node.inputs);
  }
  return { operations, reads };
}

/** Work of a kernel that computes `count` values of `roots` (on the way to a sum, or to its stores) and writes `targets`. */
function workOf(
  roots: readonly Tensor[],
  count: Dim,
  bufferOf: BufferOf,
  targets: readonly { readonly value: BufferValue; readonly count: Dim }[],
  more: { readonly operations: number; readonly reads: readonly BufferValue[]; readonly epilogue: Dim },
): Work {
  const { operations, reads } = inlinedIn(roots, bufferOf);
  return {
    flops: addDims(multiplyDims(count, operations + more.operations), more.epilogue),
    bytes: (size) => {
      let bytes = 0;
      // a small part of a large buffer is read by a lookup: no more than is computed from it
      for (const [value, times] of reads)
        bytes += Math.min(wholeBytes(value, size), bytesOf(value, times * size(count)));
      for (const value of more.reads) bytes += wholeBytes(value, size);
      for (const target of targets) bytes += bytesOf(target.value, size(target.count));
      return bytes;
    },
  };
}

const nothingMore = { operations: 0, reads: [], epilogue: 0 };

/** A kernel that computes values where it writes them. */
export function pointwiseWork(
  roots: readonly { readonly tensor: Tensor; readonly target: BufferValue }[],
  bufferOf: BufferOf,
): Work {
  const count = sizeOf(roots[0]!.tensor.shape);
  const targets = roots.map(({ target }) => ({ value: target, count }));
  return workOf(
    roots.map(({ tensor }) => tensor),
    count,
    bufferOf,
    targets,
    nothingMore,
  );
}

/** A kernel that overwrites rows. */
export function scatterWork(value: Tensor, rows: BufferValue, target: BufferValue, bufferOf: BufferOf): Work {
  const count = sizeOf(value.shape);
  return workOf([value], count, bufferOf, [{ value: target, count }], { ...nothingMore, reads: [rows] });
}

/** What an epilogue adds to the kernel that it is fused into: operations, and what it reads beside the kernel's own values. */
function epilogueOf(group: EpilogueGroup | undefined, bufferOf: BufferOf) {
  if (!group) return nothingMore;
  const inside = new Set(group.nodes);
  const others = group.nodes.flatMap(({ inputs }) =>
    inputs.filter((input) => input !== group.source && !inside.has(input.node)),
  );
  const { reads } = inlinedIn(others, bufferOf);
  return {
    operations: 0,
    reads: [...reads.keys()],
    epilogue: multiplyDims(sizeOf(group.root.shape), group.nodes.length),
  };
}

/** The kernels of a reduction: the first does the work, a second one combines parts. */
export function withReductionWork(
  steps: readonly Step[],
  input: Tensor,
  group: EpilogueGroup | undefined,
  bufferOf: BufferOf,
): Step[] {
  const [first, ...rest] = steps;
  const target = first!.bindings.find(({ access }) => access === 'write')!.value;
  const epilogue = rest.length > 0 ? nothingMore : epilogueOf(group, bufferOf);
  const targets = [{ value: target, count: sizeOf(target.type.shape) }];
  const work = workOf([input], sizeOf(input.shape), bufferOf, targets, { ...epilogue, operations: 1 });
  const combining = (step: Step): Step => {
    const parts = step.bindings.find(({ access }) => access === 'read')!.value;
    return { ...step, work: { flops: sizeOf(parts.type.shape), bytes: (size) => boundBytes(step, size) } };
  };
  return [{ ...first!, work }, ...rest.map(combining)];
}

/** A kernel of an operation's own: what its author says, and the epilogue. */
export function withCallWork(
  step: Step,
  { flops, bytes }: KernelCall,
  group: EpilogueGroup | undefined,
  bufferOf: BufferOf,
): Step {
  const { epilogue, reads } = epilogueOf(group, bufferOf);
  if (flops === undefined && bytes === undefined) return step;
  return {
    ...step,
    work: {
      flops: flops === undefined ? undefined : addDims(flops, epilogue),
      bytes: (size) => {
        if (bytes === undefined) return boundBytes(step, size);
        return reads.reduce((sum, value) => sum + wholeBytes(value, size), size(bytes));
      },
    },
  };
}

/** Each buffer of a kernel once. */
function boundBytes({ bindings }: Step, size: (dim: Dim) => number): number {
  return wholeBindings(bindings).reduce((sum, { value }) => sum + wholeBytes(value, size), 0);
}

/** The buffers of a dispatch, each binding of one that is bound in parts counted once. */
export function wholeBindings(bindings: Step['bindings']): Step['bindings'] {
  return bindings.filter(({ part }) => !part || part.offset === 0);
}

/** What a step moves and computes at given sizes. */
export function workAt(
  step: Step,
  size: (dim: Dim) => number,
): { readonly bytes: number; readonly flops: number | undefined } {
  const { work } = step;
  if (!work) return { bytes: boundBytes(step, size), flops: undefined };
  return { bytes: work.bytes(size), flops: work.flops === undefined ? undefined : size(work.flops) };
}
