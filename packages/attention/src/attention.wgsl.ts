import type { Dim, KernelBuffer, KernelCall, Shape, WebGpuLowering } from '@heddle/tensor';
import { type DenseAttributes, extrasOf, sizesOf } from './dense-arguments.ts';
import { f32, forwardKeys, forwardQueries, forwardTile, lowest } from './flash-tile.wgsl.ts';
import { headVector, loadHead4, storeHead4 } from './head-access.wgsl.ts';

/** Dense attention with log-sum-exp: a workgroup for ${forwardQueries} queries of a key-value head's group. */
export const attentionWebGpu: WebGpuLowering<DenseAttributes> = {
  supports({ inputs, attributes }, { shaderF16, maxStorageBuffers }) {
    const oddHalves = inputs[0]!.dtype === 'f16' && !shaderF16 && sizesOf(inputs).D % 4 !== 0;
    return !oddHalves && 5 + attributes.extras.length <= maxStorageBuffers;
  },
  kernels({ inputs, attributes }): readonly KernelCall[] {
    const { B, L, S, H, K, D } = sizesOf(inputs);
    const G = H / K;
    const tile = forwardTile(D);
    const vector = headVector(D);
    const buffers: KernelBuffer[] = [
      { name: 'q', input: 0, vector },
      { name: 'k', input: 1, vector },
      { name: 'v', input: 2, vector },
      ...attributes.extras.map((name, i): KernelBuffer => ({ name, input: 3 + i })),
      { name: 'out', output: 0, vector },
      { name: 'lse', output: 1 },
    ];
    const head = 'kv_head * G + query % G';
    return [
      {
        label: 'attention',
        buffers,
        parameters: { B, L, S },
        body: `
const G = ${G}u;
const H = ${H}u;
const K = ${K}u;
var<private> batch: u32;
var<private> kv_head: u32;
${tile.declarations}
${denseScores(inputs, attributes)}
fn load_query4(query: u32, c: u32) -> vec4<f32> { return ${loadHead4('q', `(batch * params.L + query / G) * H + ${head}`, 'c', D)}; }
fn load_key4(key: u32, c: u32) -> vec4<f32> { return ${loadHead4('k', '(batch * params.S + min(key, params.S - 1u)) * K + kv_head', 'c', D)}; }
fn load_value4(key: u32, c: u32) -> vec4<f32> { return ${loadHead4('v', '(batch * params.S + min(key, params.S - 1u)) * K + kv_head', 'c', D)}; }
fn first_maximum(query: u32) -> f32 { return ${attributes.extras.includes('sinks') ? `sinks_at(${head})` : lowest}; }
fn first_sum(query: u32) -> f32 { return ${attributes.extras.includes('sinks') ? '1.0' : '0.0'}; }
fn store4(query: u32, c: u32, value: vec4<f32>) { ${storeHead4('out', `(batch * params.L + query / G) * H + ${head}`, 'c', 'value', D)} }
fn store_lse(query: u32, value: f32) { lse_set((batch * H + ${head}) * params.L + query / G, value); }

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) w: vec3<u32>, @builtin(num_workgroups) n: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  batch = w.z;
  kv_head = w.y;
  let query_count = params.L * G;
  // the queries with most keys come first
  let query_first = (n.x - 1u - w.x) * ${forwardQueries}u;
  ${keyRange(attributes, `min(query_first + ${forwardQueries - 1}u, query_count - 1u) / G`, 'query_first / G')}
  ${tile.begin}
  for (var key_first = key_begin; key_first < key_end; key_first += ${forwardKeys}u) ${tile.tile}
  ${tile.finish}
}`,
        workgroups: (size) => [Math.ceil((size(L) * G) / forwardQueries), K, size(B)],
      },
    ];
  },
};

/** WGSL of the keys that queries from row `first` to row `last` may see: `key_begin` and `key_end`. */
export function keyRange({ causal, window, keepFirst, extras }: DenseAttributes, last: string, first: string): string {
  const offset = 'i32(params.S) - i32(params.L)';
  const ends = [
    'i32(params.S)',
    ...(causal ? [`i32(${last}) + ${offset} + 1`] : []),
    ...(extras.includes('keyLengths') ? ['keyLengths_at(w.z)'] : []),
  ];
  const end = ends.reduce((a, b) => `min(${a}, ${b})`);
  const begin = window === undefined || keepFirst !== undefined ? '0' : `i32(${first}) + ${offset} - ${window - 1}`;
  return `let key_end = u32(max(${end}, 0));
  let key_begin = u32(max(${begin}, 0));`;
}

/** WGSL of `Query`, `query_of` and `adjust` of dense attention; uses `batch`, `kv_head`, H and G. */
export function denseScores(inputs: Parameters<typeof sizesOf>[0], attributes: DenseAttributes): string {
  const { scale, softcap, causal, window, keepFirst } = attributes;
  const { bias, mask, keyLengths, slopes } = extrasOf(inputs, attributes);
  const { B, L, S, H } = sizesOf(inputs);
  const at = (shape: Shape) => broadcastPlace(shape, [B, H, L, S], ['batch', 'query.head', 'query.row', 'key']);
  const rules = ['key < params.S'];
  if (causal) rules.push('back >= 0');
  if (window !== undefined)
    rules.push(keepFirst === undefined ? `back < ${window}` : `(back < ${window} || key < ${keepFirst}u)`);
  if (keyLengths) rules.push('i32(key) < keyLengths_at(batch)');
  return `
struct Query { row: u32, head: u32, position: i32 }
fn query_of(query: u32) -> Query {
  let row = query / G;
  return Query(row, kv_head * G + query % G, i32(row) + i32(params.S) - i32(params.L));
}
fn adjust(product: f32, query: Query, key: u32) -> f32 {
  let back = query.position - i32(key);
  if (!(${rules.join(' && ')})) { return ${lowest}; }
  ${mask ? `if (mask_at(${at(mask.shape)}) == 0u) { return ${lowest}; }` : ''}
  var score = product * ${f32(scale)};
  ${softcap === undefined ? '' : `score = ${f32(softcap)} * safe_tanh(score / ${f32(softcap)});`}
  ${slopes ? 'score -= slopes_at(query.head) * f32(abs(back));' : ''}
  ${bias ? `score += bias_at(${at(bias.shape)});` : ''}
  return score;
}`;
}

/** The position in a tensor of `shape` of the value that broadcasts to `coordinates` of `full`. */
function broadcastPlace(shape: Shape, full: readonly Dim[], coordinates: readonly string[]): string {
  const names = ['params.B', 'H', 'params.L', 'params.S'];
  let place = '0u';
  shape.forEach((dim, i) => {
    const axis = full.length - shape.length + i;
    if (dim !== 1) place = place === '0u' ? coordinates[axis]! : `((${place}) * ${names[axis]} + ${coordinates[axis]})`;
  });
  return place;
}
