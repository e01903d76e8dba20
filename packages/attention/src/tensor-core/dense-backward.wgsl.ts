import type {
  KernelBody,
  KernelBuffer,
  KernelCall,
  KernelContext,
  KernelNames,
  MatrixFragment,
  TensorType,
} from '@heddle/tensor';
import { type DenseAttributes, sizesOf } from '../dense/arguments.ts';
import {
  denseScores,
  hasSlope,
  isRescored,
  keyRange,
  rowRange,
  seenByPlace,
  statisticsText,
} from '../dense/wgsl/scores.wgsl.ts';
import { segmentMemoryOf } from '../dense/wgsl/segments.wgsl.ts';
import { type BlocksInKernel, blocksInKernel } from '../flex/block-mask.wgsl.ts';
import { extraBuffers, type FunctionsInKernel } from '../flex/emit.wgsl.ts';
import { gridOf, gridPlace, subgroupBuiltins } from '../tiles/grid.wgsl.ts';
import { f32 } from '../tiles/score.wgsl.ts';
import { gradientText } from './backward.wgsl.ts';
import { type GradientHooks, type GradientTile, gradientMemory, gradientSizes } from './gradient-tile.ts';
import { advancing, type MatrixKernelText } from './load-tile.ts';

/** Inputs as `../dense-gradients.ts` says. */
function gradientBuffers(
  inputs: readonly TensorType[],
  attributes: DenseAttributes,
  blocks: BlocksInKernel | undefined,
): KernelBuffer[] {
  const behind = inputs.length - 2;
  return [
    { name: 'q', input: 0, vector: 8 },
    { name: 'k', input: 1, vector: 8 },
    { name: 'v', input: 2, vector: 8 },
    ...extraBuffers(inputs.slice(0, behind), attributes).filter(({ name }) => name !== 'sinks'),
    ...(blocks ? [blocks.buffer] : []),
    { name: 'gradient', input: behind, vector: 8 },
    { name: 'statistics', input: behind + 1 },
  ];
}

/** How a kernel makes scores of products; `place` gives query and key of row `x` of the present tile, in WGSL, `placeOfSeen` those that exist. */
function scoring(
  attributes: DenseAttributes,
  functions: FunctionsInKernel | undefined,
  blocks: BlocksInKernel | undefined,
  free: { readonly present: readonly string[]; readonly next: readonly string[] },
  place: (x: string) => string,
  placeOfSeen = place,
): Pick<GradientHooks, 'free' | 'nextAllFree' | 'scale' | 'rescored' | 'sloped' | 'adjust' | 'change'> {
  const sloped = hasSlope(attributes, functions);
  const byPlace = seenByPlace(attributes, functions, blocks !== undefined);
  const [adjust, change] = sloped ? ['adjust_and_slope', 'score_and_slope_of_seen'] : ['adjust', 'score_of_seen'];
  return {
    free: byPlace ? free.present.join(' && ') || 'true' : 'false',
    // a score function hides keys by minus infinity wherever it likes
    nextAllFree: byPlace && !functions?.traced.score ? free.next.join(' && ') || 'true' : 'false',
    scale: attributes.scale,
    rescored: isRescored(attributes, functions),
    sloped,
    adjust: (product, x) => `${adjust}(${product}, ${place(x)})`,
    ...(byPlace && isRescored(attributes, functions)
      ? { change: (product: string, x: string) => `${change}(${product}, ${placeOfSeen(x)})` }
      : {}),
  };
}

const offsetOf = ({ size }: KernelNames) => `i32(${size.S}) - i32(${size.L})`;

/** The text of a kernel whose `main` begins with `places`. */
function kernelText(
  names: KernelNames,
  { inputs, attributes }: KernelContext<DenseAttributes>,
  own: FunctionsInKernel | undefined,
  blocks: BlocksInKernel | undefined,
  text: MatrixKernelText,
  place: string,
  places: string,
): KernelBody {
  const { H, K } = sizesOf(inputs);
  const functions = `const G = ${H / K}u;
const H = ${H}u;
const K = ${K}u;
var<private> batch: u32;
var<private> kv_head: u32;
struct Tile { first: u32, head: u32, seen: i32 }
${text.functions}
${denseScores(names, inputs, attributes, own)}
${statisticsText(names)}
${blocks?.text(names) ?? ''}`;
  const main = `  ${place}
  batch = w.z;
  ${places}
  ${text.begin}
  ${text.loop}
  ${text.finish}`;
  return { functions, main };
}

