import type { KernelBuffer, KernelCall, KernelContext, TensorType, WebGpuCapabilities } from '@heddle/tensor';
import { type DenseAttributes, sizesOf } from './dense-arguments.ts';
import { denseScores, type FunctionsInKernel, keyRange } from './dense-scores.wgsl.ts';
import { f32, lowest } from './flash-tile.wgsl.ts';
import { lowestScore } from './lowest-score.ts';

/** What the adapter multiplies at once: f16 by f16 into f32. */
interface Fragment {
  readonly M: number;
  readonly N: number;
  readonly K: number;
}

/** Keys of a tile, and subgroups of a workgroup. */
const [BN, subgroups] = [32, 4];
/** Fours of a row of the score tile, one of them against bank conflicts; a row of halves of the same bytes is a row of q. */
const rowFours = BN / 4 + 1;
/** Weights grow up to 2^8 before sums are scaled down anew: the probabilities in f16 bear it. */
const slack = 8;

/** The fragment with which the kernel can run; undefined where it cannot. */
export function matrixFragment(inputs: readonly TensorType[], capabilities: WebGpuCapabilities): Fragment | undefined {
  const { D } = sizesOf(inputs);
  const { subgroupMinSize, subgroupMaxSize, subgroupMatrices, subgroupId, maxWorkgroupStorageBytes } = capabilities;
  const halves = inputs.slice(0, 3).every(({ dtype }) => dtype === 'f16') && capabilities.shaderF16;
  // a lane is a row of the score tile, so the size of subgroups must be known
  if (!halves || !subgroupId || subgroupMinSize !== subgroupMaxSize || D % 32 !== 0 || D > 128) return undefined;
  if (workgroupBytes(D, subgroupMinSize) > maxWorkgroupStorageBytes) return undefined;
  return subgroupMatrices
    .filter(({ componentType, resultComponentType }) => componentType === 'f16' && resultComponentType === 'f32')
    .filter(({ M, N, K }) => subgroupMinSize % M === 0 && BN % N === 0 && BN % K === 0 && N % 8 === 0 && K % 8 === 0)
    .sort((a, b) => b.M * b.N * b.K - a.M * a.N * a.K)[0];
}

const workgroupBytes = (D: number, lanes: number) => 16 * (subgroups * lanes * rowFours + 2 * BN * (D / 8 + 1)) + 16;

/**
 * Dense attention in f16 by subgroup matrices, sums in f32: a subgroup takes as many queries of one head as it has lanes, four
 * subgroups share tiles of keys and values in workgroup memory. Fragments give no access to single values, so scores go
 * through workgroup memory, where each lane has a row; the sums of values stay in fragments and are scaled down only when a
 * row's maximum has grown by more than 2^8.
 */
