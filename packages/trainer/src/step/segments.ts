import {
  ArgumentError,
  checkpoint,
  type Device,
  type DType,
  formatShape,
  ShapeError,
  type Tensor,
} from '@heddle/tensor';
import type { BatchSpec } from '../model/batch.ts';
import { type Block, type ForwardContext, outputOf, type TrainableModel } from '../model/model.ts';
import type { Traced } from './record-step.ts';

/** Blocks `start` to `end - 1`. */
interface Segment {
  readonly start: number;
  readonly end: number;
}

/** Where a model is cut. */
export interface Segments {
  readonly blocks: number;
  readonly list: readonly Segment[];
  /** What goes from each segment into the next. */
  readonly boundary: { readonly shape: readonly number[]; readonly dtype: DType };
}

type Model = TrainableModel<Traced, unknown>;

/**
 * Cuts a model between its blocks, `size` to a segment. Records its forward pass once, and computes nothing.
 * @throws ArgumentError for a model that does not run its blocks through the context, all in one call; ShapeError for blocks
 *   that do not give what they take
 */
export function segmentsOf(device: Device, model: Model, { inputs }: BatchSpec, size: number): Segments {
  let calls = 0;
  let found: Segments | undefined;
  const context: ForwardContext = {
    blocks(x, blocks) {
      calls++;
      const list = Array.from({ length: Math.ceil(blocks.length / size) }, (_, i) => ({
        start: i * size,
        end: Math.min(blocks.length, (i + 1) * size),
      }));
      found = { blocks: blocks.length, list, boundary: { shape: x.shape as readonly number[], dtype: x.dtype } };
      return blocks.reduce((h, block, i) => sameType(x, block(h), i), x);
    },
  };
  const batch = Object.entries(inputs).map(([name, { shape, dtype }]) => [name, device.zeros(shape, dtype)] as const);
  outputOf(model, Object.fromEntries(batch), context);
  if (!found || found.blocks === 0 || calls > 1)
    throw new ArgumentError(
      `train: offload.activations takes a model that runs its blocks through the context in one call, forward(batch, { blocks }); this one ran ${found?.blocks ?? 0} blocks in ${calls} calls`,
    );
  return found;
}

function sameType(x: Tensor, y: Tensor, index: number): Tensor {
  const [given, made] = [x, y].map(({ shape, dtype }) => `${dtype} ${formatShape(shape)}`);
  if (given !== made)
    throw new ShapeError(
      `train: offload.activations takes blocks that give what they take, and block ${index} makes ${made} of ${given}`,
    );
  return y;
}

/**
 * What a segment gives, recorded with all that its blocks use from outside.
 * @param input what goes into it; undefined of the first one, which takes what the model makes of the batch
 */
export function recordSegment(model: Model, batch: Traced, segment: Segment, input: Tensor | undefined): Tensor {
  let result: Tensor | undefined;
  outputOf(model, batch, {
    blocks(x, blocks) {
      result = runOf(blocks, segment)(input ?? x);
      return result; // what follows is not computed: nobody asks for it
    },
  });
  return result!;
}

/** The model's output, of which the last segment is computed again in the backward pass. */
export function recordEnd(model: Model, batch: Traced, segment: Segment, input: Tensor | undefined): unknown {
  return outputOf(model, batch, {
    blocks: (x, blocks) => checkpoint(runOf(blocks, segment))(input ?? x),
  });
}

const runOf =
  (blocks: readonly Block[], { start, end }: Segment): Block =>
  (x) =>
    blocks.slice(start, end).reduce((hidden, block) => block(hidden), x);

/** Everything that a tensor is computed from. */
export function ancestorsOf(tensor: Tensor): ReadonlySet<Tensor> {
  const found = new Set<Tensor>([tensor]);
  // the set grows while it is gone through
  for (const { node } of found) for (const input of node.inputs) found.add(input);
  return found;
}
