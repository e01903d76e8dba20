import { type Dim, multiplyDims } from '../../../dim.ts';
import { spreadWorkgroups } from '../../../executors/webgpu/workgroups.ts';
import type {
  KernelBuiltin,
  KernelCall,
  KernelNames,
  WebGpuCapabilities,
  WorkgroupArray,
} from '../../../graph/webgpu-lowering.ts';
import { sizeOf } from '../../../shape.ts';
import { matrixIndex } from '../batch.ts';
import { type MatmulSpec, productFlops, storeFunction } from '../spec.ts';
import { type GemvFusions, gemvLabel } from './fusions.ts';
import { gatedBuffers } from './gated-pair.ts';
import { leftBuffers, normFactor, squaresOf } from './rms-norm-prologue.ts';

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
  { norm, gated }: Partial<GemvFusions> = {},
): KernelCall {
  const { a, b, m, k, n } = spec;
  const batch = sizeOf(spec.batch);
  const parameters: Record<string, Dim> = { m, k, n, batch };
  const width = a.fours && b.fours && a.depthIsInner ? 4 : 1;
  const lanes = lanesFor(depth / width, gated !== undefined, capabilities);
  const each = (count: number, line: (i: number) => string) =>
    Array.from({ length: count }, (_, i) => line(i)).join('\n');
  const [ofA, ofB] = [matrixIndex(spec.batch, a.batch, parameters), matrixIndex(spec.batch, b.batch, parameters)];
  // sums of the product, of its gated, and of the squares of the row
  const sums = rows * columns + (gated ? columns : 0) + (norm ? 1 : 0);
  const team = teamSum(lanes, sums, capabilities);
  return {
    label: gemvLabel('matmul.rows', { norm, gated }),
    ...(gated && { also: gated.result }),
    flops: gated ? multiplyDims(productFlops(spec), 2) : productFlops(spec),
    buffers: [
      ...leftBuffers(a, norm, width),
      { name: 'b', ...b.source, vector: width },
      ...gatedBuffers(gated, 4),
      { name: 'y', output: 0, epilogue: true, vector: spec.store === 4 ? 4 : 1 },
    ],
    parameters,
    ignoresExtraWorkgroups: true,
    ...(capabilities.subgroupId ? { requires: ['subgroups'] } : {}),
    threads: lanes,
    builtins: team.builtins,
    workgroup: team.workgroup,
    write: (names) => {
      const { at, at4, size, own } = names;
      const aAt = (r: number) => {
        if (width === 4) return `${at4.a}((a0 + min(${r}u, last_row) * ${size.k}) / 4u + p)`;
        return a.depthIsInner
          ? `${at.a}(a0 + min(${r}u, last_row) * ${size.k} + p)`
          : `${at.a}(a0 + p * ${size.m} + min(${r}u, last_row))`;
      };
      const bAt = (c: number, name = 'b') =>
        width === 4
          ? `${at4[name]}((b0 + min(column + ${c}u, ${size.n} - 1u) * ${size.k}) / 4u + p)`
          : `${at[name]}(b0 + min(column + ${c}u, ${size.n} - 1u) * ${size.k} + p)`;
      const product = (r: number, c: number) => (width === 4 ? `dot(x${r}, w${c})` : `x${r} * w${c}`);
      const load = (r: number) =>
        norm
          ? `let row = ${aAt(r)}; sums[${sums - 1}] += ${squaresOf(norm, 'row', names)}; let x${r} = row * ${at4.gain}(p);`
          : `let x${r} = ${aAt(r)};`;
      const fourOf = (first: string, plus = 0) =>
        `vec4<f32>(${[0, 1, 2, 3].map((i) => `${own.total}(${first} + ${plus + i}u)`).join(', ')})`;
      const functions = [team.functions(names), storeFunction(spec, names, gated !== undefined)].join('\n');
      const main = `  let group = (w.z * n.y + w.y) * n.x + w.x;
  let blocks = (${size.n} + ${columns - 1}u) / ${columns}u;
  if (group >= blocks * ${size.batch}) { return; }
  let matrix = group / blocks;
  let column = group % blocks * ${columns}u;
  let last_row = ${size.m} - 1u;
  let a0 = ${ofA('matrix', names)} * ${size.m} * ${size.k};
  let b0 = ${ofB('matrix', names)} * ${size.n} * ${size.k};
  var sums: array<f32, ${sums}>;
  for (var p = l; p < ${size.k}${width === 4 ? ' / 4u' : ''}; p += ${lanes}u) {
${each(columns, (c) => `    let w${c} = ${bAt(c)};`)}
${gated ? each(columns, (c) => `    let t${c} = ${bAt(c, 'other')};`) : ''}
${each(rows, (r) => `    ${load(r)}\n${each(columns, (c) => `    sums[${r * columns + c}] += ${product(r, c)};`)}`)}
${gated ? each(columns, (c) => `    sums[${columns + c}] += dot(x0, t${c});`) : ''}
  }
${team.combine(names)}
  if (l < min(${size.m}, ${rows}u)) {
    let first = l * ${columns}u;
    let factor = ${norm ? normFactor(norm, `${own.total}(${sums - 1}u)`, names) : '1.0'};
    ${own.store}((matrix * ${size.m} + l) * ${size.n} + column, column, factor * ${fourOf('first')}${gated ? `, factor * ${fourOf('first', columns)}` : ''});
  }`;
      return { functions, main };
    },
    workgroups: (size) => spreadWorkgroups(Math.ceil(size(n) / columns) * size(batch)),
  };
}