export function attentionMatrix(
  context: KernelContext<DenseAttributes>,
  fragment: Fragment,
  functions: FunctionsInKernel | undefined,
): KernelCall {
  const { inputs, attributes, capabilities } = context;
  const { B, L, S, H, K, D } = sizesOf(inputs);
  const lanes = capabilities.subgroupMinSize;
  const threads = lanes * subgroups;
  const [rows, columns, steps, parts, inner] = [
    lanes / fragment.M,
    BN / fragment.N,
    D / fragment.K,
    D / fragment.N,
    BN / fragment.K,
  ];
  const tileFours = D / 8 + 1;
  const loads = Math.ceil((BN * D) / 8 / threads);
  const each = (count: number, text: (i: number) => string) =>
    Array.from({ length: count }, (_, i) => text(i)).join('\n');
  const left = `subgroup_matrix_left<f16, ${fragment.K}, ${fragment.M}>`;
  const right = `subgroup_matrix_right<f16, ${fragment.N}, ${fragment.K}>`;
  const result = `subgroup_matrix_result<f32, ${fragment.N}, ${fragment.M}>`;
  const row = (r: number) => `own + ${r * fragment.M * rowFours}u`;
  const log2e = f32(Math.LOG2E);
  const plain =
    !functions &&
    attributes.extras.every((name) => name === 'sinks' || name === 'dropoutKeys') &&
    attributes.window === undefined &&
    attributes.softcap === undefined;
  const buffers: KernelBuffer[] = [
    { name: 'q', input: 0, vector: 4 },
    { name: 'k', input: 1, vector: 4 },
    { name: 'v', input: 2, vector: 4 },
    ...inputs.slice(3).map(
      (_, i): KernelBuffer => ({
        name: attributes.extras[i] ?? `captured${i - attributes.extras.length}`,
        input: 3 + i,
      }),
    ),
    { name: 'out', output: 0, vector: 4 },
    { name: 'lse', output: 1 },
  ];
  /** A tile's fours of halves that this invocation brings: from memory into registers, and from there into the tile. */
  const fetch = (buffer: string, first: string) =>
    each(loads, (i) => {
      const x = `(local + ${i * threads}u)`;
      const guard = (BN * D) / 8 - i * threads < threads ? `if (${x} < ${(BN * D) / 8}u) ` : '';
      return `${guard}{
      let at = (key_base + min(${first} + ${x} / ${D / 8}u, params.S - 1u) * K) * ${D / 4}u + ${x} % ${D / 8}u * 2u;
      ${buffer}_next_${i} = vec4<u32>(bitcast<vec2<u32>>(${buffer}[at]), bitcast<vec2<u32>>(${buffer}[at + 1u]));
    }`;
    });
  const put = (buffer: string) =>
    each(loads, (i) => {
      const x = `(local + ${i * threads}u)`;
      const guard = (BN * D) / 8 - i * threads < threads ? `if (${x} < ${(BN * D) / 8}u) ` : '';
      return `${guard}{ ${buffer}_tile[${x} / ${D / 8}u * ${tileFours}u + ${x} % ${D / 8}u] = ${buffer}_next_${i}; }`;
    });
  /** Through workgroup memory, 32 columns at a time: what \`change\` makes of a row of the sums, in \`mine\`. */
  const throughRows = (change: (part: number) => string, back: boolean) =>
    each(D / BN, (part) => {
      const piece = (text: (r: number, c: number, at: string) => string) =>
        each(rows, (r) => each(columns, (c) => text(r, part * columns + c, `${row(r)} + ${(c * fragment.N) / 4}u`)));
      return `${piece((r, c, at) => `subgroupMatrixStore<row_major>(&s_tile, ${at}, o${r}_${c}, ${rowFours}u);`)}
    workgroupBarrier();
    ${change(part)}
    workgroupBarrier();
    ${back ? `${piece((r, c, at) => `o${r}_${c} = subgroupMatrixLoad<${result}, row_major>(&s_tile, ${at}, ${rowFours}u);`)}\n    workgroupBarrier();` : ''}`;
    });
  return {
    label: 'attention.matrix',
    buffers,
    parameters: { B, L, S },
    requires: ['f16', 'subgroups', 'chromium_experimental_subgroup_matrix'],
    body: `
const G = 1u;
const H = ${H}u;
const K = ${K}u;
var<private> batch: u32;
var<private> kv_head: u32;
var<workgroup> s_tile: array<vec4<u32>, ${threads * rowFours}>;
var<workgroup> k_tile: array<vec4<u32>, ${BN * tileFours}>;
var<workgroup> v_tile: array<vec4<u32>, ${BN * tileFours}>;
var<workgroup> grown: atomic<u32>;
var<workgroup> any_grown: u32;
${denseScores(inputs, attributes, functions)}

@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) w: vec3<u32>, @builtin(num_workgroups) n: vec3<u32>, @builtin(local_invocation_index) local: u32, @builtin(subgroup_id) subgroup: u32, @builtin(subgroup_invocation_id) lane: u32) {
  // with G = 1 the query's head is the workgroup's, and a query is a row
  batch = w.z;
  kv_head = w.y;
  let row_first = (n.x - 1u - w.x) * ${threads}u;
  let key_base = w.z * params.S * K + w.y / ${H / K}u;
  let own = subgroup * ${lanes * rowFours}u;
  let mine = own + lane * ${rowFours}u;
  let query_row = row_first + subgroup * ${lanes}u + lane;
  let query = query_of(min(query_row, params.L - 1u));
  ${keyRange(attributes, `min(row_first + ${threads - 1}u, params.L - 1u)`, 'row_first', threads)}
  ${each(steps / (64 / fragment.K) >= 1 ? Math.ceil(D / 64) : 1, (part) => {
    const width = Math.min(64, D);
    return `for (var c = 0u; c < ${width / 8}u; c++) {
    let at = ((w.z * params.L + min(query_row, params.L - 1u)) * H + w.y) * ${D / 4}u + ${part * 16}u + c * 2u;
    s_tile[mine + c] = vec4<u32>(bitcast<vec2<u32>>(q[at]), bitcast<vec2<u32>>(q[at + 1u]));
  }
  workgroupBarrier();
  ${each(rows, (r) => each(width / fragment.K, (s) => `let q${r}_${part * (64 / fragment.K) + s} = subgroupMatrixLoad<${left}, row_major>(&s_tile, ${row(r)} + ${(s * fragment.K) / 8}u, ${rowFours}u);`))}
  workgroupBarrier();`;
  })}
  ${each(rows, (r) => each(parts, (c) => `var o${r}_${c} = ${result}();`))}
  ${each(loads, (i) => `var k_next_${i}: vec4<u32>; var v_next_${i}: vec4<u32>;`)}
  var top = ${attributes.extras.includes('sinks') ? `sinks_at(w.y) * ${log2e}` : lowest};
  var total = ${attributes.extras.includes('sinks') ? '1.0' : '0.0'};
  var tiles = 0u;
  ${fetch('k', 'key_begin')}
  ${fetch('v', 'key_begin')}
  for (var key_first = key_begin; key_first < key_end; key_first += ${BN}u) {
    ${put('k')}
    ${put('v')}
    if (local == 0u) { atomicStore(&grown, 0u); }
    workgroupBarrier();
    if (key_first + ${BN}u < key_end) {
    ${fetch('k', `(key_first + ${BN}u)`)}
    ${fetch('v', `(key_first + ${BN}u)`)}
    }
    {
    ${each(rows, (r) => each(columns, (c) => `var s${r}_${c} = ${result}();`))}
    ${each(steps, (s) =>
      each(
        columns,
        (
          c,
        ) => `{ let b = subgroupMatrixLoad<${right}, col_major>(&k_tile, ${c * fragment.N * tileFours + (s * fragment.K) / 8}u, ${tileFours}u);
    ${each(rows, (r) => `s${r}_${c} = subgroupMatrixMultiplyAccumulate(q${r}_${s}, b, s${r}_${c});`)} }`,
      ),
    )}
    ${each(rows, (r) => each(columns, (c) => `subgroupMatrixStore<row_major>(&s_tile, ${row(r)} + ${(c * fragment.N) / 4}u, s${r}_${c}, ${rowFours}u);`))}
    }
    workgroupBarrier();
    ${
      plain
        ? `let free = key_first + ${BN}u <= params.S${attributes.causal ? ` && i32(key_first + ${BN}u) <= i32(row_first) + i32(params.S) - i32(params.L) + 1` : ''};
    if (!free) {`
        : '{'
    }
      for (var i = 0u; i < ${BN / 4}u; i++) {
        var four = bitcast<vec4<f32>>(s_tile[mine + i]);
        for (var j = 0u; j < 4u; j++) { four[j] = adjust(four[j], query, key_first + 4u * i + j); }
        s_tile[mine + i] = bitcast<vec4<u32>>(four);
      }
    }
    let unit = ${plain ? `select(${log2e}, ${f32(attributes.scale * Math.LOG2E)}, free)` : log2e};
    ${each(BN / 4, (i) => `var x${i} = bitcast<vec4<f32>>(s_tile[mine + ${i}u]) * unit;`)}
    var most = x0;
    ${each(BN / 4 - 1, (i) => `most = max(most, x${i + 1});`)}
    let highest = max(max(most.x, most.y), max(most.z, most.w));
    if (highest > top + ${f32(slack)}) { atomicStore(&grown, 1u); }
    workgroupBarrier();
    if (local == 0u) { any_grown = atomicLoad(&grown); }
    if (workgroupUniformLoad(&any_grown) != 0u) {
      let new_top = max(top, highest);
      let scale = exp2(top - new_top);
      top = new_top;
      total *= scale;
      if (tiles > 0u) {
    ${throughRows(() => `for (var i = 0u; i < ${BN / 4}u; i++) { s_tile[mine + i] = bitcast<vec4<u32>>(bitcast<vec4<f32>>(s_tile[mine + i]) * scale); }`, true)}
      }
    }
    tiles++;
    // where nothing was seen yet all scores are the lowest, and would weigh 1
    ${each(BN / 4, (i) => `x${i} = select(vec4<f32>(), exp2(x${i} - top), x${i} > vec4<f32>(${f32(lowestScore / 2)}));`)}
    let sum = ${Array.from({ length: BN / 4 }, (_, i) => `x${i}`).join(' + ')};
    total += sum.x + sum.y + sum.z + sum.w;
    ${attributes.dropout ? each(BN / 4, (i) => `x${i} *= dropout4(query, key_first / 4u + ${i}u);`) : ''}
    ${each(BN / 8, (i) => `s_tile[mine + ${i}u] = vec4<u32>(pack2x16float(x${2 * i}.xy), pack2x16float(x${2 * i}.zw), pack2x16float(x${2 * i + 1}.xy), pack2x16float(x${2 * i + 1}.zw));`)}
    workgroupBarrier();
    {
    ${each(
      inner,
      (s) => `{
    ${each(rows, (r) => `let p${r} = subgroupMatrixLoad<${left}, row_major>(&s_tile, ${row(r)} + ${(s * fragment.K) / 8}u, ${rowFours}u);`)}
    ${each(
      parts,
      (
        c,
      ) => `{ let b = subgroupMatrixLoad<${right}, row_major>(&v_tile, ${s * fragment.K * tileFours + (c * fragment.N) / 8}u, ${tileFours}u);
    ${each(rows, (r) => `o${r}_${c} = subgroupMatrixMultiplyAccumulate(p${r}, b, o${r}_${c});`)} }`,
    )}
    }`,
    )}
    }
    workgroupBarrier();
  }
  let inverse = select(0.0, 1.0 / total, total > 0.0);
  if (query_row < params.L) {
    lse_set((w.z * H + w.y) * params.L + query_row, select(${lowest}, top * ${f32(Math.LN2)} + log(total), total > 0.0));
  }
  ${throughRows(
    (part) => `if (query_row < params.L) {
      let at = ((w.z * params.L + query_row) * H + w.y) * ${D / 4}u + ${(part * BN) / 4}u;
      for (var i = 0u; i < ${BN / 4}u; i++) { out_set4(at + i, bitcast<vec4<f32>>(s_tile[mine + i]) * inverse); }
    }`,
    false,
  )}
}`,
    workgroups: (size) => [Math.ceil(size(L) / threads), H, size(B)],
  };
}
