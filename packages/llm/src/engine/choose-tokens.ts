import type { ScheduledSequence, StepResult } from '@heddle/batcher';
import type { Tensor } from '@heddle/tensor';
import { checkTokens } from '../models/row-logits.ts';
import type { ScheduledGeneration } from './request.ts';

type Sequences = readonly ScheduledSequence<ScheduledGeneration>[];

/** Logits `[B, V]` of the last row of each sequence, and the most likely token `[B]` of each. */
interface Outputs {
  readonly logits: Tensor;
  readonly best: Tensor;
}

/** The next token of every sequence that yields one, by its sampler. A sampler that fails ends its own request only. */
export async function chooseTokens(sequences: Sequences, outputs: Outputs): Promise<(StepResult | undefined)[]> {
  const choose = await chooser(sequences, outputs);
  return sequences.map(({ request, yields }, index) => {
    if (!yields) return undefined;
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

/** Reads what the samplers need: a token of each sequence where all take the most likely, otherwise the logits. */
async function chooser(sequences: Sequences, { logits, best }: Outputs): Promise<(index: number) => number> {
  const wanted = sequences.filter(({ yields, request }) => yields && request.maxTokens > 0);
  if (wanted.every(({ request }) => request.sampler.takesMostLikely)) {
    const tokens = wanted.length > 0 ? await best.data() : [];
    return (index) => tokens[index]!;
  }
  const values = (await logits.data()) as Float32Array;
  const V = values.length / sequences.length;
  return (index) => {
    const { sampler, sequence, stream, promptTokens } = sequences[index]!.request;
    const step = stream.length - promptTokens;
    const token = sampler.sample(values.subarray(index * V, (index + 1) * V), { step, sequence });
    checkTokens(`sampler '${sampler.name}'`, [token], V);
    return token;
  };
}
