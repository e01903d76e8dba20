import type { Dim } from '../../../dim.ts';
import { spreadWorkgroups } from '../../../executors/webgpu/workgroups.ts';
import type { KernelCall } from '../../../graph/webgpu-lowering.ts';
import { sizeOf } from '../../../shape.ts';
import { matrixIndex } from '../batch.ts';
import { type MatmulSpec, productFlops, storeFunction } from '../spec.ts';

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
  const [ofA, ofB] = [matrixIndex(spec.batch, a.batch, parameters), matrixIndex(spec.batch, b.batch, parameters)];
  const each = (line: (r: number) => string) => Array.from({ length: rows }, (_, r) => line(r)).join('\n');
  const halves = Array.from({ length: Math.log2(pieces) }, (_, i) => pieces >> (i + 1));
  return {
    label: 'matmul.columns',
    buffers: [
      { name: 'a', ...a.source },
      { name: 'b', ...b.source, vector: b.fours ? 4 : 1 },
      { name: 'y', output: 0, epilogue: true, vector: spec.store === 4 ? 4 : 1 },
    ],
    parameters,
    ignoresExtraWorkgroups: true,
    flops: productFlops(spec),
    threads: fours * pieces,
    workgroup: { parts: { type: 'vec4<f32>', length: fours * pieces } },
    write: (names) => {
      const {
        at,
        at4,
        size,
        own,
        shared: { parts },
      } = names;
      const aAt = (r: number) =>
        a.depthIsInner
          ? `${at.a}(a0 + min(${r}u, last_row) * ${size.k} + p)`
          : `${at.a}(a0 + p * ${size.m} + min(${r}u, last_row))`;
      const bSingle = (j: number) => `${at.b}(b0 + p * ${size.n} + min(column + ${j}u, ${size.n} - 1u))`;
      const bAt = b.fours
        ? `${at4.b}((b0 + p * ${size.n} + column) / 4u)`
        : `vec4<f32>(${[0, 1, 2, 3].map(bSingle).join(', ')})`;
      const main = `  let group = (w.z * n.y + w.y) * n.x + w.x;
  let blocks = (${size.n} + ${4 * fours - 1}u) / ${4 * fours}u;
  if (group >= blocks * ${size.batch}) { return; }
  let matrix = group / blocks;
  let column = (group % blocks * ${fours}u + l % ${fours}u) * 4u;
  let piece = l / ${fours}u;
  let last_row = ${size.m} - 1u;
  let a0 = ${ofA('matrix', names)} * ${size.m} * ${size.k};
  let b0 = ${ofB('matrix', names)} * ${size.n} * ${size.k};
${each((r) => `  var sum${r} = vec4<f32>();`)}
  if (column < ${size.n}) {
    for (var p = piece; p < ${size.k}; p += ${pieces}u) {
      let v = ${bAt};
${each((r) => `      sum${r} += ${aAt(r)} * v;`)}
    }
  }
${each(
  (r) => `  workgroupBarrier();
  ${parts}[l] = sum${r};
${halves
  .map(
    (half) => `  workgroupBarrier();
  if (piece < ${half}u) { ${parts}[l] += ${parts}[l + ${half * fours}u]; }`,
  )
  .join('\n')}
  if (piece == 0u && ${r}u < ${size.m}) {
    ${own.store}((matrix * ${size.m} + ${r}u) * ${size.n} + column, column, ${parts}[l]);
  }`,
)}`;
      return { functions: storeFunction(spec, names), main };
    },
    workgroups: (size) => spreadWorkgroups(Math.ceil(size(n) / (4 * fours)) * size(batch)),
  };
}
