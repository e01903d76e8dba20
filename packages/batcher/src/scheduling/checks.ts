import { describe } from '../checks.ts';
import { BatcherError, type BatcherErrorCode, RejectedError } from '../errors.ts';
import type { SequenceRequest, SequenceResult, StepPlan } from './scheduler.ts';
import { roomOf, type SequenceState } from './sequence.ts';
import type { StepLimits } from './step-planner.ts';

/** Why a request cannot be taken, if it cannot. */
export function refusal(
  request: SequenceRequest,
  inUse: boolean,
  maxSequenceTokens: number,
): RejectedError | undefined {
  if (typeof request !== 'object' || request === null)
    return new RejectedError('ERR_ARGUMENT', `add: a request must be an object, got ${describe(request)}`);
  const { id, promptTokens, maxTokens, deadlineMs, parent } = request;
  const because = (code: BatcherErrorCode, why: string) =>
    new RejectedError(code, `add: request ${typeof id === 'string' ? `'${id}'` : describe(id)} ${why}`);
  if (typeof id !== 'string') return because('ERR_ARGUMENT', 'needs id to be a string');
  if (!Number.isInteger(promptTokens) || promptTokens < 1) {
    return because('ERR_ARGUMENT', `needs promptTokens to be an integer of at least 1, got ${describe(promptTokens)}`);
  }
  if (!Number.isInteger(maxTokens) || maxTokens < 0) {
    return because('ERR_ARGUMENT', `needs maxTokens to be an integer of at least 0, got ${describe(maxTokens)}`);
  }
  for (const name of ['priority', 'deadlineMs', 'expectedTokens'] as const) {
    const value: unknown = request[name];
    // what compares with nothing would put the whole queue out of order
    if (value !== undefined && (typeof value !== 'number' || Number.isNaN(value)))
      return because('ERR_ARGUMENT', `needs ${name} to be a number, got ${describe(value)}`);
  }
  if (request.tenant !== undefined && typeof request.tenant !== 'string')
    return because('ERR_ARGUMENT', `needs tenant to be a string, got ${describe(request.tenant)}`);
  if (request.serial !== undefined && typeof request.serial !== 'boolean')
    return because('ERR_ARGUMENT', `needs serial to be true or false, got ${describe(request.serial)}`);
  if (parent !== undefined && typeof parent !== 'string')
    return because('ERR_ARGUMENT', `needs parent to be the id of a request, got ${describe(parent)}`);
  const room = roomOf(request);
  if (room > maxSequenceTokens) {
    const needs = `${room} tokens (${promptTokens} of prompt, ${maxTokens} new)`;
    return because('ERR_TOO_LARGE', `needs room for ${needs}, the capacity is ${maxSequenceTokens}`);
  }
  if (inUse) return because('ERR_DUPLICATE_ID', 'has the id of one that is still alive');
  if (deadlineMs !== undefined && deadlineMs <= 0) {
    return because('ERR_DEADLINE', `has its deadline ${deadlineMs} ms from now`);
  }
  return undefined;
}

/** @throws BatcherError where a prompt could wait for ever for the room of a chunk */
export function checkChunks({ maxBatchTokens, maxSequences, maxChunkTokens, chunkMultiple }: StepLimits): void {
  if (chunkMultiple === 1) return;
  const most = Math.min(maxChunkTokens, maxBatchTokens - (maxSequences - 1));
  if (chunkMultiple > most)
    throw new BatcherError(
      'ERR_ARGUMENT',
      `continuousScheduler: chunkMultiple must leave room for one chunk in every step: at most ${most} with maxBatchTokens ${maxBatchTokens}, maxSequences ${maxSequences}, maxChunkTokens ${maxChunkTokens}; got ${chunkMultiple}`,
    );
}

/** @throws BatcherError ERR_PROTOCOL unless the results fit the plan, whose sequences stand as `sequences` says */
export function checkResults(
  plan: StepPlan,
  results: readonly (SequenceResult | undefined)[],
  sequences: readonly ({ readonly state: SequenceState } | undefined)[],
): void {
  if (!Array.isArray(results))
    throw new BatcherError('ERR_PROTOCOL', `commit: results must be an array, got ${describe(results)}`);
  for (let i = 0; i < plan.sequences.length; i++) {
    if (sequences[i]!.state === 'finished') continue;
    const { id, request, yields, drafts } = plan.sequences[i]!;
    const result = results[i] as SequenceResult | undefined;
    if (result !== undefined) checkResult(id, result);
    if (result?.finish === 'error') continue;
    const least = yields && request.maxTokens > 0 ? 1 : 0;
    const most = least === 0 ? 0 : drafts + 1;
    const count = result?.tokens.length ?? 0;
    if (count >= least && count <= most && (result !== undefined || !yields)) continue;
    const expected = least === most ? `${least}` : `${least} to ${most}`;
    const got = result === undefined ? 'no result' : `${count}`;
    throw new BatcherError(
      'ERR_PROTOCOL',
      `commit: '${id}' yields ${expected} tokens in step ${plan.step}, got ${got}`,
    );
  }
}

/** @throws BatcherError ERR_PROTOCOL unless a result is one, whatever the plan wants of it */
function checkResult(id: string, result: unknown): void {
  if (typeof result !== 'object' || result === null) throw notAResult(id, 'to be an object', result);
  const { tokens, finish, drafts } = result as Partial<Record<keyof SequenceResult, unknown>>;
  if (finish !== undefined && finish !== 'stop' && finish !== 'error')
    throw notAResult(id, "finish 'stop' or 'error'", finish);
  if (!Array.isArray(tokens) && !(finish === 'error' && tokens === undefined))
    throw notAResult(id, 'an array tokens', tokens);
  if (drafts !== undefined && !(Number.isInteger(drafts) && (drafts as number) >= 0))
    throw notAResult(id, 'drafts to be an integer of at least 0', drafts);
}

function notAResult(id: string, expected: string, got: unknown): BatcherError {
  return new BatcherError('ERR_PROTOCOL', `commit: the result of '${id}' needs ${expected}, got ${describe(got)}`);
}
