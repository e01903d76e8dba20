import type { DeviceSampling } from '../../sampling/sample-plan.ts';
import type { Chunk } from './step-rows.ts';

/**
 * Says which tokens may be chosen after chunks of requests with constraints. Where that depends on tokens of steps before, it waits
 * for them. A constraint that fails ends its own request.
 * @param before when the results of the steps before have come
 */
export async function constrain(
  chunks: readonly Chunk[],
  before: Promise<unknown>,
  allow: NonNullable<DeviceSampling['allow']>,
): Promise<void> {
  const isKnown = ({ request, end, drafts }: Chunk) => request.stream.length >= end - drafts;
  if (!chunks.every(isKnown)) await before;
  await Promise.all(chunks.map((chunk) => constrainOne(chunk, allow)));
}

async function constrainOne({ request, drafts }: Chunk, allow: NonNullable<DeviceSampling['allow']>): Promise<void> {
  const { constraint, stream, promptTokens, lane, guessing, stopTokens } = request;
  for (let row = 0; row <= drafts; row++) {
    if (request.ended || request.failure) return;
    try {
      const guessed = guessing?.drafts.slice(0, row) ?? [];
      const mask = await constraint!.allowed(row === 0 ? stream : [...stream, ...guessed], promptTokens);
      allow(lane, mask, row);
      // what cannot be chosen has nothing behind it
      const next = row < drafts ? guessing!.drafts[row]! : -1;
      if (next < 0 || stopTokens.has(next) || (mask[next >> 5]! & (1 << (next & 31))) === 0) return;
    } catch (error) {
      request.failure = { error, row };
    }
  }
}
