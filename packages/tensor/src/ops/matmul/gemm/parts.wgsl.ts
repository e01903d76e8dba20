import { spreadWorkgroups } from '../../../executors/webgpu/workgroups.ts';
import type { KernelCall } from '../../../graph/webgpu-lowering.ts';
import { sizeOf, type TensorType } from '../../../shape.ts';
import type { MatmulSpec } from '../spec.ts';

/** A depth in parts, each summed up by workgroups of its own: for results too small to keep a GPU busy. */
export interface Split {
  readonly parts: number;
  /** Of a part. */
  readonly depth: number;
  /** Of the sums of all parts. */
  readonly type: TensorType;
}

/** A depth in so many parts or fewer, each a whole number of tiles but the last. */
export function splitDepth({ batch, m, n }: MatmulSpec, k: number, parts: number, tile: number): Split {
  const depth = Math.ceil(k / parts / tile) * tile;
  const count = Math.ceil(k / depth);
  return { parts: count, depth, type: { shape: [count, ...batch, m, n], dtype: 'f32' } };
}

/** The product from the sums of its parts, in the order of the depth. */
export function sumOfParts({ batch, m, n }: MatmulSpec, { type, parts }: Split): KernelCall {
  const count = sizeOf([...batch, m, n]);
  return {
    label: 'matmul.parts',
    buffers: [
      { name: 'x', scratch: 'parts', type, access: 'read', vector: 4 },
      { name: 'y', output: 0, epilogue: true, vector: 4 },
    ],
    parameters: { count, parts },
    ignoresExtraWorkgroups: true,
    threads: 64,
    write: ({ at4, set4, size }) => ({
      main: `  let fours = ${size.count} / 4u;
  let i = ((w.z * n.y + w.y) * n.x + w.x) * 64u + l;
  if (i >= fours) { return; }
  var sum = ${at4.x}(i);
  for (var part = 1u; part < ${size.parts}; part++) { sum += ${at4.x}(part * fours + i); }
  ${set4.y}(i, sum);`,
    }),
    workgroups: (size) => spreadWorkgroups(Math.ceil(size(count) / 256)),
  };
}
