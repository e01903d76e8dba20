import type { Dim } from '../../../dim.ts';
import { spreadWorkgroups } from '../../../executors/webgpu/workgroups.ts';
import type { KernelCall } from '../../../graph/webgpu-lowering.ts';
import { sizeOf } from '../../../shape.ts';
import { matrixIndex } from '../batch.ts';
import { type MatmulSpec, storeFunction } from '../spec.ts';

/** Fours of columns, and pieces of the common axis, that a workgroup takes. */
const fours = 8;
const pieces = 32;

/**
 * A few rows times `b` `[k, n]`: an invocation goes down four columns of `b` with a piece of the common axis; the workgroup
 * adds the pieces. `rows` is how many rows of `a` there may be.
 */
export function matmulColumns(spec: MatmulSpec, rows: number): KernelCall {
  const { a, b, m, k, n } = spec;
  const batch = sizeOf(spec.batch);
  const parameters: Record<string, Dim> = { m, k, n, batch };
  const matrix = (own: MatmulSpec['a']) => matrixIndex('matrix', spec.batch, own.batch, parameters);
  const each = (line: (r: number) => string) => Array.from({ length: rows }, (_, r) => line(r)).join('\n');
  const aAt = (r: number) =>
    a.depthIsInner
      ? `a_at(a0 + min(${r}u, last_row) * params.k + p)`
      : `a_at(a0 + p * params.m + min(${r}u, last_row))`;
  const at = (j: number) => `b_at(b0 + p * params.n + min(column + ${j}u, params.n - 1u))`;
  const bAt = b.fours ? 'b_at4((b0 + p * params.n + column) / 4u)' : `vec4<f32>(${[0, 1, 2, 3].map(at).join(', ')})`;
  const halves = Array.from({ length: Math.log2(pieces) }, (_, i) => pieces >> (i + 1));
  return {
    label: 'matmul.columns',
    buffers: [
      { name: 'a', input: 0 },
      { name: 'b', input: 1, vector: b.fours ? 4 : 1 },
      { name: 'y', output: 0, epilogue: true, vector: spec.store === 4 ? 4 : 1 },
    ],
    parameters,
    ignoresExtraWorkgroups: true,
    body: `
var<workgroup> parts: array<vec4<f32>, ${fours * pieces}>;
${storeFunction(spec)}
@compute @workgroup_size(${fours * pieces})
fn main(@builtin(workgroup_id) w: vec3<u32>, @builtin(num_workgroups) n: vec3<u32>, @builtin(local_invocation_index) l: u32) {
  let group = (w.z * n.y + w.y) * n.x + w.x;
  let blocks = (params.n + ${4 * fours - 1}u) / ${4 * fours}u;
  if (group >= blocks * params.batch) { return; }
  let matrix = group / blocks;
  let column = (group % blocks * ${fours}u + l % ${fours}u) * 4u;
  let piece = l / ${fours}u;
  let last_row = params.m - 1u;
  let a0 = ${matrix(a)} * params.m * params.k;
  let b0 = ${matrix(b)} * params.n * params.k;
${each((r) => `  var sum${r} = vec4<f32>();`)}
  if (column < params.n) {
    for (var p = piece; p < params.k; p += ${pieces}u) {
      let v = ${bAt};
${each((r) => `      sum${r} += ${aAt(r)} * v;`)}
    }
  }
${each(
  (r) => `  workgroupBarrier();
  parts[l] = sum${r};
${halves
  .map(
    (half) => `  workgroupBarrier();
  if (piece < ${half}u) { parts[l] += parts[l + ${half * fours}u]; }`,
  )
  .join('\n')}
  if (piece == 0u && ${r}u < params.m) {
    store((matrix * params.m + ${r}u) * params.n + column, column, parts[l]);
  }`,
)}
}`,
    workgroups: (size) => spreadWorkgroups(Math.ceil(size(n) / (4 * fours)) * size(batch)),
  };
}
