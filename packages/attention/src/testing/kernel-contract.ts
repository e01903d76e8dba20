import { checkArguments, checkOptions, compile, type Device, gradients, type Tensor } from '@heddle/tensor';
import { type AttentionKernel, checkKernels } from '../kernels/attention-kernel.ts';
import { normal, relativeError } from './numbers.ts';
import {
  type PackedCase,
  type PackedOptions,
  packedCase,
  packedExpected,
  packedExpectedWithLse,
} from './packed-case.ts';
import { packedTensors } from './packed-tensors.ts';

/** One rule that an attention kernel keeps. */
export interface KernelContractCase {
  readonly name: string;
  /** Why the kernel need not keep it (it does not support the spec); undefined where it does. @throws Error where it is broken */
  run(): Promise<string | undefined>;
}

/** Options of `kernelContract`. */
export interface KernelContractOptions {
  /** Relative Euclidean error that outputs may have; by default 5e-6. */
  readonly tolerance?: number;
}

const cases: readonly (readonly [string, PackedOptions])[] = [
  ['one row, no key before it', { rows: [1], before: [0] }],
  ['one row after 300 keys', { rows: [1], before: [300], blockSize: 512 }],
  ['one row after 1100 keys', { rows: [1], before: [1100], blockSize: 64, H: 4, K: 1 }],
  ['grouped heads over pages of 4', { rows: [5], before: [11], blockSize: 4, H: 6, K: 2 }],
  ['one row each of sequences of different lengths', { rows: [1, 1, 1, 1], before: [3, 17, 0, 40], blockSize: 8 }],
  ['chunks and single rows together', { rows: [7, 1, 3], before: [5, 33, 0], blockSize: 16, H: 4, K: 1 }],
  ['a chunk longer than a tile behind other sequences', { rows: [2, 150, 1], before: [9, 41, 70], blockSize: 16 }],
  ['rows that belong to nothing', { rows: [3, 2], before: [4, 2], idle: 3 }],
  ['a sequence without rows in the step', { rows: [2, 0, 1], before: [4, 9, 2] }],
  ['only rows that belong to nothing', { rows: [0], before: [4], idle: 2 }],
  ['a window', { rows: [9, 1], before: [20, 30], blockSize: 4, spec: { window: 7 } }],
  ['softcap and scale', { rows: [4, 2], before: [6, 0], spec: { softcap: 2, scale: 0.7 } }],
  ['no cache', { rows: [6, 5, 1], before: [0, 0, 0], cached: false, idle: 1 }],
  ['no cache, a window', { rows: [33, 40], before: [0, 0], cached: false, spec: { window: 5 } }],
  ['a head of 80', { rows: [70, 3], before: [65, 1], D: 80, H: 2, K: 1 }],
  ['a head of 256', { rows: [3], before: [9], D: 256, H: 2, K: 1 }],
  ['a head of 18, which is no multiple of four', { rows: [3, 1], before: [9, 4], D: 18, H: 2, K: 1 }],
  ['twelve heads to one', { rows: [2, 1], before: [9, 40], H: 12, K: 1 }],
  ['a sink', { rows: [3, 0, 1], before: [9, 2, 0], sinks: true, idle: 1 }],
  [
    'a window with kept first tokens',
    { rows: [9, 1], before: [20, 30], blockSize: 4, spec: { window: 5, keepFirst: 2 } },
  ],
  ['values of another width, a window', { rows: [5, 1], before: [20, 33], V: 24, spec: { window: 3 } }],
  ['a window over few rows of a sequence', { rows: [5, 1], before: [20, 30], blockSize: 4, spec: { window: 3 } }],
  ['values in keys', { rows: [5, 1], before: [20, 33], H: 4, K: 1, D: 32, V: 'in keys' }],
  [
    'blocks behind a window given back',
    { rows: [3, 1, 1], before: [20, 33, 2], blockSize: 8, starts: true, spec: { window: 9 } },
  ],
  ['tokens that were dropped', { rows: [3, 1], before: [20, 33], dropped: true, spec: { window: 12 } }],
  [
    'all that a cache and a spec can have, after 300 keys',
    {
      ...{ rows: [3, 1], before: [300, 33], blockSize: 16, starts: true, dropped: true, sinks: true, V: 12 },
      spec: { window: 40, keepFirst: 3, softcap: 5 },
    },
  ],
  ['a score function', { rows: [5, 1], before: [20, 33], functions: 'distances', idle: 1 }],
  [
    'score and mask functions with tensors of their own, over all that a cache and a spec can have',
    {
      ...{ rows: [3, 1], before: [160, 33], blockSize: 16, starts: true, dropped: true, sinks: true, V: 12 },
      ...{ functions: 'captured', spec: { window: 40, keepFirst: 3, softcap: 5 } },
    },
  ],
  ['functions that hide keys from some heads', { rows: [9, 2], before: [12, 70], functions: 'hiding', idle: 1 }],
  ['a head of 512', { rows: [2, 1], before: [9, 30], D: 512, H: 2, K: 1 }],
  ['an f16 cache with f32 queries', { rows: [3, 1], before: [12, 5], blockSize: 4, dtype: 'f16' }],
];

