// A ladder of attention kernels: which tiles are right, and how fast.
//   node bench/dist/ladders/attention.js [SECONDS]     (from the root of the repository; SMALL=1 for a software driver)
// Rows: TFLOP/s over the products that a causal attention needs (GB/s of keys and values for decoding), microseconds, relative
// errors against the kernel for all adapters in f32, kernel and tile.
import { pathToFileURL } from 'node:url';
import { attentionWithLse, naive, type ScoreMod } from '@heddle/attention';
import {
  type CompiledFunction,
  compile,
  defineOp,
  gradients,
  type KernelCall,
  type KernelContext,
  record,
  type Tensor,
  type TensorType,
} from '@heddle/tensor';
import { openWebGpu } from '@heddle/tensor/webgpu';
import {
  decodeVariants,
  forwardVariants,
  functionVariants,
  gradientVariants,
  type Variant,
} from './attention-variants.js';
import { normalHalves } from './random-halves.js';

const seconds = Number(process.argv[2] ?? 600);
const small = process.env['SMALL'] !== undefined;
const toggles = process.env['DAWN_TOGGLES']?.split(',') ?? [];
const vulkanLoader = process.env['VULKAN_LOADER'];
const device = await openWebGpu({ toggles, ...(vulkanLoader ? { vulkanLoader } : {}) });
console.log(device.description, toggles.join());

type Functions = Record<string, (...args: readonly unknown[]) => unknown>;
/** A module inside the package's build. */
const inside = (path: string) =>
  import(pathToFileURL(`${process.cwd()}/packages/attention/dist/${path}.js`).href) as Promise<Functions>;
const matrix = Object.assign(
  {},
  ...(await Promise.all(
    ['fragment', 'dense-forward.wgsl', 'dense-gradients.wgsl', 'forward.wgsl', 'gradients.wgsl'].map((name) =>
      inside(`matrix/${name}`),
    ),
  )),
  await inside('packed-decode.wgsl'),
  await inside('attention.wgsl'),
  await inside('score-functions'),
) as Functions;
const fragmentFor = ({ inputs, capabilities }: KernelContext<unknown>) =>
  matrix['fragmentOf']!(inputs.slice(0, 3), capabilities);

interface Candidate {
  readonly label: string;
  readonly run: CompiledFunction<Tensor[], readonly Tensor[]>;
  readonly inputs: readonly Tensor[];
  /** What a run computes or moves, in units of 10^6 a microsecond. */
  readonly work: number;
  readonly errors: readonly number[];
}

async function errorOf(got: Tensor, want: Tensor): Promise<number> {
  const [a, b] = [got.cast('f32'), want.cast('f32')];
  const off = a.sub(b);
  return Math.sqrt((await off.mul(off).sum().item()) / (await b.mul(b).sum().item()));
}

/** Compiles and checks a variant; undefined, with a line that says why, where it cannot run. */
async function prepare<A extends object>(
  kind: string,
  variant: Variant,
  work: number,
  inputs: readonly Tensor[],
  attributes: A,
  outputs: (types: readonly TensorType[]) => readonly TensorType[],
  kernels: (context: KernelContext<A>) => readonly KernelCall[],
  want: readonly Tensor[],
): Promise<Candidate | undefined> {
  const label = `${kind} ${JSON.stringify(variant).replaceAll('"', '')}`;
  if (performance.now() > 1000 * seconds) return undefined;
  try {
    const op = defineOp<A>({ name: label, shape: outputs, lower: { webgpu: { kernels } } });
    const run = compile((...given: Tensor[]) => record(op, given, attributes), { name: label });
    const found = await run(...inputs);
    const errors: number[] = [];
    for (const [i, x] of want.entries()) errors.push(await errorOf(found[i]!, x));
    return { label, run, inputs, work, errors };
  } catch (error) {
    console.log(`      - ${label}: ${String(error).slice(0, 120).replaceAll('\n', ' ')}`);
    return undefined;
  }
}

/** Runs until the clocks have settled, then gives the median of some runs by timestamps. */
async function measure({ run, inputs }: Candidate): Promise<number> {
  const given = [...inputs];
  const until = performance.now() + (small ? 0 : 120);
  while (performance.now() < until) {
    let last: readonly Tensor[] = [];
    for (let i = 0; i < 10; i++) last = await run(...given);
    await last[0]!.slice(0, 0, 1).slice(1, 0, 1).data();
  }
  const times: number[] = [];
  for (let round = 0; round < 5; round++)
    times.push((await run.profile(given)).reduce((sum, { microseconds }) => sum + microseconds, 0));
  return times.sort((a, b) => a - b)[2]!;
}

async function ladder(title: string, compiling: readonly Promise<Candidate | undefined>[]): Promise<void> {
  const rows: { rate: number; text: string }[] = [];
  // all are compiled side by side, and measured one after the other
  for (const candidate of await Promise.all(compiling)) {
    if (!candidate) continue;
    const us = await measure(candidate);
    const rate = candidate.work / us;
    const errors = candidate.errors.map((x) => x.toExponential(1)).join(' ');
    rows.push({
      rate,
      text: `${rate.toFixed(1).padStart(7)} ${us.toFixed(0).padStart(6)} us  ${errors}  ${candidate.label}`,
    });
    candidate.run.dispose();
  }
  console.log(title);
  for (const { text } of rows.sort((a, b) => b.rate - a.rate)) console.log(text);
}

