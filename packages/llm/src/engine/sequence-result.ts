import type { SequenceResult } from '@heddle/batcher';
import { checkTokens } from '../models/row-logits.ts';
import { type LogprobRows, logprobsOfRow, logprobsOnHost } from '../sampling/logprobs.ts';
import { logitsError } from './logits-error.ts';
import type { ScheduledGeneration } from './request.ts';

/**
 * What a step gave for a request of which a token is chosen, which grows its stream. A sampler of the host that fails, or logits
 * that are no numbers, end their own request only.
 * @param activations what the model computes in, for the error of such logits
 * @param logprobs of the step, where a request wants them that chooses on the device
 */
export function resultOf(
  request: ScheduledGeneration,
  token: number,
  logits: Float32Array | undefined,
  activations: 'f32' | 'f16',
  logprobs?: { readonly rows: LogprobRows<ArrayLike<number>>; readonly row: number },
): SequenceResult {
  try {
    if (request.failure) throw request.failure.error;
    if (token < 0) throw logitsError(request.id, token, activations);
    const chosen = logits ? chosenOnHost(request, logits) : token;
    const { topLogprobs, onLogprobs } = request;
    if (topLogprobs !== undefined)
      onLogprobs?.(
        logits
          ? logprobsOnHost(logits, chosen, topLogprobs)
          : logprobsOfRow(logprobs!.rows, logprobs!.row, chosen, topLogprobs),
      );
    request.stream.push(chosen);
    return request.stopTokens.has(chosen) ? { tokens: [chosen], finish: 'stop' } : { tokens: [chosen] };
  } catch (error) {
    return { tokens: [], finish: 'error', error };
  }
}

/** The choice of a request's sampler. @throws what it throws, and ArgumentError for what is no token */
function chosenOnHost({ sampler, sequence, stream, promptTokens }: ScheduledGeneration, logits: Float32Array): number {
  const token = sampler.sample(logits, { step: stream.length - promptTokens, sequence, tokens: stream });
  checkTokens(`sampler '${sampler.name}'`, [token], logits.length);
  return token;
}
