// Attention on ONNX Runtime: through the executor, against sessions that are built by hand around GroupQueryAttention.
//   node bench/dist/cpu-attention.js
// Both sides have two threads and the allocator settings of the README. Rounds are interleaved, the best of each counts.
import { attention, decode } from '@heddle/attention';
import { compile, type Device, defineOp, type HostArray, recordOne, type Tensor } from '@heddle/tensor';
import { exportOnnx, openOnnx } from '@heddle/tensor/onnx';
import { InferenceSession, Tensor as RuntimeTensor } from 'onnxruntime-node';
import { fastestOf, values, withAllocatorSettings } from './cpu-settings.js';
import { type Measurement, report } from './results.js';

withAllocatorSettings();
const threads = 2;
const [H, K, D] = [32, 8, 64];
const rounds = Number(process.env['ROUNDS'] ?? 10);
const device = await openOnnx({ threads });

/** GroupQueryAttention of q, k and v behind a past of some keys, as one node. */
const groupQueryOp = defineOp<{ readonly past: number }>({
  name: 'groupQuery',
  shape: ([q]) => [q!],
  lower: {
    onnx: {
      emit(builder, inputs, node) {
        const total = node.attributes.past + (node.inputs[0]!.shape[1] as number);
        const past = inputs.length > 3 ? inputs.slice(3) : ['', ''];
        const lengths = [builder.constant('i32', [1], [total - 1]), builder.constant('i32', [], [total])];
        return builder.opWithOutputs('GroupQueryAttention', [...inputs.slice(0, 3), ...past, ...lengths], 3, {
          domain: 'com.microsoft',
          attributes: { num_heads: H, kv_num_heads: K },
        })[0]!;
      },
    },
  },
});

/** One side of a race. */
interface Side {
  readonly name: string;
  run(): Promise<Float32Array>;
}

async function byHand(length: number, past: number, arrays: readonly HostArray[]): Promise<Side> {
  const rows = [H, K, K].map((heads) => [1, length, heads * D]);
  const shapes = past > 0 ? [...rows, [1, K, past, D], [1, K, past, D]] : rows;
  const { bytes, inputs } = await exportOnnx(
    (...all: Tensor[]) => recordOne(groupQueryOp, all, { past }),
    shapes.map((shape) => ({ shape })),
    { device },
  );
  const session = await InferenceSession.create(bytes, { intraOpNumThreads: threads, interOpNumThreads: 1 });
  const feeds = Object.fromEntries(
    inputs.map(({ name }, i) => [name, new RuntimeTensor('float32', arrays[i] as Float32Array, shapes[i]!)]),
  );
  const run = async () => (await session.run(feeds))['output']!.data as Float32Array;
  return { name: 'a session with GroupQueryAttention', run };
}

/** The values that a run on the CPU gave, without a copy. */
const valuesOf = (tensor: Tensor) => (tensor.storage as unknown as { readonly data: Float32Array }).data;

function byExecutor(name: string, f: (...inputs: Tensor[]) => Tensor, given: readonly Tensor[]): Side {
  const step = compile(f, { device });
  return { name, run: async () => valuesOf(await step(...given)) };
}

const place = (on: Device, data: HostArray, ...shape: number[]) => on.tensor(data, { shape });

async function race(what: string, own: Side, peer: Side, calls: number): Promise<Measurement[]> {
  const [a, b] = [(await own.run()).slice(), await peer.run()];
  const off = a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i]!)), 0);
  if (a.length !== b.length || !(off < 1e-4)) throw new Error(`${what}: the sides differ by ${off}`);
  const fastest = await fastestOf([own, peer], (side) => side.run(), { rounds, calls });
  const [ms, theirs] = [fastest.get(own)!, fastest.get(peer)!];
  return [
    { what, value: ms, unit: 'ms', adapter: device.description, ratio: ms / theirs, against: peer.name },
    { what, value: theirs, unit: 'ms', adapter: peer.name },
  ];
}

/** Causal attention of queries to their own keys. */
async function prefill(L: number): Promise<Measurement[]> {
  const arrays = [values(L * H * D, 1), values(L * K * D, 2), values(L * K * D, 3)];
  const given = arrays.map((data, i) => place(device, data, 1, L, i === 0 ? H : K, D));
  const own = byExecutor('dense', (q, k, v) => attention(q!, k!, v!, { causal: true }), given);
  return race(`causal attention f32 B1 L${L} H${H} K${K} D${D}`, own, await byHand(L, 0, arrays), 6);
}

/** One query to itself and to the keys before it: as a dense attention, and over the pages of a cache. */
async function decoding(S: number): Promise<Measurement[]> {
  const past = S - 1;
  const [q, k, v] = [values(H * D, 1), values(S * K * D, 2), values(S * K * D, 3)];
  const lastRow = (rows: Float32Array) => rows.slice(past * K * D);
  /** Rows `[S, K, D]` as the operator keeps them, `[K, past, D]`. */
  const byHead = (rows: Float32Array) =>
    Float32Array.from({ length: past * K * D }, (_, i) => {
      const [head, row] = [Math.floor(i / (past * D)), Math.floor(i / D) % past];
      return rows[(row * K + head) * D + (i % D)]!;
    });
  const peer = () => byHand(1, past, [q, lastRow(k), lastRow(v), byHead(k), byHead(v)]);
  const dense = byExecutor('dense', (q, k, v) => attention(q!, k!, v!, { causal: true }), [
    place(device, q, 1, 1, H, D),
    place(device, k, 1, S, K, D),
    place(device, v, 1, S, K, D),
  ]);
  const blockSize = 16;
  const paged = byExecutor(
    'paged',
    (q, k, v, keys, values, blockTable, lengths, segments, positions) =>
      decode().attend(
        q!,
        k!,
        v!,
        { keys: keys!, values: values!, blockTable: blockTable!, lengths: lengths!, blockSize, maxLength: S },
        { segments: segments!, positions: positions! },
      ),
    [
      place(device, q, 1, H, D),
      place(device, lastRow(k), 1, K, D),
      place(device, lastRow(v), 1, K, D),
      place(device, k, S, K, D),
      place(device, v, S, K, D),
      place(
        device,
        Int32Array.from({ length: S / blockSize }, (_, i) => i),
        1,
        S / blockSize,
      ),
      place(device, Int32Array.of(past), 1),
      place(device, Int32Array.of(0), 1),
      place(device, Int32Array.of(past), 1),
    ],
  );
  return [
    ...(await race(`attention f32 of one query to ${S} keys, H${H} K${K} D${D}`, dense, await peer(), 20)),
    ...(await race(
      `attention f32 of one query to a cache of ${past} keys, H${H} K${K} D${D}`,
      paged,
      await peer(),
      20,
    )),
  ];
}

report([...(await prefill(512)), ...(await prefill(1024)), ...(await decoding(2048))]);
await device.dispose();
process.exit();
