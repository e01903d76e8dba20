import { continuousScheduler, optimistic } from '@heddle/batcher';
import { type Random, seededRandom } from '@heddle/batcher/load';
import { pagedCache } from '@heddle/kvcache';
import { expect, inject } from 'vitest';
import { times } from '../../../../test-support/properties.ts';
import { readCheckpoint } from '../../../../test-support/shared.ts';
import { backendName, conformance, leaveToNode, test } from '../../../../test-support/suite.ts';
import { type CausalLm, type Engine, type GenerationRequest, loadModel, openEngine, sampler } from '../index.ts';

/** A checkpoint for each kind of layer: whole, windows, two recurrences, experts, latent, and one whose rows depend on the length. */
const fixtures = ['llama', 'gemma3', 'qwen3_5', 'granite4', 'mixtral', 'deepseek-v3', 'phi3-longrope'] as const;
/** Of the vocabulary and the context of all of them. */
const [vocabulary, longest] = [60, 44];

const filesOf = (name: string) => ({ label: name, open: (file: string) => readCheckpoint(`${name}/${file}`) });

interface Answer {
  readonly tokens: readonly number[];
  /** Of each token: all logits as bits where the host chose, otherwise the log-probabilities that the device gave. */
  readonly bits: readonly string[];
}

async function answer(engine: Engine, request: GenerationRequest, onHost: boolean, hear?: (type: string) => void) {
  const [tokens, bits]: [number[], string[]] = [[], []];
  const recorded: Partial<GenerationRequest> = onHost
    ? {
        sampler: {
          name: 'recorded',
          sample: (logits) => {
            bits.push(new Uint32Array(logits.slice().buffer).join());
            return logits.indexOf(Math.max(...logits));
          },
        },
      }
    : {
        topLogprobs: 3,
        onLogprobs: ({ logprob, top }) => bits.push([logprob, ...top.map((each) => each.logprob)].join()),
      };
  const told = { onEvent: ({ type }: { type: string }) => hear?.(type) };
  for await (const token of engine.generate({ ...request, ...recorded }, told)) tokens.push(token);
  return { tokens, bits } satisfies Answer;
}

/** An engine whose cache holds little more than one sequence, so that some are preempted. */
function open(model: CausalLm, stepsInFlight: number, maxSequences: number, tokens = 48): Engine {
  return openEngine(model, {
    ...{ maxSequences, stepsInFlight, maxSequenceTokens: longest, maxBatchTokens: 12, deterministic: true },
    cache: (on, size) => pagedCache(on, { ...size, blockSize: 4, tokens, checkpointEvery: 8 }),
    scheduler: (capacity, limits) =>
      continuousScheduler({ ...limits, capacity, admission: optimistic({ headroomTokens: 0 }) }),
  });
}

/** Two prompts that together outgrow the cache, and others of which half begin alike. */
function prompts(random: Random): readonly (readonly number[])[] {
  const below = (end: number) => Math.floor(random() * end);
  const stem = Array.from({ length: 30 }, () => below(vocabulary));
  const two = [0, 1].map(() => Array.from({ length: 20 }, () => below(vocabulary)));
  const others = Array.from({ length: 4 }, (_, i) => [
    ...(i % 2 ? stem.slice(0, 10 + below(stem.length - 10)) : stem.map(() => below(vocabulary)).slice(below(20))),
    ...Array.from({ length: 1 + below(4) }, () => below(vocabulary)),
  ]);
  return [...two, ...others];
}

const seed = inject('seed');