const lseCases: readonly (readonly [string, PackedOptions])[] = [
  ['chunks and single rows', { rows: [5, 1, 0], before: [5, 33, 4], idle: 1 }],
  ['score and mask functions', { rows: [2, 1], before: [5, 33], functions: 'hiding', spec: { softcap: 3 } }],
  ['single rows with a sink', { rows: [1, 1], before: [5, 33], sinks: true }],
];

/**
 * The rules of `AttentionKernel` on a device: outputs against a plain computation in float64 over caches of many shapes, rows
 * that belong to nothing, the same bits twice, gradients by finite differences, and one compiled step for all sizes.
 *
 * Framework-free: run each case in a test of its own.
 */
export function kernelContract(
  kernel: AttentionKernel,
  device: () => Device,
  options: KernelContractOptions = {},
): readonly KernelContractCase[] {
  checkKernels('kernelContract', { kernel });
  checkOptions('kernelContract', options, { tolerance: 'number?' });
  checkArguments('kernelContract', 'function', { device });
  const { tolerance = 5e-6 } = options;
  const attend = (c: PackedCase) => {
    const { q, k, v, kv, spec } = packedTensors(device(), c);
    return kernel.attend(q, k, v, kv, spec);
  };
  const rule = (name: string, options: PackedOptions, check: (c: PackedCase) => Promise<void>): KernelContractCase => ({
    name,
    async run() {
      const c = packedCase(options);
      const { spec, kv } = packedTensors(device(), c);
      const reason = kernel.supports(spec, kv);
      if (reason === undefined) await check(c);
      return reason;
    },
  });
  return [
    ...cases.map(([name, options]) =>
      rule(name, options, async (c) => {
        const error = relativeError(await numbers(attend(c)), packedExpected(c));
        holds(error <= tolerance, `the relative error is at most ${tolerance}, got ${error}`);
      }),
    ),
    ...lseCases.map(([name, options]) =>
      rule(`the log-sum-exp: ${name}`, options, async (c) => {
        if (!kernel.attendWithLse) return;
        const { q, k, v, kv, spec } = packedTensors(device(), c);
        const { out, lse } = kernel.attendWithLse(q, k, v, kv, spec);
        const expected = packedExpectedWithLse(c);
        const error = relativeError(await numbers(out), expected.out);
        holds(error <= tolerance, `the relative error is at most ${tolerance}, got ${error}`);
        const got = await numbers(lse);
        const off = expected.lse.findIndex((x, i) => !(Math.abs(got[i]! - x) <= 1e-5 * (1 + Math.abs(x))));
        holds(off < 0, `log-sum-exp ${off} is ${expected.lse[off]}, got ${got[off]}`);
      }),
    ),
    rule('rows that belong to nothing give exactly 0', { rows: [2], before: [3], idle: 2 }, async (c) => {
      const got = await numbers(attend(c));
      const width = c.sizes.H * c.sizes.V;
      c.data.segments.forEach((segment, t) => {
        const zero = got.slice(t * width, (t + 1) * width).every((x) => x === 0);
        holds(zero === segment < 0, `row ${t} of segment ${segment} is ${zero ? '' : 'not '}0`);
      });
    }),
    rule('the same call gives the same bits', { rows: [6, 1], before: [40, 90], blockSize: 16 }, async (c) => {
      const [first, second] = [await numbers(attend(c)), await numbers(attend(c))];
      holds(
        first.every((x, i) => Object.is(x, second[i])),
        'both results are equal',
      );
    }),
    rule('pages give the bits of one block', { rows: [6, 1], before: [40, 90], blockSize: 128 }, async (c) => {
      const got = await numbers(attend(c));
      const pages = packedTensors(device(), c);
      const inPages = { ...pages.kv!, blockSize: 32, blockTable: splitBlocks(device(), c, 32) };
      const other = await numbers(kernel.attend(pages.q, pages.k, pages.v, inPages, pages.spec));
      holds(
        got.every((x, i) => Object.is(x, other[i])),
        'both results are equal',
      );
    }),
    rule('gradients', { rows: [5, 3], before: [0, 0], cached: false, H: 4, K: 2, D: 8 }, (c) =>
      gradientRule(kernel, device(), c),
    ),
    rule('one compiled step for every number of rows, sequences and keys', { rows: [1], before: [1] }, () =>
      compiledRule(kernel, device(), tolerance),
    ),
  ];
}

