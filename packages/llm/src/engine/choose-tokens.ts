import type { ScheduledSequence, SequenceResult } from '@heddle/batcher';
import type { Tensor } from '@heddle/tensor';
import { checkTokens } from '../models/row-logits.ts';
import { logitsError } from './logits-error.ts';
import type { ScheduledGeneration } from './request.ts';

type Sequences = readonly ScheduledSequence<ScheduledGeneration>[];

/** Logits `[R, V]` of the last row of each sequence that yields, and the most likely token `[R]` of each; -1 where there is none. */
interface Outputs {
  readonly logits: Tensor;
  readonly best: Tensor;
}

/**
 * The next token of every sequence that yields one, by its sampler. A sampler that fails, or logits that are no numbers, end
 * their own request only.
 * @param activations what the model computes in, for the error of such logits
 */
export async function chooseTokens(
  sequences: Sequences,
  outputs: Outputs,
  activations: 'f32' | 'f16',
): Promise<(SequenceResult | undefined)[]> {
  const yielding = sequences.filter(({ yields }) => yields);
  const choose = await chooser(yielding, outputs, activations);
  let row = 0;
  return sequences.map(({ request, yields }) => {
    if (!yields) return undefined;
    const index = row++;
    if (request.maxTokens === 0) return { tokens: [] };
    try {
      const token = choose(index);
      request.stream.push(token);
      return request.stopTokens.has(token) ? { tokens: [token], finish: 'stop' } : { tokens: [token] };
    } catch (error) {
      return { tokens: [], finish: 'error', error };
    }
  });
}

/** Reads what the samplers need: a token of each sequence, and the logits where these do not decide alone. */
async function chooser(
  sequences: Sequences,
  { logits, best }: Outputs,
  activations: 'f32' | 'f16',
): Promise<(index: number) => number> {
  const wanted = [...sequences.keys()].filter((index) => sequences[index]!.request.maxTokens > 0);
  if (wanted.length === 0) return () => -1;
  const greedy = (index: number) => sequences[index]!.request.sampler.takesMostLikely === true;
  // both are asked for before either is awaited: the next run of the plan makes them stale
  const drawn = wanted.every(greedy) ? undefined : logits.data();
  const tokens = await best.data();
  const usable = (index: number) => tokens[index]! >= 0;
  if (!drawn && wanted.every(usable)) return (index) => tokens[index]!;
  const values = (await (drawn ?? logits.data())) as Float32Array;
  const V = values.length / sequences.length;
  return (index) => {
    const { sampler, sequence, stream, promptTokens, id } = sequences[index]!.request;
    const row = values.subarray(index * V, (index + 1) * V);
    if (!usable(index)) throw logitsError(id, row, activations);
    if (greedy(index)) return tokens[index]!;
    const token = sampler.sample(row, { step: stream.length - promptTokens, sequence, tokens: stream });
    checkTokens(`sampler '${sampler.name}'`, [token], V);
    return token;
  };
}