/**
 * Enough lanes to keep memory busy, few enough that each has several values to read. On an H100, f16: [1, 8192] by [8192, 2048]
 * takes 1.5 us less with 256 lanes than with 128, two products of [1, 2048] by [2048, 8192] beside each other 2 us less with 64.
 */
function lanesFor(steps: number, isGated: boolean, { maxInvocations }: WebGpuCapabilities): number {
  for (const lanes of isGated ? [64] : steps >= 2048 ? [256, 128, 64] : [128, 64])
    if (steps >= 2 * lanes && lanes <= maxInvocations) return lanes;
  return 32;
}

/** How a workgroup adds up sums of its invocations: the function `total(i)` is one of them after `combine`. */
export interface TeamSum {
  readonly builtins: Readonly<Record<string, KernelBuiltin>>;
  readonly workgroup: Readonly<Record<string, WorkgroupArray>>;
  functions(names: KernelNames): string;
  combine(names: KernelNames): string;
}

export function teamSum(lanes: number, count: number, { subgroupId }: WebGpuCapabilities): TeamSum {
  const workgroup = { parts: { type: 'f32', length: lanes * count } } as const;
  const builtins = { w: 'workgroup_id', n: 'num_workgroups', l: 'local_invocation_index' } as const;
  if (subgroupId)
    return {
      builtins: { ...builtins, team: 'subgroup_id', team_count: 'num_subgroups' },
      workgroup,
      functions: ({ own, shared: { parts } }) => `var<private> ${own.teams}: u32;
fn ${own.total}(i: u32) -> f32 {
  var sum = 0.0;
  for (var team = 0u; team < ${own.teams}; team++) { sum += ${parts}[team * ${count}u + i]; }
  return sum;
}`,
      combine: ({ own, shared: { parts } }) => `  ${own.teams} = team_count;
  for (var i = 0u; i < ${count}u; i++) {
    let sum = subgroupAdd(sums[i]);
    if (subgroupElect()) { ${parts}[team * ${count}u + i] = sum; }
  }
  workgroupBarrier();`,
    };
  const halves = Array.from({ length: Math.log2(lanes) }, (_, i) => lanes >> (i + 1));
  return {
    builtins,
    workgroup,
    functions: ({ own, shared: { parts } }) => `fn ${own.total}(i: u32) -> f32 { return ${parts}[i]; }`,
    combine: ({
      shared: { parts },
    }) => `  for (var i = 0u; i < ${count}u; i++) { ${parts}[l * ${count}u + i] = sums[i]; }
${halves
  .map(
    (half) => `  workgroupBarrier();
  if (l < ${half}u) { for (var i = 0u; i < ${count}u; i++) { ${parts}[l * ${count}u + i] += ${parts}[(l + ${half}u) * ${count}u + i]; } }`,
  )
  .join('\n')}
  workgroupBarrier();`,
  };
}
