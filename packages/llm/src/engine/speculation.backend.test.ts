import { continuousScheduler, optimistic } from '@heddle/batcher';
import { seededRandom } from '@heddle/batcher/load';
import { pagedCache } from '@heddle/kvcache';
import { expect } from 'vitest';
import { guesses } from '../../../../test-support/guesses.ts';
import { backendName, conformance, leaveToNode, test } from '../../../../test-support/suite.ts';
import { tinyLlama } from '../../../../test-support/tiny-llama.ts';
import {
  draftModel,
  type Engine,
  type GenerationRequest,
  greedy,
  loadModel,
  openEngine,
  type SamplerOptions,
  type Speculation,
  sampler,
  type TokenLogprobs,
} from '../index.ts';

const settings: readonly SamplerOptions[] = [
  { temperature: 0 },
  { temperature: 3, seed: 1 },
  { temperature: 2, topP: 0.9, topK: 12, seed: 2 },
  { temperature: 0, repetitionPenalty: 1.8, logitBias: { 3: 1.5 } },
  { temperature: 4, seed: 2 ** 45, noRepeatNgramSize: 2, frequencyPenalty: 0.2, badWords: [[4], [5, 6]] },
  { temperature: 2, seed: 7, allowedTokens: Uint32Array.of(0b1011_1111_0111), presencePenalty: 0.3 },
];
const requests: readonly GenerationRequest[] = settings.map((options, i) => ({
  id: `r${i}`,
  tokens: [1 + i, 2, 3],
  maxTokens: 14,
  sequence: i,
  sampler: sampler(options),
}));

/** Compiles kernels for seconds. */
const softwareGpu = backendName.startsWith('webgpu');

async function collect(engine: Engine, request: GenerationRequest, tell = (_: { readonly type: string }) => {}) {
  const tokens: number[] = [];
  for await (const token of engine.generate(request, { onEvent: tell })) tokens.push(token);
  return tokens;
}