const requires = ['f16', 'subgroups', 'chromium_experimental_subgroup_matrix'];

/** Gradient with respect to q: a workgroup takes queries of one head, over tiles of keys. */
export function queryGradientMatrix(
  context: KernelContext<DenseAttributes>,
  functions: FunctionsInKernel | undefined,
  fragment: MatrixFragment,
  tile: GradientTile,
): KernelCall {
  const { inputs, attributes } = context;
  const blocks = blocksInKernel(context, 1);
  const { B, L, S, H, D } = sizesOf(inputs);
  const { causal, window, extras, scale } = attributes;
  const { own, threads, rows } = gradientSizes(tile, fragment);
  return {
    label: 'attentionQueryGradient.matrix',
    buffers: [...gradientBuffers(inputs, attributes, blocks), { name: 'dq', output: 0, vector: 4 }],
    parameters: { B, L, S },
    requires,
    threads,
    builtins: subgroupBuiltins,
    workgroup: {
      ...gradientMemory(D, tile, fragment, { of: 'query', rescored: isRescored(attributes, functions) }),
      ...segmentMemoryOf(attributes),
    },
    write: (names) => {
      const { at, set4, size } = names;
      const offset = offsetOf(names);
      /** Whether the keys of a tile are seen by all of the `count` queries whose first stands at `position`. */
      const freeFor = (of: 'tile' | 'next', position: string, count: number) => {
        const end = `i32(${of}.first + ${tile.others}u)`;
        return [
          `${end} <= i32(${size.S})`,
          ...(causal ? [`${end} <= ${position} + 1`] : []),
          ...(window === undefined ? [] : [`i32(${of}.first) + ${window} > ${position} + ${count - 1}`]),
          ...(extras.includes('keyLengths') ? [`${end} <= ${at.keyLengths}(batch)`] : []),
          ...(blocks ? [`${of}.seen == 2`] : []),
        ];
      };
      const free = {
        present: freeFor('tile', 'first_position', rows),
        next: freeFor('next', `(i32(own_first) + ${offset})`, own),
      };
      const seen = `blocks_of(w.z, w.y, 1u, own_first, own_first + ${own}u, next.first, next.first + ${tile.others}u)`;
      const { first, advance } = advancing(
        `next.first += ${tile.others}u;\n    more = next.first < key_end;`,
        blocks && seen,
      );
      const text = gradientText(names, D, tile, fragment, {
        of: 'query',
        own: ['q', 'gradient'],
        others: ['k', 'v'],
        ownHead: (id) => `(batch * ${size.L} + min(${id}, ${size.L} - 1u)) * H + w.y`,
        otherHead: (x) => `(batch * ${size.S} + min(next.first + ${x}, ${size.S} - 1u)) * K + kv_head`,
        statistics: (id) => `(batch * H + w.y) * ${size.L} + min(${id}, ${size.L} - 1u)`,
        exists: () => 'true',
        advance,
        ...scoring(attributes, functions, blocks, free, (x) => `query, tile.first + ${x}`),
        store4: (_, id, column, value) =>
          `if (${id} < ${size.L}) { ${set4.dq}(((batch * ${size.L} + ${id}) * H + w.y) * ${D / 4}u + ${column}, ${value} * ${f32(scale)}); }`,
      });
      return kernelText(
        names,
        context,
        functions,
        blocks,
        text,
        gridPlace(`(${size.L} + ${own - 1}u) / ${own}u`, H, size.B!),
        `
  kv_head = w.y / G;
  // the queries with most keys come first
  let own_first = (tiles - 1u - w.x) * ${own}u;
  let first_position = i32(own_first + subgroup / 2u * ${rows}u) + ${offset};
  ${keyRange(names, attributes, `min(own_first + ${own - 1}u, ${size.L} - 1u)`, 'own_first', threads)}
  var tile = Tile(key_begin, 0u, 1);
  var next = tile;
  var more = key_begin < key_end;
  ${first}
  let my_row = min(own_first + subgroup / 2u * ${rows}u + (subgroup % 2u * ${fragment.lanes}u + lane) % ${rows}u, ${size.L} - 1u);
  let query = query_of(my_row * G + w.y % G);`,
      );
    },
    workgroups: (size) => gridOf(Math.ceil(size(L) / own), H, size(B)),
  };
}

