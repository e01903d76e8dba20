/** WGSL of `segment_of_key` and `segment_of_row` (negative: none), and of what `segmentHull` needs; uses `batch`. */
export const segmentText = `
var<workgroup> hull_segments: array<atomic<i32>, 2>;
var<workgroup> hull_places: array<atomic<u32>, 2>;
var<workgroup> hull: vec2<u32>;
fn segment_of_key(key: u32) -> i32 { return segments_at(batch * params.S + min(key, params.S - 1u)); }
fn segment_of_row(row: u32) -> i32 {
  let position = i32(min(row, params.L - 1u)) + i32(params.S) - i32(params.L);
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
export const segmentHull = (own: Places, others: Places, threads: number): string => `
  if (local == 0u) {
    atomicStore(&hull_segments[0], 2147483647);
    atomicStore(&hull_segments[1], -1);
    atomicStore(&hull_places[0], ${others.end});
    atomicStore(&hull_places[1], ${others.begin});
  }
  workgroupBarrier();
  for (var i = ${own.begin} + local; i < ${own.end}; i += ${threads}u) {
    let segment = segment_of_${own.kind}(i);
    if (segment >= 0) { atomicMin(&hull_segments[0], segment); atomicMax(&hull_segments[1], segment); }
  }
  workgroupBarrier();
  for (var i = ${others.begin} + local; i < ${others.end}; i += ${threads}u) {
    let segment = segment_of_${others.kind}(i);
    if (segment >= atomicLoad(&hull_segments[0]) && segment <= atomicLoad(&hull_segments[1])) {
      atomicMin(&hull_places[0], i);
      atomicMax(&hull_places[1], i + 1u);
    }
  }
  workgroupBarrier();
  if (local == 0u) { hull = vec2<u32>(atomicLoad(&hull_places[0]), atomicLoad(&hull_places[1])); }
  let bounds = workgroupUniformLoad(&hull);`;