/** The block table of a case whose blocks are cut into smaller ones. */
function splitBlocks(device: Device, { sizes: { B, N, blockSize }, data }: PackedCase, size: number): Tensor {
  const times = blockSize / size;
  const table = data.blockTable.flatMap((block) => Array.from({ length: times }, (_, i) => block * times + i));
  return device.tensor(table, { shape: [B, N * times], dtype: 'i32' });
}

async function gradientRule(kernel: AttentionKernel, device: Device, c: PackedCase): Promise<void> {
  const { q, k, v, spec } = packedTensors(device, c);
  const weights = Array.from(Float32Array.from(normal(77, c.data.q.length)));
  const w = device.tensor(Float32Array.from(weights), { shape: q.shape as number[] });
  const found = gradients(kernel.attend(q, k, v, undefined, spec).mul(w).sum(), [q, k, v!]);
  for (const [i, name] of (['q', 'k', 'v'] as const).entries()) {
    const got = await numbers(found[i]!);
    for (const place of [0, 9, 23]) {
      const moved = (by: number) => {
        const data = c.data[name].map((x, j) => (j === place ? x + by : x));
        return packedExpected({ ...c, data: { ...c.data, [name]: data } }).reduce((s, x, j) => s + x * weights[j]!, 0);
      };
      const expected = (moved(1e-4) - moved(-1e-4)) / 2e-4;
      holds(
        Math.abs(got[place]! - expected) < 1e-4 * (1 + Math.abs(expected)),
        `gradient with respect to ${name}[${place}] is ${expected}, got ${got[place]}`,
      );
    }
  }
}

interface StepInputs {
  readonly q: Tensor;
  readonly k: Tensor;
  readonly v: Tensor;
  readonly segments: Tensor;
  readonly positions: Tensor;
  readonly table: Tensor;
  readonly lengths: Tensor;
  /** Its length is the longest length of the step. */
  readonly span: Tensor;
}

async function compiledRule(kernel: AttentionKernel, device: Device, tolerance: number): Promise<void> {
  const heads = { H: 4, K: 2, D: 8, blockSize: 16 };
  const c = packedCase({ rows: [4, 2], before: [9, 3], ...heads });
  const slots = c.data.keys.length / (heads.K * heads.D);
  const kv = packedTensors(device, c).kv!;
  const int = (...shape: (string | number)[]) => ({ shape, dtype: 'i32' }) as const;
  const step = compile(
    (x: StepInputs) => {
      const view = { ...kv, blockTable: x.table, lengths: x.lengths, maxLength: x.span.shape[0]! };
      return kernel.attend(x.q, x.k, x.v, view, { segments: x.segments, positions: x.positions });
    },
    {
      device,
      inputs: [
        {
          q: { shape: ['T', heads.H, heads.D] },
          k: { shape: ['T', heads.K, heads.D] },
          v: { shape: ['T', heads.K, heads.D] },
          segments: int('T'),
          positions: int('T'),
          table: int('B', 'N'),
          lengths: int('B'),
          span: { shape: ['S'] },
        },
      ],
      symbols: { T: 16, B: 4, N: 8, S: 128 },
    },
  );
  const steps = [
    { rows: [4, 2], before: [9, 3] },
    { rows: [1], before: [12] },
    { rows: [1, 1, 1], before: [2, 13, 5] },
    { rows: [12, 1], before: [0, 14] },
  ];
  try {
    for (const { rows, before } of steps) {
      const next = packedCase({ rows, before, ...heads, slots, pool: c.data });
      const { data, sizes } = next;
      const out = await step({
        q: Float32Array.from(data.q),
        k: Float32Array.from(data.k),
        v: Float32Array.from(data.v),
        segments: Int32Array.from(data.segments),
        positions: Int32Array.from(data.positions),
        table: { data: Int32Array.from(data.blockTable), shape: [sizes.B, sizes.N] },
        lengths: Int32Array.from(data.lengths),
        span: new Float32Array(Math.max(1, ...data.lengths)),
      });
      const error = relativeError(await numbers(out), packedExpected(next));
      holds(
        error <= tolerance,
        `rows ${rows} after ${before}: the relative error is at most ${tolerance}, got ${error}`,
      );
    }
  } finally {
    step.dispose();
  }
}

const numbers = async (x: Tensor): Promise<number[]> => Array.from(await x.cast('f32').data());

function holds(condition: boolean, rule: string): void {
  if (!condition) throw new Error(`the contract of an attention kernel is broken: ${rule}`);
}
