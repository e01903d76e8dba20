import { describe, expect, test } from 'vitest';
import type { SourceSpec } from './kernel-source.ts';
import { entryPointOf, sharedBody, workgroupBytes } from './shared-kernel.ts';

const scaled: SourceSpec = {
  label: 'scaled',
  buffers: [
    { name: 'b', dtype: 'f32', access: 'read', vector: 1 },
    { name: 'y', dtype: 'f32', access: 'write', vector: 1 },
  ],
  parameters: ['n'],
  body: `
struct Place { b: u32, row: u32 }
const row = 2.0f; // row of { b
var<workgroup> parts: array<f32, 64>;
fn scale(b: u32, place: Place) -> f32 { return row * b_at(b + place.row + place.b); }
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) w: vec3<u32>, @builtin(num_workgroups) n: vec3<u32>, @builtin(local_invocation_index) l: u32) {
  let i = ((w.z * n.y + w.y) * n.x + w.x) * 64u + l;
  if (i < params.n) { y_set(i, scale(i, Place(i, 0u))); }
}`,
};
const counted: SourceSpec = {
  label: 'counted',
  buffers: [{ name: 'y', dtype: 'f32', access: 'write', vector: 1 }],
  parameters: ['n'],
  body: `
var<workgroup> sums: array<f32, 64>;
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) w: vec3<u32>, @builtin(subgroup_id) team: u32) { sums[team] = 1.0; y_set(w.x, sums[team]); }`,
};

describe('a kernel of several', () => {
  test('has what each takes, under names of its own', () => {
    const body = sharedBody([
      {
        text: scaled,
        buffers: new Map([
          ['b', 'buffer0'],
          ['y', 'buffer1'],
        ]),
        sizes: new Map([['n', 'size0']]),
      },
      { text: counted, buffers: new Map([['y', 'buffer2']]), sizes: new Map([['n', 'size1']]) },
    ]);
    expect(body).toMatchInlineSnapshot(`
      "
      struct part0_Place { b: u32, row: u32 }
      const part0_row = 2.0f; // row of { b
      var<workgroup> part0_parts: array<f32, 64>;
      fn part0_scale(buffer0: u32, place: part0_Place) -> f32 { return part0_row * buffer0_at(buffer0 + place.row + place.b); }
      fn part0_main(w: vec3<u32>, n: vec3<u32>, l: u32) {
        let i = ((w.z * n.y + w.y) * n.x + w.x) * 64u + l;
        if (i < params.size0) { buffer1_set(i, part0_scale(i, part0_Place(i, 0u))); }
      }


      fn part1_main(w: vec3<u32>, team: u32) { part0_parts[team] = 1.0; buffer2_set(w.x, part0_parts[team]); }
      @compute @workgroup_size(64)
      fn main(@builtin(workgroup_id) workgroup_id: vec3<u32>, @builtin(num_workgroups) num_workgroups: vec3<u32>, @builtin(local_invocation_index) local_invocation_index: u32, @builtin(subgroup_id) subgroup_id: u32) {
        if (workgroup_id.z == 0u) { part0_main(vec3<u32>(workgroup_id.xy, 0u), vec3<u32>(num_workgroups.xy, 1u), local_invocation_index); }
        if (workgroup_id.z == 1u) { part1_main(vec3<u32>(workgroup_id.xy, 0u), subgroup_id); }
      }"
    `);
  });

  test('is made of kernels whose entry points are all written alike', () => {
    expect(entryPointOf(scaled)).toEqual({
      threads: 64,
      builtins: [
        { builtin: 'workgroup_id', name: 'w', type: 'vec3<u32>' },
        { builtin: 'num_workgroups', name: 'n', type: 'vec3<u32>' },
        { builtin: 'local_invocation_index', name: 'l', type: 'u32' },
      ],
    });
    expect(entryPointOf({ ...scaled, body: '@compute @workgroup_size(8, 8) fn main() {}' })).toBeUndefined();
  });

  test('counts the memory of a workgroup, as far as it can be seen', () => {
    expect(workgroupBytes(scaled.body)).toBe(256);
    expect(workgroupBytes('var<workgroup> a: array<vec4<f32>, 8>;\nvar<workgroup> b: u32;')).toBe(132);
    expect(workgroupBytes('var<workgroup> a: array<Pair, 8>;')).toBeUndefined();
  });
});
