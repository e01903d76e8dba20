import type { KernelBuffer, KernelCall, KernelContext, TensorType, WebGpuLowering } from '@heddle/tensor';
import { type DenseAttributes, sizesOf } from './dense-arguments.ts';
import { denseScores, keyRange, probabilityText, rowRange } from './dense-scores.wgsl.ts';
import {
  f32,
  forwardKeys,
  forwardQueries,
  tileMemory,
  tilePlaces,
  tileProduct,
  tileResults,
  tileStore,
  tileSum,
  tileSums,
} from './flash-tile.wgsl.ts';
import { headVector, loadHead4, storeHead4 } from './head-access.wgsl.ts';
import { denseGradientByMatrix } from './matrix/dense.ts';

/** Inputs as `dense-gradients.ts` says: those of the attention, then log-sum-exp, output gradient and delta. */
const supports =
  (outputs: number): NonNullable<Extract<WebGpuLowering<DenseAttributes>, { kernels: unknown }>['supports']> =>
  ({ inputs }, { shaderF16, maxStorageBuffers }) => {
    const oddHalves =
      inputs.slice(0, 3).some(({ dtype }) => dtype === 'f16') && !shaderF16 && sizesOf(inputs).D % 4 !== 0;
    return !oddHalves && inputs.length + outputs <= maxStorageBuffers;
  };

/** Gradient by q: as the forward kernel, over tiles of keys. */
export const queryGradientWebGpu: WebGpuLowering<DenseAttributes> = {
  supports: supports(1),
  kernels(context): readonly KernelCall[] {
    const { inputs, attributes } = context;
    const matrix = denseGradientByMatrix('query', context);
    if (matrix) return [matrix];
    const { B, L, S, H, K, D } = sizesOf(inputs);
    const { dropout } = attributes;
    const G = H / K;
    return [
      {
        label: 'attentionQueryGradient',
        buffers: [...gradientBuffers(inputs, attributes), { name: 'dq', output: 0, vector: headVector(D) }],
        parameters: { B, L, S },
        body: `
${gradientText(context)}
@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) w: vec3<u32>, @builtin(num_workgroups) n: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  batch = w.z;
  kv_head = w.y;
  let query_count = params.L * G;
  // the queries with most keys come first
  let query_first = (n.x - 1u - w.x) * ${forwardQueries}u;
  ${keyRange(attributes, `min(query_first + ${forwardQueries - 1}u, query_count - 1u) / G`, 'query_first / G')}
  ${tilePlaces(D)}
  ${[0, 1].map((r) => `let id_${r} = min(query_first + ty * 2u + ${r}u, query_count - 1u); let query_${r} = query_of(id_${r}); let lse_${r} = lse_at(place_of(id_${r})); let delta_${r} = delta_at(place_of(id_${r}));`).join('\n')}
  ${tileSums('o', D)}
  for (var key_first = key_begin; key_first < key_end; key_first += ${forwardKeys}u) {
    ${tileProduct('s', 'load_query4(min(query_first + x, query_count - 1u), @)', 'load_key4(key_first + x, @)', D)}
    ${tileProduct('d', 'load_gradient4(min(query_first + x, query_count - 1u), @)', 'load_value4(key_first + x, @)', D)}
    ${dropout ? [0, 1].map((r) => `let kept_${r} = dropout4(query_${r}, key_first / 4u + tx);`).join(' ') : ''}
    ${tileStore((r, i) => `probability(s${r}${i}, query_${r}, key_first + tx * 4u + ${i}u, lse_${r}) * (d${r}${i}${dropout ? ` * kept_${r}[${i}]` : ''} - delta_${r}) * slope(s${r}${i})`)}
    ${tileSum('o', 'load_key4(key_first + x, @)', D)}
  }
  ${tileResults('o', D, (row, c, value) => `if (query_first + ${row} < query_count) { let query = query_first + ${row}; ${storeHead4('dq', queryHead, c, value, D)} }`)}
}`,
        workgroups: (size) => [Math.ceil((size(L) * G) / forwardQueries), K, size(B)],
      },
    ];
  },
};

