import { naive } from '@heddle/attention';
import { continuousScheduler, optimistic } from '@heddle/batcher';
import { type KvCache, pagedCache } from '@heddle/kvcache';
import type { Device } from '@heddle/tensor';
import { openReference } from '@heddle/tensor/reference';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { summedLogits, summingModel } from '../../../../../test-support/summing-model.ts';
import { type CausalLm, createEngine, type Engine, type EngineParts, greedy } from '../../index.ts';

const [maxSequences, maxBatchTokens] = [4, 12];

let device: Device;
let model: CausalLm;
beforeAll(async () => {
  device = await openReference();
  model = summingModel(device, 24);
});
afterAll(() => device.dispose());

/** The most likely tokens after a prompt, by the model written out. */
function expected(prompt: readonly number[], count: number): number[] {
  const stream = [...prompt];
  while (stream.length < prompt.length + count) {
    const logits = summedLogits(stream);
    stream.push(logits.indexOf(Math.max(...logits)));
  }
  return stream.slice(prompt.length);
}

function open(
  tokens: number,
  stepsInFlight: number,
  more: Partial<EngineParts>,
  wrap = (cache: KvCache) => cache,
): Engine {
  const maxSequenceTokens = Math.min(24, tokens);
  const cache = wrap(
    pagedCache(device, { shape: model.kvShape, maxSequences, maxSequenceTokens, blockSize: 2, tokens }),
  );
  return createEngine({
    ...{ device, model, cache, attention: naive(), sampler: greedy(), maxBatchTokens, stepsInFlight },
    scheduler: (capacity) =>
      continuousScheduler({
        ...{ capacity, maxBatchTokens, maxSequences, maxPlansInFlight: stepsInFlight, chunkMultiple: 4 },
        admission: optimistic({ headroomTokens: 0 }),
      }),
    ...more,
  });
}

interface Outcome {
  readonly tokens: number[];
  readonly error: { readonly code?: string; readonly message: string } | undefined;
}

async function outcome(engine: Engine, id: string, tokens: readonly number[], maxTokens: number): Promise<Outcome> {
  const got: number[] = [];
  try {
    for await (const token of engine.generate({ id, tokens, maxTokens })) got.push(token);
    return { tokens: got, error: undefined };
  } catch (error) {
    return { tokens: got, error: error as Error };
  }
}

/** A cache that lays no rows out for a request from its nth time on; with others it does. */
const failing = (id: string, nth: number) => (cache: KvCache) => {
  let calls = 0;
  const batch: KvCache['batch'] = (rows) => {
    if (rows.some(({ sequence }) => sequence.id === id) && ++calls >= nth) throw new Error(`no rows of ${id}`);
    return cache.batch(rows);
  };
  return new Proxy(cache, {
    get: (target, name) => {
      if (name === 'batch') return batch;
      const value = Reflect.get(target, name, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
};

describe('what fails of one request of a step', () => {
  const prompts = [
    [1, 2, 3],
    [5, 4, 3, 2, 1, 6, 7, 8, 9],
    [9, 8],
  ];

  // a chunk of a prompt that is not its last, the last one, a token, the last token
  test.for([1, 2, 3].flatMap((depth) => [1, 3, 5, 8].map((nth) => [depth, nth] as const)))(
    'ends it alone in a deterministic engine: %i in flight, the part number %i',
    async ([depth, nth]) => {
      const engine = open(96, depth, { deterministic: { chunkTokens: 4 } }, failing('r1', nth));
      const outcomes = await Promise.all(prompts.map((tokens, i) => outcome(engine, `r${i}`, tokens, 6)));
      for (const [i, { tokens, error }] of outcomes.entries()) {
        const right = expected(prompts[i]!, 6);
        expect(tokens).toEqual(i === 1 ? right.slice(0, tokens.length) : right);
        expect(error?.message).toBe(i === 1 ? 'no rows of r1' : undefined);
      }
      // three parts are of the prompt
      expect(outcomes[1]!.tokens.length).toBe(Math.max(0, nth - 3));
      expect(engine.stats()).toMatchObject({ running: 0, waiting: 0, cache: { sequences: 0, blocksUsed: 0 } });
      expect((await outcome(engine, 'next', prompts[0]!, 6)).tokens).toEqual(expected(prompts[0]!, 6));
      await engine.dispose();
    },
  );

  test.for([1, 2, 3])('ends it alone where it outgrows its length and finds no room: %i in flight', async (depth) => {
    const scaled = { ...model, lengthScaling: { recomputeBeyond: 8 } };
    // two share three blocks of two tokens; beyond eight tokens each needs all of its own
    const prompt = [3, 1, 4, 1, 5, 9, 2];
    const engine = open(18, depth, { model: scaled });
    expect(await outcome(engine, 'before', prompt, 1)).toMatchObject({ error: undefined });
    const both = await Promise.all(['a', 'b'].map((id) => outcome(engine, id, prompt, 4)));
    const right = expected(prompt, 4);
    const [ended, other] = both[0]!.error ? both : both.reverse();
    expect(other).toEqual({ tokens: right, error: undefined });
    expect(ended!.error).toMatchObject({ code: 'ERR_CAPACITY' });
    expect(ended!.error!.message).toMatch(/^generate: '[ab]' is longer than 8 tokens now, .* no room for 9 tokens/);
    expect(ended!.tokens).toEqual(right.slice(0, ended!.tokens.length));
    expect(ended!.tokens.length).toBe(2);
    expect(engine.stats()).toMatchObject({ running: 0, waiting: 0, cache: { sequences: 0, blocksUsed: 0 } });
    // alone it has room
    expect(await outcome(engine, 'after', prompt, 4)).toEqual({ tokens: right, error: undefined });
    await engine.dispose();
  });
});
