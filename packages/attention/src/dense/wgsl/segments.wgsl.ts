import type { KernelNames, WorkgroupArray } from '@heddle/tensor';
import type { DenseAttributes } from '../arguments.ts';

/** Workgroup memory of `segmentHull`, where an attention has segments. */
export const segmentMemoryOf = ({ extras }: DenseAttributes): Readonly<Record<string, WorkgroupArray>> =>
  extras.includes('segments') ? segmentMemory : {};

const segmentMemory: Readonly<Record<string, WorkgroupArray>> = {
  hull_segments: { type: 'atomic<i32>', length: 2 },
  hull_places: { type: 'atomic<u32>', length: 2 },
  hull: { type: 'vec2<u32>' },
};

/** WGSL of `segment_of_key` and `segment_of_row` (negative: none); uses `batch`. */
export const segmentText = ({ at, size }: KernelNames): string => `
fn segment_of_key(key: u32) -> i32 { return ${at.segments}(batch * ${size.S} + min(key, ${size.S} - 1u)); }
fn segment_of_row(row: u32) -> i32 {
  let position = i32(min(row, ${size.L} - 1u)) + i32(${size.S}) - i32(${size.L});
  return select(-1, segment_of_key(u32(max(position, 0))), position >= 0);
}`;

/** A range of rows or keys, as WGSL expressions of its first place and of the place behind its last. */
interface Places {
  readonly kind: 'row' | 'key';
  readonly begin: string;
  readonly end: string;
}

/**
 * Statements after which `hull.x` and `hull.y` hold the part of `others` in which all places lie that are of a segment which
 * `own` has: tiles outside of it are passed over. All invocations (`local` of `threads`) take part.
 */
export const segmentHull = ({ shared }: KernelNames, own: Places, others: Places, threads: number): string => `
  if (local == 0u) {
    atomicStore(&${shared.hull_segments}[0], 2147483647);
    atomicStore(&${shared.hull_segments}[1], -1);
    atomicStore(&${shared.hull_places}[0], ${others.end});
    atomicStore(&${shared.hull_places}[1], ${others.begin});
  }
  workgroupBarrier();
  for (var i = ${own.begin} + local; i < ${own.end}; i += ${threads}u) {
    let segment = segment_of_${own.kind}(i);
    if (segment >= 0) { atomicMin(&${shared.hull_segments}[0], segment); atomicMax(&${shared.hull_segments}[1], segment); }
  }
  workgroupBarrier();
  for (var i = ${others.begin} + local; i < ${others.end}; i += ${threads}u) {
    let segment = segment_of_${others.kind}(i);
    if (segment >= atomicLoad(&${shared.hull_segments}[0]) && segment <= atomicLoad(&${shared.hull_segments}[1])) {
      atomicMin(&${shared.hull_places}[0], i);
      atomicMax(&${shared.hull_places}[1], i + 1u);
    }
  }
  workgroupBarrier();
  if (local == 0u) { ${shared.hull} = vec2<u32>(atomicLoad(&${shared.hull_places}[0]), atomicLoad(&${shared.hull_places}[1])); }
  let bounds = workgroupUniformLoad(&${shared.hull});`;