/** Gradients by k and v: a workgroup for a tile of keys, over tiles of the queries of each head of the group, without atomics. */
export const keyGradientWebGpu: WebGpuLowering<DenseAttributes> = {
  supports: supports(2),
  kernels(context): readonly KernelCall[] {
    const { inputs, attributes } = context;
    const matrix = denseGradientByMatrix('key', context);
    if (matrix) return [matrix];
    const { B, L, S, K, D } = sizesOf(inputs);
    const { dropout } = attributes;
    const vector = headVector(D);
    const kept = (r: number, i: number) => (dropout ? ` * kept_${i}[${r}]` : '');
    const query = 'min(row_first + x, params.L - 1u) * G + g';
    return [
      {
        label: 'attentionKeyGradient',
        buffers: [
          ...gradientBuffers(inputs, attributes),
          { name: 'dk', output: 0, vector },
          { name: 'dv', output: 1, vector },
        ],
        parameters: { B, L, S },
        body: `
${gradientText(context)}
@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) w: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  batch = w.z;
  kv_head = w.y;
  let key_first = w.x * ${forwardQueries}u;
  ${rowRange(attributes, 'key_first', forwardQueries)}
  ${tilePlaces(D)}
  ${tileSums('k', D)}
  ${tileSums('v', D)}
  for (var g = 0u; g < G; g++) {
    for (var row_first = row_begin; row_first < row_end; row_first += ${forwardKeys}u) {
      ${tileProduct('s', 'load_key4(key_first + x, @)', `load_query4(${query}, @)`, D)}
      ${tileProduct('d', 'load_value4(key_first + x, @)', `load_gradient4(${query}, @)`, D)}
      ${[0, 1, 2, 3]
        .map(
          (i) => `let row_${i} = row_first + tx * 4u + ${i}u;
      let id_${i} = min(row_${i}, params.L - 1u) * G + g; let query_${i} = query_of(id_${i}); let lse_${i} = lse_at(place_of(id_${i})); let delta_${i} = delta_at(place_of(id_${i}));
      ${dropout ? `let four_${i} = dropout4(query_${i}, (key_first + ty * 2u) / 4u); let kept_${i} = select(four_${i}.xy, four_${i}.zw, ty % 2u == 1u);` : ''}
      ${[0, 1].map((r) => `let p${r}${i} = select(0.0, probability(s${r}${i}, query_${i}, key_first + ty * 2u + ${r}u, lse_${i}), row_${i} < params.L);`).join('\n')}`,
        )
        .join('\n')}
      ${tileStore((r, i) => `p${r}${i}${kept(r, i)}`)}
      ${tileSum('v', `load_gradient4(${query}, @)`, D)}
      workgroupBarrier();
      ${tileStore((r, i) => `p${r}${i} * (d${r}${i}${kept(r, i)} - delta_${i}) * slope(s${r}${i})`)}
      ${tileSum('k', `load_query4(${query}, @)`, D)}
    }
  }
  ${(['k', 'v'] as const).map((name) => tileResults(name, D, (row, c, value) => `if (key_first + ${row} < params.S) { ${storeHead4(`d${name}`, `(batch * params.S + key_first + ${row}) * K + kv_head`, c, value, D)} }`)).join('\n')}
}`,
        workgroups: (size) => [Math.ceil(size(S) / forwardQueries), K, size(B)],
      },
    ];
  },
};

function gradientBuffers(inputs: readonly TensorType[], { extras }: DenseAttributes): KernelBuffer[] {
  const vector = headVector(sizesOf(inputs).D);
  const behind = 3 + extras.length;
  return [
    { name: 'q', input: 0, vector },
    { name: 'k', input: 1, vector },
    { name: 'v', input: 2, vector },
    // a sink takes its share of the log-sum-exp, and is not read again
    ...extras.flatMap((name, i): KernelBuffer[] => (name === 'sinks' ? [] : [{ name, input: 3 + i }])),
    { name: 'lse', input: behind },
    { name: 'gradient', input: behind + 1, vector },
    { name: 'delta', input: behind + 2 },
  ];
}

const queryHead = '(batch * params.L + query / G) * H + kv_head * G + query % G';

/** What both kernels have in front of `main`. */
function gradientText({ inputs, attributes }: KernelContext<DenseAttributes>): string {
  const { H, K, D } = sizesOf(inputs);
  const { scale, softcap } = attributes;
  const keyHead = '(batch * params.S + min(key, params.S - 1u)) * K + kv_head';
  return `
const G = ${H / K}u;
const H = ${H}u;
const K = ${K}u;
var<private> batch: u32;
var<private> kv_head: u32;
${tileMemory(D)}
${denseScores(inputs, attributes)}
${probabilityText}
fn load_query4(query: u32, c: u32) -> vec4<f32> { return ${loadHead4('q', queryHead, 'c', D)}; }
fn load_gradient4(query: u32, c: u32) -> vec4<f32> { return ${loadHead4('gradient', queryHead, 'c', D)}; }
fn load_key4(key: u32, c: u32) -> vec4<f32> { return ${loadHead4('k', keyHead, 'c', D)}; }
fn load_value4(key: u32, c: u32) -> vec4<f32> { return ${loadHead4('v', keyHead, 'c', D)}; }
/** Where a query's log-sum-exp and delta are. */
fn place_of(query: u32) -> u32 { return (batch * H + kv_head * G + query % G) * params.L + query / G; }
/** What a score's gradient is multiplied by on the way to the product of query and key. */
fn slope(product: f32) -> f32 {
  ${softcap === undefined ? `return ${f32(scale)};` : `let t = safe_tanh(product * ${f32(scale / softcap)});\n  return (1.0 - t * t) * ${f32(scale)};`}
}`;
}