/** Gradients with respect to k and v: a workgroup takes keys of one head, over tiles of the queries of each head of the group. */
export function keyGradientMatrix(
  context: KernelContext<DenseAttributes>,
  functions: FunctionsInKernel | undefined,
  fragment: MatrixFragment,
  tile: GradientTile,
): KernelCall {
  const { inputs, attributes } = context;
  const blocks = blocksInKernel(context, 2);
  const { B, L, S, K, D } = sizesOf(inputs);
  const { causal, window, extras, scale } = attributes;
  const { own, threads, rows } = gradientSizes(tile, fragment);

  return {
    label: 'attentionKeyGradient.matrix',
    buffers: [
      ...gradientBuffers(inputs, attributes, blocks),
      { name: 'dk', output: 0, vector: 4 },
      { name: 'dv', output: 1, vector: 4 },
    ],
    parameters: { B, L, S },
    requires,
    threads,
    builtins: subgroupBuiltins,
    workgroup: {
      ...gradientMemory(D, tile, fragment, { of: 'key', rescored: isRescored(attributes, functions) }),
      ...segmentMemoryOf(attributes),
    },
    write: (names) => {
      const { at, set4, size } = names;
      const offset = offsetOf(names);
      /** Whether the queries of a tile see all of the `count` keys from `first` on. */
      const freeFor = (of: 'tile' | 'next', first: string, count: number) => [
        ...(causal ? [`i32(${first}) + ${count - 1} <= i32(${of}.first) + ${offset}`] : []),
        ...(window === undefined
          ? []
          : [`i32(${first}) + ${window} > i32(${of}.first) + ${tile.others - 1} + ${offset}`]),
        ...(extras.includes('keyLengths') ? [`i32(${first}) + ${count} <= ${at.keyLengths}(batch)`] : []),
        ...(blocks ? [`${of}.seen == 2`] : []),
      ];
      const free = { present: freeFor('tile', 'pair_key', rows), next: freeFor('next', 'own_first', own) };
      const seen = `blocks_of(w.z, w.y * G + next.head, 1u, next.first, next.first + ${tile.others}u, own_first, own_first + ${own}u)`;
      const { first, advance } = advancing(
        `next.first += ${tile.others}u;
    if (next.first >= row_end) { next = Tile(row_begin, next.head + 1u, 1); }
    more = next.head < G;`,
        blocks && seen,
      );
      const query = (x: string) => `query_of(min(tile.first + ${x}, ${size.L} - 1u) * G + tile.head)`;
      const output = (name: string, id: string, column: string, value: string) =>
        `if (${id} < ${size.S}) { ${set4[name]}(((batch * ${size.S} + ${id}) * K + kv_head) * ${D / 4}u + ${column}, ${value}); }`;
      const text = gradientText(names, D, tile, fragment, {
        of: 'key',
        own: ['k', 'v'],
        others: ['q', 'gradient'],
        ownHead: (id) => `(batch * ${size.S} + min(${id}, ${size.S} - 1u)) * K + kv_head`,
        otherHead: (x) => `(batch * ${size.L} + min(next.first + ${x}, ${size.L} - 1u)) * H + kv_head * G + next.head`,
        statistics: (x) => `(batch * H + kv_head * G + next.head) * ${size.L} + min(next.first + ${x}, ${size.L} - 1u)`,
        exists: (x) => `(next.first + ${x} < row_end)`,
        advance,
        ...scoring(
          attributes,
          functions,
          blocks,
          free,
          (x) => `${query(x)}, own_id`,
          (x) => `${query(x)}, min(own_id, ${size.S} - 1u)`,
        ),
        store4: (which, id, column, value) =>
          which === 0 ? output('dk', id, column, `${value} * ${f32(scale)}`) : output('dv', id, column, value),
      });
      return kernelText(
        names,
        context,
        functions,
        blocks,
        text,
        gridPlace(`(${size.S} + ${own - 1}u) / ${own}u`, K, size.B!),
        `
  kv_head = w.y;
  let own_first = w.x * ${own}u;
  let pair_key = own_first + subgroup / 2u * ${rows}u;
  ${rowRange(names, attributes, 'own_first', own, threads)}
  var tile = Tile(row_begin, 0u, 1);
  var next = tile;
  var more = row_begin < row_end;
  ${first}`,
      );
    },
    workgroups: (size) => gridOf(Math.ceil(size(S) / own), K, size(B)),
  };
}