conformance('a deterministic engine', (device) => {
  test.for(fixtures)(
    '%s: bits are those of the request alone, in any company, chunks, depth, after prefixes and preemptions',
    { timeout: 120_000 },
    async (name, context) => {
      leaveToNode(context);
      const few: readonly string[] | undefined = {
        onnx: ['llama', 'qwen3_5', 'mixtral'],
        // others decode by the dozen below
        'webgpu-node': ['llama', 'mixtral'],
      }[backendName];
      if (few && !few.includes(name)) context.skip(`here ${few.join(', ')} are enough`);
      const model = await loadModel(filesOf(name), { device: device() });
      const random = seededRandom(seed);
      const below = (end: number) => Math.floor(random() * end);
      const requests = prompts(random).map((tokens, i) => ({
        request: {
          ...{ tokens, maxTokens: i < 2 ? 11 : 4 + below(8) },
          ...(i % 3 === 1 && { sampler: sampler({ temperature: 2, topP: 0.9, repetitionPenalty: 1.1, seed: i }) }),
        },
        onHost: i % 3 === 0,
      }));
      const alone: Answer[] = [];
      const single = open(model, 1, 3);
      for (const [i, { request, onHost }] of requests.entries())
        alone.push(await answer(single, { ...request, tenant: `shares nothing ${i}` }, onHost));
      await single.dispose();
      const seen = { preempted: 0, hits: 0 };
      // what outgrows a length is computed anew, which needs room of its own
      const tokens = name === 'phi3-longrope' ? 3 * longest : 48;
      const engines = [1, 2, 3].map((depth) => open(model, depth, 3, tokens));
      const drawn = Array.from({ length: 3 * times }, () =>
        Array.from({ length: 2 + below(4) }, () => below(requests.length)),
      );
      // the first of each engine preempts, the second finds what that has left
      const companies = [...Array.from({ length: 6 }, (_, i) => (i < 3 ? [0, 1] : [1])), ...drawn];
      for (const [company, chosen] of companies.entries()) {
        const engine = engines[company % 3]!;
        const hear = (type: string) => {
          if (type === 'preempted') seen.preempted++;
        };
        const found = await Promise.all(
          chosen.map((i) => {
            const { request, onHost } = requests[i]!;
            const onCached = (tokens: number) => {
              seen.hits += tokens;
            };
            return answer(engine, { ...request, onCached }, onHost, hear);
          }),
        );
        expect(found, `seed ${seed}, company ${company}: ${chosen}`).toEqual(chosen.map((i) => alone[i]));
      }
      const shares = name !== 'phi3-longrope';
      if (shares) expect(seen.preempted).toBeGreaterThan(0);
      if (shares) expect(seen.hits).toBeGreaterThan(0);
      for (const engine of engines) {
        expect(engine.stats().cache).toMatchObject({ sequences: 0, blocksUsed: 0 });
        await engine.dispose();
      }
      await model.dispose();
    },
  );

  test('is prepared, and gives what one that is not prepared gives', { timeout: 120_000 }, async (context) => {
    leaveToNode(context);
    const model = await loadModel(filesOf('llama'), { device: device() });
    const tokens = [5, 7, 11, 3, 2, 9];
    const answers = [];
    for (const prepared of [false, true]) {
      const engine = open(model, 2, 3);
      if (prepared) await engine.prepare({ promptTokens: tokens.length, sequences: 3 });
      answers.push(await Promise.all([1, 2, 3].map((maxTokens) => answer(engine, { tokens, maxTokens }, false))));
      await engine.dispose();
    }
    expect(answers[1]).toEqual(answers[0]);
    await model.dispose();
  });

  test.for(['llama', 'qwen3_5', 'mixtral', 'deepseek-v3'] as const)(
    '%s: bits are those of the request alone where a dozen decode together',
    { timeout: 120_000 },
    async (name, context) => {
      leaveToNode(context);
      const onGpu = backendName.startsWith('webgpu');
      if (!onGpu && name !== 'llama') context.skip('requests are computed one by one there');
      const model = await loadModel(filesOf(name), { device: device() });
      const random = seededRandom(seed);
      const below = (end: number) => Math.floor(random() * end);
      const requests = Array.from({ length: 14 }, (_, i) => ({
        tokens: Array.from({ length: 1 + below(6) }, () => below(vocabulary)),
        maxTokens: 3 + below(10),
        ...(i % 5 === 1 && { sampler: sampler({ temperature: 1.5, topK: 9, seed: i }) }),
      }));
      await using engine = openEngine(model, {
        ...{ maxSequences: 12, maxSequenceTokens: longest, maxBatchTokens: 27, deterministic: true },
      });
      const alone: Answer[] = [];
      for (const [i, request] of requests.entries()) alone.push(await answer(engine, request, i % 3 === 0));
      const { steps, generatedTokens } = engine.stats();
      expect(steps).toBeGreaterThanOrEqual(generatedTokens);
      for (let company = 0; company < 2 * times; company++) {
        const order = requests.map((_, i) => (i * 5 + company) % requests.length);
        const found = await Promise.all(order.map((i) => answer(engine, requests[i]!, i % 3 === 0)));
        expect(found, `seed ${seed}, company ${company}`).toEqual(order.map((i) => alone[i]));
      }
      const after = engine.stats();
      if (onGpu) expect(after.steps - steps).toBeLessThan((after.generatedTokens - generatedTokens) / 2);
      await engine.dispose();
      await model.dispose();
    },
  );

  test('gives a child the whole chunks of what its parent has, and the bits of the request alone', async (context) => {
    leaveToNode(context);
    const model = await loadModel(filesOf('llama'), { device: device() });
    const tokens = Array.from({ length: 21 }, (_, i) => (7 * i + 3) % vocabulary);
    const child = { tokens: [...tokens, 5], maxTokens: 4 };
    await using alone = open(model, 1, 3);
    const expected = await answer(alone, child, true);
    await using engine = open(model, 3, 3, 132);
    await answer(engine, { tokens, maxTokens: 3, id: 'parent', hold: true }, false);
    const cached: number[] = [];
    const children = Array.from({ length: 2 }, () =>
      answer(engine, { ...child, parent: 'parent', onCached: (count) => cached.push(count) }, true),
    );
    expect(await Promise.all(children)).toEqual([expected, expected]);
    expect(cached).toEqual([16, 16]);
    engine.release('parent');
    await model.dispose();
  });

  test('refuses what would change bits, and schedulers that cut prompts elsewhere', async (context) => {
    leaveToNode(context);
    const model = await loadModel(filesOf('llama'), { device: device() });
    const refused = (options: object) => () => openEngine(model, { deterministic: true, ...options });
    expect(refused({ deterministic: 1 })).toThrow('openEngine: deterministic must be true or false, got 1');
    expect(refused({ maxSequences: 8, maxBatchTokens: 7 })).toThrow(
      'openEngine: deterministic needs maxBatchTokens of at least maxSequences, got 7 and 8',
    );
    const rounds = (on: Parameters<typeof pagedCache>[0], size: Parameters<typeof pagedCache>[1]) =>
      pagedCache(on, { ...size, format: { bits: 8 } });
    expect(refused({ cache: rounds })).toThrow('deterministic needs a cache that keeps rows as they were computed');
    await using engine = openEngine(model, {
      ...{ deterministic: true, maxBatchTokens: 16, maxSequences: 2 },
      scheduler: (capacity, { chunkMultiple: _, ...limits }) => continuousScheduler({ ...limits, capacity }),
    });
    const tokens = Array.from({ length: 20 }, (_, i) => i);
    await expect(answer(engine, { tokens, maxTokens: 1, id: 'cut' }, false)).resolves.toMatchObject({
      tokens: [expect.any(Number)],
    });
    const both = [0, 1].map((i) => answer(engine, { tokens: [i, ...tokens], maxTokens: 4, id: `both ${i}` }, false));
    const [first, second] = await Promise.allSettled(both);
    // the second prompt is cut at what the first has left of a step
    expect(first).toMatchObject({ status: 'fulfilled', value: { tokens: { length: 4 } } });
    expect(second).toMatchObject({ status: 'rejected', reason: { code: 'ERR_ARGUMENT' } });
    expect((second as PromiseRejectedResult).reason.message).toContain("the scheduler's chunkMultiple");
    await model.dispose();
  });
});
