import type { SequenceResult } from '@heddle/batcher';
import { checkTokens } from '../../models/row-logits.ts';
import { type LogprobRows, logprobsOfRow, logprobsOnHost } from '../../sampling/logprobs.ts';
import type { ScheduledGeneration } from '../request.ts';
import { logitsError } from './logits-error.ts';

/** The rows of a step that are of one request: one after its last token, and one after each draft. */
export interface ResultRows {
  /** Chosen tokens of all rows of the step. */
  readonly tokens: ArrayLike<number>;
  /** `[R, V]`, where the request's sampler chooses on the host. */
  readonly logits: Float32Array | undefined;
  /** Of the step, where a request wants them that chooses on the device. */
  readonly logprobs: LogprobRows<ArrayLike<number>> | undefined;
  /** The request's first row. */
  readonly row: number;
  readonly drafts: number;
}

/**
 * What a step gave for a request of which a token is chosen, which grows its stream: the tokens of its rows, as long as they are the
 * drafts with which the next row was computed. A sampler of the host that fails, or logits that are no numbers, end their own
 * request only.
 * @param activations what the model computes in, for the error of such logits
 */
export function resultOf(
  request: ScheduledGeneration,
  rows: ResultRows,
  V: number,
  activations: 'f32' | 'f16',
): SequenceResult {
  const tokens: number[] = [];
  try {
    for (let drafts = 0; drafts <= rows.drafts; drafts++) {
      const chosen = choose(request, rows, drafts, V, activations);
      tokens.push(chosen);
      request.stream.push(chosen);
      if (request.stopTokens.has(chosen)) return { tokens, finish: 'stop' };
      if (chosen !== request.guessing?.drafts[drafts]) break;
    }
    return { tokens };
  } catch (error) {
    return { tokens, finish: 'error', error };
  }
}

/** The token after so many drafts. */
function choose(
  request: ScheduledGeneration,
  { tokens, logits, logprobs, row }: ResultRows,
  drafts: number,
  V: number,
  activations: 'f32' | 'f16',
): number {
  const { failure, topLogprobs, onLogprobs } = request;
  if (failure && failure.row <= drafts) throw failure.error;
  const at = row + drafts;
  const token = tokens[at]!;
  if (token < 0) throw logitsError(request.id, token, activations);
  const own = logits?.subarray(at * V, (at + 1) * V);
  const chosen = own ? chosenOnHost(request, own) : token;
  if (topLogprobs !== undefined)
    onLogprobs?.(own ? logprobsOnHost(own, chosen, topLogprobs) : logprobsOfRow(logprobs!, at, chosen, topLogprobs));
  return chosen;
}

/** The choice of a request's sampler. @throws what it throws, and ArgumentError for what is no token */
function chosenOnHost({ sampler, sequence, stream, promptTokens }: ScheduledGeneration, logits: Float32Array): number {
  const token = sampler.sample(logits, { step: stream.length - promptTokens, sequence, tokens: stream });
  checkTokens(`sampler '${sampler.name}'`, [token], logits.length);
  return token;
}
