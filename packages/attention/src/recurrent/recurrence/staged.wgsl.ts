import {
  type KernelBuffer,
  type KernelCall,
  multiplyDims,
  spreadWorkgroups,
  type TensorType,
  type WebGpuCapabilities,
} from '@heddle/tensor';
import type { Named, RecurrenceAttributes, RecurrenceSizes } from './attributes.ts';

/** Columns of a state that a workgroup has. */
const columns = 32;
/** Rows of a step from which on sequences are taken to have many each. */
const fromRows = 128;
/** What a workgroup may hold of its rows. */
const stageBytes = 15_360;

/** How many rows are loaded at once; undefined where rows one by one are the only way, or faster. */
export function stagedRows(
  rows: number,
  { Dk }: RecurrenceSizes,
  { parts, vectors }: { readonly parts: number; readonly vectors: number },
  { subgroupId, subgroupMinSize }: WebGpuCapabilities,
): number | undefined {
  if (rows < fromRows || Dk % 4 !== 0 || !subgroupId || subgroupMinSize < parts) return undefined;
  const perRow = 2 * 16 * vectors * parts + 4 * columns + 8;
  return [16, 8, 4].find((count) => count * perRow <= stageBytes);
}

/**
 * The recurrence for sequences of many rows: as `packed.wgsl.ts`, but several rows are loaded into workgroup memory at once, and the
 * invocations that share a column are neighbours in a subgroup, which sum up what they have without waiting for the others.
 */
