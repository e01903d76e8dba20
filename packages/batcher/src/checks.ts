import { BatcherError, type BatcherErrorCode, RejectedError } from './errors.ts';
import type { SequenceRequest, StepPlan, StepResult } from './scheduling/scheduler.ts';
import { roomOf, type SequenceState } from './scheduling/sequence.ts';

/** @throws BatcherError ERR_ARGUMENT unless `value` is an integer of at least `least` */
export function checkCount(operation: string, name: string, value: number, least: number): void {
  if (Number.isInteger(value) && value >= least) return;
  throw new BatcherError('ERR_ARGUMENT', `${operation}: ${name} must be an integer of at least ${least}, got ${value}`);
}

/** Why a request cannot be taken, if it cannot. */
export function refusal(
  request: SequenceRequest,
  inUse: boolean,
  maxSequenceTokens: number,
  now: number,
): RejectedError | undefined {
  const { id, promptTokens, maxTokens, deadline } = request;
  const because = (code: BatcherErrorCode, why: string) => new RejectedError(code, `add: request '${id}' ${why}`);
  if (!Number.isInteger(promptTokens) || promptTokens < 1) {
    return because('ERR_ARGUMENT', `needs promptTokens to be an integer of at least 1, got ${promptTokens}`);
  }
  if (!Number.isInteger(maxTokens) || maxTokens < 0) {
    return because('ERR_ARGUMENT', `needs maxTokens to be an integer of at least 0, got ${maxTokens}`);
  }
  for (const name of ['priority', 'deadline'] as const) {
    const value: unknown = request[name];
    // what compares with nothing would put the whole queue out of order
    if (value !== undefined && (typeof value !== 'number' || Number.isNaN(value)))
      return because('ERR_ARGUMENT', `needs ${name} to be a number, got ${String(value)}`);
  }
  const room = roomOf(request);
  if (room > maxSequenceTokens) {
    const needs = `${room} tokens (${promptTokens} of prompt, ${maxTokens} new)`;
    return because('ERR_TOO_LARGE', `needs room for ${needs}, the capacity is ${maxSequenceTokens}`);
  }
  if (inUse) return because('ERR_DUPLICATE_ID', 'has the id of one that is still alive');
  if (deadline !== undefined && deadline <= now) {
    return because('ERR_DEADLINE', `has its deadline at ${deadline} ms, it is ${now} ms already`);
  }
  return undefined;
}

/** @throws BatcherError ERR_PROTOCOL unless the results fit the plan, whose sequences stand as `sequences` says */
export function checkResults(
  plan: StepPlan,
  results: readonly (StepResult | undefined)[],
  sequences: readonly ({ readonly state: SequenceState } | undefined)[],
): void {
  for (let i = 0; i < plan.sequences.length; i++) {
    if (sequences[i]!.state === 'finished') continue;
    const { id, request, yields, drafts } = plan.sequences[i]!;
    const result = results[i];
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
