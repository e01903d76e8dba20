import type { Dim } from '../../../dim.ts';
import { spreadWorkgroups } from '../../../executors/webgpu/workgroups.ts';
import type { KernelCall, WebGpuCapabilities } from '../../../graph/webgpu-lowering.ts';
import { sizeOf } from '../../../shape.ts';
import { matrixIndex } from '../batch.ts';
import { type MatmulSpec, storeFunction } from '../spec.ts';
import { labelOfRow, type OneRow } from './fusions.ts';
import { twinBuffers } from './gated-pair.ts';
import { leftBuffers, normFactor } from './rms-norm-prologue.ts';

/** Columns of the result that a workgroup computes: the rows of `a` are loaded once for all of them. */
const columns = 4;

/**
 * A few rows times `b` `[n, k]`, as in decoding: a workgroup goes along four rows of `b`, reading each value once, and sums
 * up what its invocations have. `rows` is how many rows of `a` there may be; one where it computes more than the product.
 */
export function matmulRows(
  spec: MatmulSpec,
  rows: number,
  depth: number,
  capabilities: WebGpuCapabilities,
  { norm, twin }: Partial<OneRow> = {},
): KernelCall {
  const { a, b, m, k, n } = spec;
  const batch = sizeOf(spec.batch);
  const parameters: Record<string, Dim> = { m, k, n, batch };
  const width = a.fours && b.fours && a.depthIsInner ? 4 : 1;
  const lanes = lanesFor(depth / width, twin !== undefined, capabilities);
  const each = (count: number, line: (i: number) => string) =>
    Array.from({ length: count }, (_, i) => line(i)).join('\n');
  const matrix = (own: MatmulSpec['a']) => matrixIndex('matrix', spec.batch, own.batch, parameters);
  const aAt = (r: number) => {
    if (width === 4) return `a_at4((a0 + min(${r}u, last_row) * params.k) / 4u + p)`;
    return a.depthIsInner
      ? `a_at(a0 + min(${r}u, last_row) * params.k + p)`
      : `a_at(a0 + p * params.m + min(${r}u, last_row))`;
  };
  const bAt = (c: number, name = 'b') =>
    width === 4
      ? `${name}_at4((b0 + min(column + ${c}u, params.n - 1u) * params.k) / 4u + p)`
      : `${name}_at(b0 + min(column + ${c}u, params.n - 1u) * params.k + p)`;
  const product = (r: number, c: number) => (width === 4 ? `dot(x${r}, w${c})` : `x${r} * w${c}`);
  // sums of the product, of its twin, and of the squares of the row
  const sums = rows * columns + (twin ? columns : 0) + (norm ? 1 : 0);
  const { declarations, builtins, combine } = teamSum(lanes, sums, capabilities);
  const load = (r: number) =>
    norm
      ? `let row = ${aAt(r)}; sums[${sums - 1}] += dot(row, row); let x${r} = row * gain_at4(p);`
      : `let x${r} = ${aAt(r)};`;
  const fourOf = (first: string, plus = 0) =>
    `vec4<f32>(${[0, 1, 2, 3].map((i) => `total(${first} + ${plus + i}u)`).join(', ')})`;
  return {
    label: labelOfRow('matmul.rows', { norm, twin }),
    ...(twin && { also: twin.result }),
    buffers: [
      ...leftBuffers(norm, width),
      { name: 'b', input: 1, vector: width },
      ...twinBuffers(twin, 4),
      { name: 'y', output: 0, epilogue: true, vector: spec.store === 4 ? 4 : 1 },
    ],
    parameters,
    ignoresExtraWorkgroups: true,
    ...(capabilities.subgroupId ? { requires: ['subgroups'] } : {}),
    body: `
${declarations}
${storeFunction(spec)}
@compute @workgroup_size(${lanes})
fn main(@builtin(workgroup_id) w: vec3<u32>, @builtin(num_workgroups) n: vec3<u32>, @builtin(local_invocation_index) l: u32${builtins}) {
  let group = (w.z * n.y + w.y) * n.x + w.x;
  let blocks = (params.n + ${columns - 1}u) / ${columns}u;
  if (group >= blocks * params.batch) { return; }
  let matrix = group / blocks;
  let column = group % blocks * ${columns}u;
  let last_row = params.m - 1u;
  let a0 = ${matrix(a)} * params.m * params.k;
  let b0 = ${matrix(b)} * params.n * params.k;
  var sums: array<f32, ${sums}>;
  for (var p = l; p < params.k${width === 4 ? ' / 4u' : ''}; p += ${lanes}u) {
${each(columns, (c) => `    let w${c} = ${bAt(c)};`)}
${twin ? each(columns, (c) => `    let t${c} = ${bAt(c, 'other')};`) : ''}
${each(rows, (r) => `    ${load(r)}\n${each(columns, (c) => `    sums[${r * columns + c}] += ${product(r, c)};`)}`)}
${twin ? each(columns, (c) => `    sums[${columns + c}] += dot(x0, t${c});`) : ''}
  }
${combine}
  if (l < min(params.m, ${rows}u)) {
    let first = l * ${columns}u;
    let factor = ${norm ? normFactor(norm, `total(${sums - 1}u)`) : '1.0'};
    ${twin ? `also = factor * ${fourOf('first', columns)};` : ''}
    store((matrix * params.m + l) * params.n + column, column, factor * ${fourOf('first')});
  }
}`,
    workgroups: (size) => spreadWorkgroups(Math.ceil(size(n) / columns) * size(batch)),
  };
}