async function dense(B: number, H: number, S: number, D: number): Promise<void> {
  const work = (2 * B * H * S * S * D) / 1e6;
  const [q, k, v, g] = (await Promise.all([1, 2, 3, 4].map((seed) => normalHalves(device, seed, [B, S, H, D])))) as [
    Tensor,
    Tensor,
    Tensor,
    Tensor,
  ];
  const attributes = { scale: 1 / Math.sqrt(D), causal: true, extras: [] };
  // f32 is what the kernel for all adapters takes
  const plain = compile((q: Tensor, k: Tensor, v: Tensor, g: Tensor) => {
    const full = [q, k, v].map((x) => x.cast('f32')) as [Tensor, Tensor, Tensor];
    const { out, lse } = attentionWithLse(...full, { causal: true });
    return [out, lse, ...gradients(out.mul(g.cast('f32')).sum(), full)];
  });
  const [out, lse, dq, dk, dv] = (await plain(q, k, v, g)) as [Tensor, Tensor, Tensor, Tensor, Tensor];
  const delta = await g.cast('f32').mul(out).sum(-1).permute([0, 2, 1]).realize();
  const fitting = (context: KernelContext<unknown>, check: string, tile: Variant) => {
    if (!matrix[check]!(tile, fragmentFor(context), D, context.capabilities.maxWorkgroupStorageBytes))
      throw new Error('does not fit');
    return fragmentFor(context);
  };
  const found: Promise<Candidate | undefined>[] = [];
  for (const tile of forwardVariants(D, small).slice(0, process.env['ONLY'] ? 3 : 99))
    found.push(
      prepare(
        'forward',
        tile,
        work,
        [q, k, v],
        attributes,
        ([q]) => [q!, { shape: [B, H, S], dtype: 'f32' }],
        (context) => [
          matrix['denseForwardMatrix']!(context, undefined, fitting(context, 'forwardFits', tile), tile) as KernelCall,
        ],
        [out, lse],
      ),
    );
  const scoreMod: ScoreMod = (score, { q, k }) => score.sub(q.sub(k).cast('f32').mul(0.05));
  const withFunction = compile((q: Tensor, k: Tensor, v: Tensor) =>
    attentionWithLse(q.cast('f32'), k.cast('f32'), v.cast('f32'), { causal: true, scoreMod }),
  );
  const changed = await withFunction(q, k, v);
  const traced = matrix['traceFunctions']!(device, { B, H, L: S, S, K: H, D }, scoreMod, undefined);
  for (const tile of functionVariants(D, small))
    found.push(
      prepare(
        'scoreMod',
        tile,
        work,
        [q, k, v],
        attributes,
        ([q]) => [q!, { shape: [B, H, S], dtype: 'f32' }],
        (context) => {
          const own = matrix['functionsInKernel']!(traced, context.inputs);
          const fragment = fitting(context, 'forwardFits', tile);
          return [matrix['denseForwardMatrix']!(context, own, fragment, tile) as KernelCall];
        },
        [changed.out, changed.lse],
      ),
    );
  if (!process.env['ONLY'])
    for (const of of ['query', 'key'] as const)
      for (const tile of gradientVariants(of, D, small))
        found.push(
          prepare(
            of,
            tile,
            work * (of === 'query' ? 1.5 : 2),
            [q, k, v, lse, g, delta],
            attributes,
            ([q, k, v]) => (of === 'query' ? [q!] : [k!, v!]),
            (context) => [
              matrix[`${of}GradientMatrix`]!(context, fitting(context, 'gradientFits', tile), tile) as KernelCall,
            ],
            of === 'query' ? [dq] : [dk, dv],
          ),
        );
  await ladder(`B${B} H${H} S${S} D${D} causal f16: TFLOP/s`, found);
  plain.dispose();
  for (const x of [q, k, v, g, delta]) x.dispose();
}

async function decoding(B: number, S: number, H: number, K: number, D: number): Promise<void> {
  const blockSize = 16;
  const blocks = Int32Array.from({ length: (B * S) / blockSize }, (_, i) => (i * 7919) % ((B * S) / blockSize));
  const [q, k, v, keys, values] = (await Promise.all(
    [
      [B, H, D],
      [B, K, D],
      [B, K, D],
      [B * S, K, D],
      [B * S, K, D],
    ].map((shape, i) => normalHalves(device, i, shape)),
  )) as [Tensor, Tensor, Tensor, Tensor, Tensor];
  const segments = device.tensor(Int32Array.from({ length: B }, (_, i) => i));
  const positions = device.tensor(new Int32Array(B).fill(S));
  const blockTable = device.tensor(blocks, { shape: [B, S / blockSize] });
  const lengths = device.tensor(new Int32Array(B).fill(S));
  const inputs = [q, k, v, segments, positions, keys, values, blockTable, lengths];
  await Promise.all(inputs.map((x) => x.realize()));
  const attributes = { scale: 1 / Math.sqrt(D), cache: { blockSize, maxLength: S }, layout: 'rows' };
  const kv = { keys, values, blockTable, lengths, blockSize, maxLength: S };
  const want = await naive().attend(q.cast('f32'), k.cast('f32'), v.cast('f32'), kv, { segments, positions }).realize();
  const found: Promise<Candidate | undefined>[] = [];
  for (const shape of decodeVariants(small))
    found.push(
      prepare(
        'decode',
        shape,
        (4 * B * S * K * D) / 1e3,
        inputs,
        attributes,
        ([q]) => [q!],
        (context) => matrix['packedDecode']!(context, shape) as readonly KernelCall[],
        [want],
      ),
    );
  await ladder(`decoding ${B} x ${S} keys H${H} K${K} D${D}: GB/s`, found);
}

if (small) {
  await dense(1, 2, 96, 32);
  await decoding(2, 256, 4, 2, 64);
} else {
  await dense(4, 16, 2048, 64);
  await dense(2, 32, 4096, 128);
  if (!process.env['ONLY']) await decoding(32, 8192, 32, 8, 64);
}
await device.dispose();
