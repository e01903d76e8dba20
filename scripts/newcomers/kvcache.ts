// What a newcomer writes first with a cache: the decoding loop of a model of one's own, with the prompt at once and token by token.
import { flash } from '@heddle/attention';
import { keyValueShape, openSequence, pagedCache } from '@heddle/kvcache';
import { compile, openDevice, randomNormal, type Tensor } from '@heddle/tensor';

const device = await openDevice('reference');
const shape = keyValueShape({ layers: 1, heads: 2, headDim: 16, dtype: 'f32' });
const cache = pagedCache(device, { shape, maxSequences: 4, maxSequenceTokens: 64 });
const embedding = randomNormal(device, [64, 2, 16], 1);
const head = randomNormal(device, [32, 64], 2);

type Rows = Record<'tokens' | 'positions' | 'segments', Tensor> & { cache: Record<string, Tensor> };
const rows = { shape: ['T'], dtype: 'i32' } as const;
const step = compile(
  ({ tokens, positions, segments, cache: inputs }: Rows) => {
    const kv = cache.bind(inputs);
    const x = embedding.take(tokens);
    const out = flash().attend(x, x, x, kv.layer(0), { segments, positions });
    const logits = out.reshape([tokens.shape[0]!, 32]).matmul(head);
    return { next: logits.argmax(-1), updates: kv.write(0, { keys: x, values: x }) };
  },
  {
    device,
    inputs: [{ tokens: rows, positions: rows, segments: rows, cache: cache.inputs }],
    symbols: { ...cache.symbols, T: 64 },
  },
);

async function generate(name: string, chunks: readonly (readonly number[])[], count: number): Promise<string> {
  const sequence = openSequence(cache, name);
  const made: number[] = [];
  for (let i = 0; i < chunks.length + count - 1; i++) {
    const tokens = Int32Array.from(chunks[i] ?? made.slice(-1));
    if (!sequence.reserve(tokens.length)) throw new Error('no room');
    const { inputs, positions, segments, sizes, advance } = cache.batch([{ sequence, tokens: tokens.length }]);
    const { next } = await step.run([{ tokens, positions, segments, cache: inputs }], { symbols: sizes });
    advance();
    if (i >= chunks.length - 1) made.push(Number((await next.data()).at(-1)));
  }
  return made.join(' ');
}
const atOnce = await generate('a', [[3, 1, 4, 1, 5]], 6);
const inTurn = await generate('b', [[3], [1, 4], [1], [5]], 6);
console.log(atOnce);
if (atOnce !== inTurn) throw new Error(`token by token it is ${inTurn}`);
await device.dispose();
