import { describe, expect, test } from 'vitest';
import { standardBuiltins } from './kernel-builder.ts';
import { type KernelPart, sharedKernel, workgroupBytes } from './shared-kernel.ts';

const scaled: KernelPart['kernel'] = {
  entry: { threads: 64, builtins: standardBuiltins },
  workgroup: { parts: { type: 'f32', length: 64 } },
  write: ({ at, set, size, own }) => ({
    functions: `struct ${own.Place} { b: u32, row: u32 }
const ${own.row} = 2.0f;
fn ${own.scale}(b: u32, place: ${own.Place}) -> f32 { return ${own.row} * ${at.b}(b + place.row + place.b); }`,
    main: `  let i = ((w.z * n.y + w.y) * n.x + w.x) * 64u + l;
  if (i < ${size.n}) { ${set.y}(i, ${own.scale}(i, ${own.Place}(i, 0u))); }`,
  }),
};
const counted: KernelPart['kernel'] = {
  entry: { threads: 64, builtins: { w: 'workgroup_id', team: 'subgroup_id' } },
  workgroup: { sums: { type: 'f32', length: 64 } },
  write: ({ set, shared: { sums } }) => ({ main: `  ${sums}[team] = 1.0; ${set.y}(w.x, ${sums}[team]);` }),
};
const parts: readonly KernelPart[] = [
  {
    kernel: scaled,
    buffers: new Map([
      ['b', 'buffer0'],
      ['y', 'buffer1'],
    ]),
    sizes: new Map([['n', 'size0']]),
  },
  { kernel: counted, buffers: new Map([['y', 'buffer2']]), sizes: new Map([['n', 'size1']]) },
];

describe('a kernel of several', () => {
  test('has what each takes, under names of its own', () => {
    const { entry, body, workgroup } = sharedKernel(parts);
    expect(entry).toEqual({
      threads: 64,
      builtins: {
        workgroup_id: 'workgroup_id',
        num_workgroups: 'num_workgroups',
        local_invocation_index: 'local_invocation_index',
        subgroup_id: 'subgroup_id',
      },
    });
    expect(workgroup).toEqual({ part0_parts: { type: 'f32', length: 64 } });
    expect(body.functions).toMatchInlineSnapshot(`
      "struct part0_Place { b: u32, row: u32 }
      const part0_row = 2.0f;
      fn part0_scale(b: u32, place: part0_Place) -> f32 { return part0_row * buffer0_at(b + place.row + place.b); }
      fn part0_main(w: vec3<u32>, n: vec3<u32>, l: u32) {
        let i = ((w.z * n.y + w.y) * n.x + w.x) * 64u + l;
        if (i < params.size0) { buffer1_set(i, part0_scale(i, part0_Place(i, 0u))); }
      }
      fn part1_main(w: vec3<u32>, team: u32) {
        part0_parts[team] = 1.0; buffer2_set(w.x, part0_parts[team]);
      }"
    `);
    expect(body.main).toMatchInlineSnapshot(`
      "  if (workgroup_id.z == 0u) { part0_main(vec3<u32>(workgroup_id.xy, 0u), vec3<u32>(num_workgroups.xy, 1u), local_invocation_index); }
        if (workgroup_id.z == 1u) { part1_main(vec3<u32>(workgroup_id.xy, 0u), subgroup_id); }"
    `);
  });

  test('knows which functions of buffers its parts call', () => {
    const { used } = sharedKernel(parts);
    expect([...used].map(([name, uses]) => [name, ...uses])).toEqual([
      ['buffer0', 'at'],
      ['buffer1', 'set'],
      ['buffer2', 'set'],
    ]);
  });

  test('has arrays of its own for those of other types and lengths', () => {
    const other = {
      ...counted,
      workgroup: { sums: { type: 'f32', length: 32 }, more: { type: 'f32', length: 64 } },
    } as const;
    const { workgroup } = sharedKernel([parts[0]!, { ...parts[1]!, kernel: other }]);
    expect(workgroup).toEqual({ part0_parts: { type: 'f32', length: 64 }, part1_sums: { type: 'f32', length: 32 } });
  });

  test('counts the memory of a workgroup', () => {
    expect(workgroupBytes(scaled.workgroup)).toBe(256);
    expect(workgroupBytes({ a: { type: 'vec4<f32>', length: 8 }, b: { type: 'u32', length: 1 } })).toBe(132);
    expect(workgroupBytes({})).toBe(0);
  });
});