conformance('guessed tokens', (device) => {
  test('are those that come without guesses, whatever sampler chooses, at every depth, also preempted', async (context) => {
    leaveToNode(context);
    const model = await loadModel(tinyLlama(), { device: device() });
    const plain = openEngine(model, { maxSequences: 3, maxSequenceTokens: 24 });
    const all = await Promise.all(requests.map((request) => collect(plain, request)));
    const right = new Map(requests.map(({ id }, i) => [id!, all[i]!]));
    await plain.dispose();
    expect(new Set([...right.values()].map(String)).size).toBe(requests.length);
    const random = seededRandom(3);
    const ways = [
      [2, true],
      [1, true],
      [3, true],
      [2, false],
    ] as const;
    for (const [depth, instant] of softwareGpu ? ways.slice(0, 1) : ways) {
      const engine = openEngine(model, {
        maxSequences: 3,
        maxSequenceTokens: 24,
        stepsInFlight: depth,
        speculation: guesses((id) => right.get(id)!, random, { instant }),
        // so little room that requests lose their place
        cache: (on, size) => pagedCache(on, { ...size, blockSize: 4, tokens: 32 }),
        scheduler: (capacity, limits) =>
          continuousScheduler({ ...limits, capacity, admission: optimistic({ headroomTokens: 0 }) }),
      });
      let preempted = 0;
      const tell = ({ type }: { readonly type: string }) => {
        if (type === 'preempted') preempted++;
      };
      const found = await Promise.all(requests.map((request) => collect(engine, request, tell)));
      expect(found).toEqual(requests.map(({ id }) => right.get(id!)));
      expect(preempted).toBeGreaterThan(0);
      const { steps, draftedTokens, acceptedTokens, generatedTokens } = engine.stats();
      expect(draftedTokens).toBeGreaterThan(acceptedTokens);
      expect(acceptedTokens).toBeGreaterThan(12);
      expect(generatedTokens).toBeGreaterThanOrEqual(6 * 14);
      expect(steps).toBeGreaterThan(10);
      await engine.dispose();
    }
    await model.dispose();
  }, 240_000);

  test('have the log-probabilities that they have without, end at end tokens, and are chosen on the host where the sampler does', async (context) => {
    leaveToNode(context);
    const model = await loadModel(tinyLlama(), { device: device() });
    const one = { id: 'one', tokens: [1, 2, 3], maxTokens: 12, topLogprobs: 3, sequence: 2 };
    const told = async (engine: Engine, request: GenerationRequest) => {
      const logprobs: TokenLogprobs[] = [];
      const tokens = await collect(engine, { ...request, onLogprobs: (each) => logprobs.push(each) });
      return { tokens, logprobs };
    };
    const plain = openEngine(model, { maxSequences: 1 });
    const whole = await told(plain, one);
    await plain.dispose();
    const engine = openEngine(model, {
      maxSequences: 1,
      stepsInFlight: 2,
      speculation: guesses(
        () => whole.tokens,
        () => 0.4,
      ),
    });
    const close = (all: readonly TokenLogprobs[]) =>
      all.map(({ token, logprob, top }) => ({
        token,
        logprob: expect.closeTo(logprob, 3),
        top: top.map((each) => ({ token: each.token, logprob: expect.closeTo(each.logprob, 3) })),
      }));
    const same = await told(engine, one);
    expect(same.tokens).toEqual(whole.tokens);
    expect(same.logprobs).toEqual(close(whole.logprobs));
    // every guess is right: of 12 tokens the first two come alone, for the second was planned with the first; then 4, 4 and 2
    expect(engine.stats()).toMatchObject({ acceptedTokens: 7, draftedTokens: 7, generatedTokens: 12 });
    // an end token among the guesses
    const stop = whole.tokens[5]!;
    const first = whole.tokens.indexOf(stop);
    expect(await collect(engine, { ...one, stopTokens: [stop] })).toEqual(whole.tokens.slice(0, first + 1));
    const { sample } = greedy();
    expect(await collect(engine, { ...one, sampler: { name: 'host', sample } })).toEqual(whole.tokens);
    const before = engine.stats().draftedTokens;
    expect(await collect(engine, { ...one, speculation: false })).toEqual(whole.tokens);
    expect(engine.stats().draftedTokens).toBe(before);
    expect(await collect(engine, { ...one, speculation: { maxDrafts: 1 } })).toEqual(whole.tokens);
    expect(() => engine.generate({ ...one, speculation: { maxDrafts: 4 } })).toThrow(/maxDrafts from 1 to 3.* got 4/);
    await engine.dispose();
    await model.dispose();
  });

  test('of a drafter that fails for one request: that one goes on without, the others with theirs', async (context) => {
    leaveToNode(context);
    const model = await loadModel(tinyLlama(), { device: device() });
    const asked = [requests[0]!, requests[1]!];
    const plain = openEngine(model, { maxSequences: 2, maxSequenceTokens: 24 });
    const all = await Promise.all(asked.map((request) => collect(plain, request)));
    await plain.dispose();
    const fail = () => {
      throw new Error('nothing comes to mind');
    };
    const ways: readonly { instant: boolean; failing: () => never; message: RegExp }[] = [
      { instant: true, failing: fail, message: /nothing comes to mind/ },
      { instant: false, failing: () => Promise.reject(new Error('too late')) as never, message: /too late/ },
      { instant: true, failing: () => [undefined] as never, message: /an array of tokens for each of 1 .*undefined/ },
    ];
    for (const { instant, failing, message } of softwareGpu ? ways.slice(0, 1) : ways) {
      const good = guesses(
        (id) => all[asked.findIndex((request) => request.id === id)]!,
        () => 0.4,
        { instant },
      );
      const ended: string[] = [];
      const open: Speculation['open'] = (on) => {
        const { draft, [Symbol.dispose]: dispose } = good.open(on);
        return {
          draft: (wishes) => (wishes.some(({ id }) => id === 'r1') ? failing() : draft(wishes)),
          end: (id) => {
            ended.push(id);
            if (id === 'r1') fail();
          },
          [Symbol.dispose]: dispose,
        };
      };
      const engine = openEngine(model, {
        ...{ maxSequences: 2, maxSequenceTokens: 24, stepsInFlight: 2 },
        speculation: { ...good, open },
      });
      expect(await Promise.all(asked.map((request) => collect(engine, request)))).toEqual(all);
      const { acceptedTokens, failedDrafts } = engine.stats();
      expect(acceptedTokens).toBeGreaterThan(5);
      expect(failedDrafts).toBe(1);
      expect(ended).toEqual(expect.arrayContaining(['r0', 'r1']));
      // the drafter itself was told that it need not guess for it, which it refused, too
      const told: unknown[] = [];
      const alone = openEngine(model, {
        ...{ maxSequences: 1, maxSequenceTokens: 24 },
        speculation: { ...good, open: (on) => ({ ...open(on), end: (id) => void told.push(id) }) },
      });
      expect(await collect(alone, asked[1]!)).toEqual(all[1]);
      expect(alone.stats()).toMatchObject({ failedDrafts: 1, draftedTokens: 0 });
      expect(String(alone.stats().draftError)).toMatch(message);
      expect(told).toContain('r1');
      for (const each of [engine, alone]) await each.dispose();
    }
    await model.dispose();
  }, 240_000);

  test('of a small model are those that come without: all right where it is the model itself, some where it is another', async (context) => {
    leaveToNode(context);
    const model = await loadModel(tinyLlama(), { device: device() });
    const other = await loadModel(
      tinyLlama((name, data) => {
        if (name.includes('layers.1')) for (let i = 0; i < data.length; i += 3) data[i]! *= 0.9;
      }),
      { device: device() },
    );
    const before = device().memory().live;
    const asked = [
      requests[0]!,
      requests[1]!,
      requests[4]!,
      { ...requests[1]!, id: 'long', tokens: [4, 4, 5, 1, 2, 3, 9] },
    ];
    const open = (speculation?: Speculation) =>
      openEngine(model, {
        ...{ maxSequences: 2, maxSequenceTokens: 24, maxBatchTokens: 6 },
        ...(speculation && { speculation }),
      });
    const plain = open();
    const right = await Promise.all(asked.map((request) => collect(plain, request)));
    await plain.dispose();
    const rates: number[] = [];
    for (const small of [model, other]) {
      // which pays whatever a step takes here
      const engine = open({ ...draftModel(small, { maxDrafts: 3 }), cost: () => -1 });
      expect(await Promise.all(asked.map((request) => collect(engine, request)))).toEqual(right);
      const { draftedTokens, acceptedTokens } = engine.stats();
      expect(draftedTokens).toBeGreaterThan(10);
      rates.push(acceptedTokens / draftedTokens);
      // one that is left while guesses are under way
      for await (const _ of engine.generate({ ...asked[0]!, id: 'left' })) break;
      expect(await collect(engine, asked[0]!)).toEqual(right[0]);
      await engine.dispose();
    }
    // not all: the penalties of one request are not the small model's
    expect(rates[0]).toBeGreaterThan(0.6);
    expect(rates[1]).toBeLessThan(rates[0]!);
    await device().trim();
    expect(device().memory().live).toBe(before);
    const wide = await loadModel(
      tinyLlama(() => {}, { vocab_size: 17 }),
      { device: device() },
    );
    expect(() => open(draftModel(wide))).toThrow(/draftModel: needs a model of the same vocabulary, got 17/);
    expect(() => draftModel(model, { maxDrafts: 0 })).toThrow(/maxDrafts must be an integer from 1 to 64, got 0/);
    for (const each of [wide, other, model]) await each.dispose();
  }, 240_000);
});
