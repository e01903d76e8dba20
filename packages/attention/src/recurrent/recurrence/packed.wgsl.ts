import {
  type KernelBuffer,
  type KernelCall,
  multiplyDims,
  spreadWorkgroups,
  type WebGpuCapabilities,
  type WebGpuLowering,
} from '@heddle/tensor';
import { checkRecurrence, named, type RecurrenceAttributes } from './attributes.ts';
import { stagedRecurrence, stagedRows } from './staged.wgsl.ts';

/** Columns of a state that a workgroup has. */
const columns = 32;
/** Vectors of four values of a column that an invocation may hold. */
const maxVectors = 16;

/** How the rows of a state's column are divided among invocations: each has `vectors` of four of them. */
function division(Dk: number, { maxInvocations }: WebGpuCapabilities) {
  const parts = Dk > 128 && maxInvocations >= 8 * columns ? 8 : 4;
  return { parts, vectors: Math.ceil(Dk / (4 * parts)) };
}

/**
 * A workgroup for 32 columns of the state of one head of one sequence: it holds them in registers, and goes through the rows of the
 * sequence. One is started for each row; those of rows that do not begin a sequence end at once.
 */
export const packedRecurrenceWebGpu: WebGpuLowering<RecurrenceAttributes> = {
  supports({ inputs, attributes }, capabilities) {
    const { q, pool } = named(inputs, attributes);
    const { vectors } = division(q.shape[2] as number, capabilities);
    return vectors <= maxVectors && (pool ? 9 : 8) <= capabilities.maxStorageBuffers;
  },
  kernels({ inputs, outputs, attributes, capabilities, bound }) {
    const types = named(inputs, attributes);
    const sizes = checkRecurrence('packedLinearRecurrence', types, 1);
    const { K, H, Dk, Dv } = sizes;
    const { parts, vectors } = division(Dk, capabilities);
    const staged = stagedRows(bound(types.v.shape[0]!), sizes, { parts, vectors }, capabilities);
    if (staged !== undefined)
      return [stagedRecurrence(types, attributes, sizes, { parts, vectors, staged, hasStates: outputs.length > 1 })];
    const [threads, padded] = [columns * parts, 4 * vectors * parts];
    const [T, slices] = [types.v.shape[0]!, Math.ceil(Dv / columns)];
    const isDelta = attributes.rule === 'delta';
    const buffer = (name: (typeof attributes.inputs)[number]): KernelBuffer => ({
      name,
      input: attributes.inputs.indexOf(name),
    });
    const hasStates = outputs.length > 1;
    const of = (count: number, write: (i: number) => string) =>
      Array.from({ length: count }, (_, i) => write(i)).join('\n');
    const items = multiplyDims(T, H * slices);
    const call: KernelCall = {
      label: 'packedLinearRecurrence',
      buffers: [
        ...(['q', 'k', 'v', 'decay', ...(isDelta ? (['beta'] as const) : []), 'plan'] as const).map(buffer),
        ...(types.pool ? [buffer('pool')] : []),
        { name: 'out', output: 0, epilogue: true },
        ...(hasStates ? [{ name: 'states', output: 1 }] : []),
      ],
      parameters: { T, items },
      threads,
      workgroup: {
        keys: { type: 'vec4<f32>', length: padded / 4 },
        queries: { type: 'vec4<f32>', length: padded / 4 },
        sums: { type: 'f32', length: 3 * threads },
      },
      flops: multiplyDims(T, 2 * H * Dk * Dv * (isDelta ? 4 : 3)),
      write: ({ at, set, size, prelude, shared: { keys, queries, sums } }) => {
        const element = (i: number, c: number) => `(part * ${4 * vectors}u + ${4 * i + c}u)`;
        const place = (base: string, i: number, c: number) => `(${base} + ${element(i, c)} * ${Dv}u + column)`;
        const each = (write: (i: number, c: number, name: string) => string) =>
          of(vectors * 4, (n) => write(Math.floor(n / 4), n % 4, `s${Math.floor(n / 4)}[${n % 4}]`));
        const save = (row: string, value: (name: string) => string) =>
          hasStates
            ? `
    // in ascending order, whatever the plan holds
    var last = -1;
    for (var save = ${at.plan}(2u * ${size.T} + ${row}); save > last; save = ${at.plan}(3u * ${size.T} + u32(save))) {
      last = save;
      let base = (u32(save) * ${H}u + head) * ${Dk * Dv}u;
      if (column < ${Dv}u) {
${each((i, c, name) => `        if (${element(i, c)} < ${Dk}u) { ${set.states}(${place('base', i, c)}, ${value(name)}); }`)}
      }
    }`
            : '';
        const total = (which: number) =>
          Array.from({ length: parts }, (_, p) => `${sums}[${which * threads + p * columns}u + l % ${columns}u]`).join(
            ' + ',
          );
        const load = (array: string, from: string) => `
      for (var j = l; j < ${padded / 4}u; j += ${threads}u) {
        var four = vec4<f32>();
        let base = (i * ${K}u + head / ${H / K}u) * ${Dk}u;
${of(4, (c) => `        if (4u * j + ${c}u < ${Dk}u) { four[${c}] = ${from}(base + 4u * j + ${c}u); }`)}
        ${array}[j] = four;
      }`;
        return {
          main: `  let item = (w.z * n.y + w.y) * n.x + w.x;
  if (item >= ${size.items}) { return; }
  let head = (item / ${slices}u) % ${H}u;
  let row = item / ${slices * H}u;
  let column = (item % ${slices}u) * ${columns}u + l % ${columns}u;
  let part = l / ${columns}u;
  let isShown = part == 0u && column < ${Dv}u;
${of(vectors, (i) => `  var s${i} = vec4<f32>();`)}
  let own = ${at.plan}(row);
  if (own < 0) {
    if (isShown) { ${set.out}((row * ${H}u + head) * ${Dv}u + column, 0.0); }${save('row', () => '0.0')}
    return;
  }
  var earlier = i32(row) - 1;
  while (earlier >= 0) {
    if (${at.plan}(u32(earlier)) >= 0) { break; }
    earlier -= 1;
  }
  if (earlier >= 0) {
    if (${at.plan}(u32(earlier)) == own) { return; }
  }
${
  types.pool
    ? `  let slot = ${at.plan}(${size.T} + row);
  if (slot >= 0 && column < ${Dv}u) {
    let base = (u32(slot) * ${H}u + head) * ${Dk * Dv}u;
${each((i, c, name) => `    if (${element(i, c)} < ${Dk}u) { ${name} = ${at.pool}(${place('base', i, c)}); }`)}
  }`
    : ''
}
  for (var i = row; i < ${size.T}; i++) {
    let sequence = ${at.plan}(i);
    if (sequence >= 0) {
      if (sequence != own) { break; }
${load(keys!, at.k!)}${load(queries!, at.q!)}
      let gate = i * ${H}u + head;
      let factor = ${prelude.safe_exp}(${at.decay}(gate));
      var value = 0.0;
      if (column < ${Dv}u) { value = ${at.v}(gate * ${Dv}u + column); }
      workgroupBarrier();
      let first = part * ${vectors}u;
      var held = 0.0;
      var seen = 0.0;
      var both = 0.0;
${of(
  vectors,
  (j) => `      let k${j} = ${keys}[first + ${j}u];
      let q${j} = ${queries}[first + ${j}u];
      held += dot(k${j}, s${j});
      seen += dot(q${j}, s${j});
      both += dot(q${j}, k${j});`,
)}
      ${sums}[l] = held;
      ${sums}[${threads}u + l] = seen;
      ${sums}[${2 * threads}u + l] = both;
      workgroupBarrier();
      let taken = ${isDelta ? `(value - factor * (${total(0)})) * ${at.beta}(gate)` : 'value'};
      if (isShown) {
        ${set.out}(gate * ${Dv}u + column, factor * (${total(1)}) + (${total(2)}) * taken);
      }
${of(vectors, (j) => `      s${j} = factor * s${j} + k${j} * taken;`)}${save('i', (name) => name)}
    }
  }`,
        };
      },
      workgroups: (size) => spreadWorkgroups(size(items)),
    };
    return [call];
  },
};
