import type { Dim } from '../../../dim.ts';
import type { Node } from '../../../graph/op.ts';
import type { TensorType } from '../../../shape.ts';
import type { TuningCache } from './tuning-cache.ts';

/** Which of several ways to compute a node is taken in a plan. */
export interface Choices {
  choose(shapeClass: string, names: readonly string[], preferred: string): string;
}

/** The choices of a device: what was measured on it, otherwise what the kernels' author prefers. */
export class TunedChoices implements Choices {
  readonly cache: TuningCache;
  readonly adapter: string;

  constructor(cache: TuningCache, adapter: string) {
    this.cache = cache;
    this.adapter = adapter;
  }

  choose(shapeClass: string, names: readonly string[], preferred: string): string {
    const { choice } = this.cache.get(this.adapter, shapeClass) ?? {};
    return choice !== undefined && names.includes(choice) ? choice : preferred;
  }
}

/** A choice that a plan made, for `tune` to find. */
export interface ChoiceMade {
  readonly node: Node;
  readonly shapeClass: string;
  readonly names: readonly string[];
  readonly preferred: string;
  readonly taken: string;
}

/** Operation, attributes, dtypes and sizes of a node; symbolic dimensions at their bound in the plan: `T<=512`. */
export function shapeClassOf({ op, inputs, attributes }: Node, bound: (dim: Dim) => number): string {
  const size = (dim: Dim) => (typeof dim === 'number' ? String(dim) : `<=${bound(dim)}`);
  const type = ({ dtype, shape }: TensorType) => `${dtype}[${shape.map(size).join()}]`;
  const options = JSON.stringify(attributes);
  return `${op.name} ${inputs.map(type).join(' ')}${options === '{}' ? '' : ` ${options}`}`;
}