export function stagedRecurrence(
  types: Named<TensorType>,
  attributes: RecurrenceAttributes,
  { K, H, Dk, Dv }: RecurrenceSizes,
  division: { readonly parts: number; readonly vectors: number; readonly staged: number; readonly hasStates: boolean },
): KernelCall {
  const { parts, vectors, staged: R, hasStates } = division;
  const [threads, fours] = [columns * parts, vectors * parts];
  const [T, slices] = [types.v.shape[0]!, Math.ceil(Dv / columns)];
  const isDelta = attributes.rule === 'delta';
  const items = multiplyDims(T, H * slices);
  const buffer = (name: (typeof attributes.inputs)[number], vector: 1 | 4 = 1): KernelBuffer => ({
    name,
    input: attributes.inputs.indexOf(name),
    vector,
  });
  const of = (count: number, write: (i: number) => string) =>
    Array.from({ length: count }, (_, i) => write(i)).join('\n');
  const summed = (name: string) =>
    [1, 2, 4]
      .filter((distance) => distance < parts)
      .map((distance) => `      ${name} += subgroupShuffleXor(${name}, ${distance}u);`)
      .join('\n');
  return {
    label: 'packedLinearRecurrence.staged',
    buffers: [
      buffer('q', 4),
      buffer('k', 4),
      ...(['v', 'decay', ...(isDelta ? (['beta'] as const) : []), 'plan'] as const).map((name) => buffer(name)),
      ...(types.pool ? [buffer('pool')] : []),
      { name: 'out', output: 0, epilogue: true },
      ...(hasStates ? [{ name: 'states', output: 1 }] : []),
    ],
    parameters: { T, items },
    requires: ['subgroups'],
    threads,
    builtins: {
      w: 'workgroup_id',
      n: 'num_workgroups',
      l: 'local_invocation_index',
      subgroup: 'subgroup_id',
      subgroups: 'num_subgroups',
      within: 'subgroup_invocation_id',
    },
    workgroup: {
      keys: { type: 'vec4<f32>', length: R * fours },
      queries: { type: 'vec4<f32>', length: R * fours },
      values: { type: 'f32', length: R * columns },
      gates: { type: 'vec2<f32>', length: R },
    },
    flops: multiplyDims(T, 2 * H * Dk * Dv * (isDelta ? 4 : 3)),
    write: ({ at, at4, set, size, prelude, shared: { keys, queries, values, gates } }) => {
      const element = (i: number, c: number) => `(part * ${4 * vectors}u + ${4 * i + c}u)`;
      const each = (write: (place: string, inside: string, name: string) => string) =>
        of(vectors * 4, (n) => {
          const [i, c] = [Math.floor(n / 4), n % 4];
          return write(`(base + ${element(i, c)} * ${Dv}u + column)`, `${element(i, c)} < ${Dk}u`, `s${i}[${c}]`);
        });
      const save = (row: string, value: (name: string) => string) =>
        hasStates
          ? `
    // in ascending order, whatever the plan holds
    var last = -1;
    for (var save = ${at.plan}(2u * ${size.T} + ${row}); save > last; save = ${at.plan}(3u * ${size.T} + u32(save))) {
      last = save;
      let base = (u32(save) * ${H}u + head) * ${Dk * Dv}u;
      if (column < ${Dv}u) {
${each((place, inside, name) => `        if (${inside}) { ${set.states}(${place}, ${value(name)}); }`)}
      }
    }`
          : '';
      const load = (array: string, name: 'q' | 'k') => `
    for (var j = l; j < limit * ${fours}u; j += ${threads}u) {
      let i = start + j / ${fours}u;
      let e = j % ${fours}u;
      var four = vec4<f32>();
      if (e < ${Dk / 4}u) { four = ${at4[name]}((i * ${K}u + head / ${H / K}u) * ${Dk / 4}u + e); }
      ${array}[j] = four;
    }`;
      return {
        main: `  let item = (w.z * n.y + w.y) * n.x + w.x;
  if (item >= ${size.items}) { return; }
  let head = (item / ${slices}u) % ${H}u;
  let row = item / ${slices * H}u;
  // those of a column are neighbours in a subgroup, whatever its size
  let lane = subgroup * (${threads}u / subgroups) + within;
  let part = lane % ${parts}u;
  let ownColumn = lane / ${parts}u;
  let firstColumn = (item % ${slices}u) * ${columns}u;
  let column = firstColumn + ownColumn;
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
${each((place, inside, name) => `    if (${inside}) { ${name} = ${at.pool}(${place}); }`)}
  }`
    : ''
}
  for (var start = row; start < ${size.T}; start += ${R}u) {
    // those up to the next sequence
    var limit = 0u;
    while (limit < ${R}u && start + limit < ${size.T}) {
      let ahead = ${at.plan}(start + limit);
      if (ahead >= 0 && ahead != own) { break; }
      limit++;
    }
    workgroupBarrier();${load(keys!, 'k')}${load(queries!, 'q')}
    for (var j = l; j < limit * ${columns}u; j += ${threads}u) {
      let i = start + j / ${columns}u;
      let c = firstColumn + j % ${columns}u;
      var value = 0.0;
      if (c < ${Dv}u) { value = ${at.v}((i * ${H}u + head) * ${Dv}u + c); }
      ${values}[j] = value;
    }
    if (l < limit) {
      let gate = (start + l) * ${H}u + head;
      ${gates}[l] = vec2<f32>(${prelude.safe_exp}(${at.decay}(gate)), ${isDelta ? `${at.beta}(gate)` : '1.0'});
    }
    workgroupBarrier();
    for (var r = 0u; r < limit; r++) {
      let i = start + r;
      if (${at.plan}(i) < 0) { continue; }
      let factor = ${gates}[r].x;
      let value = ${values}[r * ${columns}u + ownColumn];
      let first = r * ${fours}u + part * ${vectors}u;
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
${isDelta ? summed('held') : ''}
${summed('seen')}
${summed('both')}
      let taken = ${isDelta ? `(value - factor * held) * ${gates}[r].y` : 'value'};
      if (isShown) { ${set.out}((i * ${H}u + head) * ${Dv}u + column, factor * seen + both * taken); }
${of(vectors, (j) => `      s${j} = factor * s${j} + k${j} * taken;`)}${save('i', (name) => name)}
    }
    if (limit < ${R}u) { break; }
  }`,
      };
    },
    workgroups: (size) => spreadWorkgroups(size(items)),
  };
}
