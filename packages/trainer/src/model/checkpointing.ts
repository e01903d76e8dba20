import { ArgumentError, checkpoint } from '@heddle/tensor';
import type { Block, ForwardContext } from './model.ts';

/**
 * Which blocks are computed again in the backward pass instead of kept: 'none', 'every' block by itself, segments of so many
 * blocks that are computed again together (a number; about the root of the number of blocks keeps the least), a list of
 * blocks by their index, or the most bytes that activations and gradients may take, for which the cheapest way that fits is
 * found before the first step (on devices that know what a plan takes: WebGPU).
 */
export type Checkpointing =
  | 'none'
  | 'every'
  | { readonly segment: number }
  | { readonly blocks: readonly number[] }
  | { readonly maxBytes: number };

/** The same without a budget: what a plan is recorded with. */
export type CheckpointingPlan = Exclude<Checkpointing, { readonly maxBytes: number }>;

/** @throws ArgumentError for what is no such policy */
export function checkCheckpointing(policy: Checkpointing): void {
  if (policy === 'none' || policy === 'every') return;
  if (typeof policy === 'object' && policy !== null) {
    if ('segment' in policy && Number.isSafeInteger(policy.segment) && policy.segment > 0) return;
    if ('maxBytes' in policy && policy.maxBytes > 0) return;
    if (
      'blocks' in policy &&
      Array.isArray(policy.blocks) &&
      policy.blocks.every((index) => Number.isSafeInteger(index) && index >= 0)
    )
      return;
  }
  throw new ArgumentError(
    `train: checkpointing takes 'none', 'every', { segment: blocks }, { blocks: indices } and { maxBytes }, got ${JSON.stringify(policy)}`,
  );
}

/** What a recording found of a model's blocks. */
export interface BlockCount {
  /** How many it ran through the context. */
  blocks: number;
  /** Indices of those that are computed again, by segment. */
  segments: number[][];
}

/** A context whose blocks follow `policy`; `found` notes what they were. */
export function forwardContext(policy: CheckpointingPlan, found: BlockCount): ForwardContext {
  return {
    blocks(x, blocks) {
      const first = found.blocks;
      found.blocks += blocks.length;
      let result = x;
      for (const segment of segmentsOf(policy, first, blocks.length)) {
        const own = blocks.slice(segment.start - first, segment.end - first);
        const run: Block = (input) => own.reduce((hidden, block) => block(hidden), input);
        if (segment.recomputed) {
          found.segments.push(Array.from({ length: own.length }, (_, i) => segment.start + i));
          result = checkpoint(run)(result);
        } else result = run(result);
      }
      return result;
    },
  };
}

interface Segment {
  readonly start: number;
  readonly end: number;
  readonly recomputed: boolean;
}

function segmentsOf(policy: CheckpointingPlan, first: number, count: number): Segment[] {
  const end = first + count;
  if (policy === 'none') return [{ start: first, end, recomputed: false }];
  if (typeof policy === 'object' && 'blocks' in policy)
    return Array.from({ length: count }, (_, i) => {
      const start = first + i;
      return { start, end: start + 1, recomputed: policy.blocks.includes(start) };
    });
  const size = policy === 'every' ? 1 : policy.segment;
  return Array.from({ length: Math.ceil(count / size) }, (_, i) => {
    const start = first + i * size;
    return { start, end: Math.min(end, start + size), recomputed: true };
  });
}

/** Policies for so many blocks, from the fastest to that which keeps least. */
export function policiesFor(blocks: number): readonly CheckpointingPlan[] {
  const some = [0.25, 0.5, 0.75].map((share) => Math.round(blocks * share)).filter((n) => n > 0 && n < blocks);
  const first = (count: number) => ({ blocks: Array.from({ length: count }, (_, i) => i) });
  const segment = Math.round(Math.sqrt(blocks));
  return ['none', ...some.map(first), 'every', ...(segment > 1 ? [{ segment }] : [])];
}

/** For people. */
export function describeCheckpointing({ blocks, segments }: BlockCount): string {
  if (segments.length === 0) return `checkpointing: none of ${blocks} blocks is computed again`;
  const shown = segments.map((segment) => (segment.length === 1 ? segment[0] : `${segment[0]}-${segment.at(-1)}`));
  return `checkpointing: of ${blocks} blocks these are computed again in the backward pass: ${shown.join(', ')}`;
}
