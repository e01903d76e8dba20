import { type KvShape, keyValueShape } from '@heddle/kvcache';
import type { CausalLm, ForwardInputs, ForwardResult, ModelConfig } from '@heddle/llm';
import { type Device, embedding, type Tensor, take } from '@heddle/tensor';

const width = 4;

/** Whoever has this token has no usable logits. */
export const poison = 16;

const values = (count: number, step: number) => Float32Array.from({ length: count }, (_, i) => Math.sin(1 + i * step));
const vocabularySize = poison + 1;
const tokenRows = values(vocabularySize * width, 7.13).fill(Number.NaN, poison * width);
const placeRows = (maxPositions: number) => values(maxPositions * width, 3.71);
/** The poison is never the most likely token: its logit is 0, and of two others one is the opposite of the other. */
const headColumns = values(width * vocabularySize, 5.17).map((_, i, all) => {
  const token = i % vocabularySize;
  if (token === poison) return 0;
  return token === poison - 1 ? -all[i - 1]! : all[i]!;
});

/**
 * The least model that an engine can run, for tests of many steps: one layer of attention over tokens and their positions, so that
 * a token that is lost, swapped or computed at another place changes all that follow. 17 tokens; the last one is NaN.
 */
export function summingModel(device: Device, maxPositions: number): CausalLm {
  const weight = (name: string, data: Float32Array, shape: readonly number[]) =>
    device.variable(data, { shape, name, frozen: true });
  const tokens = weight('tokens', tokenRows, [vocabularySize, width]);
  const places = weight('places', placeRows(maxPositions), [maxPositions, width]);
  const head = weight('head', headColumns, [width, vocabularySize]);
  const parameters = [tokens, places, head];
  const kvShape: KvShape = keyValueShape({ layers: 1, heads: 1, headDim: width, dtype: 'f32' });
  const forward = ({ tokens: ids, positions, segments, kv, rows, attention }: ForwardInputs): ForwardResult => {
    const x = embedding(tokens, ids).add(embedding(places, positions!));
    const [T] = ids.shape as [number];
    const heads: Tensor = x.reshape([T, 1, width]);
    const updates = kv!.write(0, { keys: heads, values: heads });
    const spec = { positions: positions!, segments: segments! };
    const seen = attention!.attend(heads.mul(3), heads, heads, kv!.layer(0), spec).reshape([T, width]);
    const y = x.add(seen.mul(4));
    return { logits: (rows ? take(y, rows) : y).matmul(head), hidden: [], updates };
  };
  return {
    device,
    config: { vocabularySize, maxPositions } as ModelConfig,
    parameters,
    kvShape,
    activations: 'f32',
    forward,
    logits: () => Promise.reject(new Error('the summing model computes packed rows only')),
    dispose: async () => {
      for (const parameter of parameters) parameter.dispose();
    },
  };
}

/** The same model written out: logits after each sequence of tokens. */
export function summedLogits(tokens: readonly number[]): number[] {
  const places = placeRows(tokens.length);
  const x = tokens.map((token, t) =>
    Array.from({ length: width }, (_, i) => tokenRows[token * width + i]! + places[t * width + i]!),
  );
  const query = x.at(-1)!;
  const dot = (a: readonly number[], b: readonly number[]) => a.reduce((sum, value, i) => sum + value * b[i]!, 0);
  const scores = x.map((key) => (3 * dot(query, key)) / Math.sqrt(width));
  const top = Math.max(...scores);
  const weights = scores.map((score) => Math.exp(score - top));
  const total = weights.reduce((a, b) => a + b, 0);
  const y = query.map((value, i) => value + (4 * weights.reduce((sum, w, t) => sum + w * x[t]![i]!, 0)) / total);
  return Array.from({ length: vocabularySize }, (_, v) =>
    y.reduce((sum, value, i) => sum + value * headColumns[i * vocabularySize + v]!, 0),
  );
}