/**
 * Enough lanes to keep memory busy, few enough that each has several values to read. On an H100, f16: [1, 8192] by [8192, 2048]
 * takes 1.5 us less with 256 lanes than with 128, two products of [1, 2048] by [2048, 8192] beside each other 2 us less with 64.
 */
function lanesFor(steps: number, isTwin: boolean, { maxInvocations }: WebGpuCapabilities): number {
  for (const lanes of isTwin ? [64] : steps >= 2048 ? [256, 128, 64] : [128, 64])
    if (steps >= 2 * lanes && lanes <= maxInvocations) return lanes;
  return 32;
}

/** How a workgroup adds up `count` sums of its invocations: `total(i)` is one of them after `combine`. */
export function teamSum(
  lanes: number,
  count: number,
  { subgroupId }: WebGpuCapabilities,
): { readonly declarations: string; readonly builtins: string; readonly combine: string } {
  if (subgroupId)
    return {
      declarations: `var<workgroup> parts: array<f32, ${lanes * count}>;
var<private> teams: u32;
fn total(i: u32) -> f32 {
  var sum = 0.0;
  for (var team = 0u; team < teams; team++) { sum += parts[team * ${count}u + i]; }
  return sum;
}`,
      builtins: ', @builtin(subgroup_id) team: u32, @builtin(num_subgroups) team_count: u32',
      combine: `  teams = team_count;
  for (var i = 0u; i < ${count}u; i++) {
    let sum = subgroupAdd(sums[i]);
    if (subgroupElect()) { parts[team * ${count}u + i] = sum; }
  }
  workgroupBarrier();`,
    };
  const halves = Array.from({ length: Math.log2(lanes) }, (_, i) => lanes >> (i + 1));
  return {
    declarations: `var<workgroup> parts: array<f32, ${lanes * count}>;
fn total(i: u32) -> f32 { return parts[i]; }`,
    builtins: '',
    combine: `  for (var i = 0u; i < ${count}u; i++) { parts[l * ${count}u + i] = sums[i]; }
${halves
  .map(
    (half) => `  workgroupBarrier();
  if (l < ${half}u) { for (var i = 0u; i < ${count}u; i++) { parts[l * ${count}u + i] += parts[(l + ${half}u) * ${count}u + i]; } }`,
  )
  .join('\n')}
  workgroupBarrier();`,
  };
}
