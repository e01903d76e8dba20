import { compile, type Device, type Tensor, tanh } from '@heddle/tensor';
import { expect } from 'vitest';
import { conformance, leaveToNode, test } from '../../../../test-support/suite.ts';
import { greedy, type Sampler, sampler } from '../sampler.ts';
import { type StageSampling, stageSampling } from './device-sampling.ts';
import type { SampleColumn } from './sample-plan.ts';
import type { LogitStage } from './stages/logit-stage.ts';
import { standardStages } from './stages/standard-stages.ts';

interface Row {
  readonly logits: readonly number[];
  readonly sampler: Sampler;
  readonly lane: number;
  readonly index?: number;
  readonly sequence?: number;
}

const constructors = { f32: Float32Array, i32: Int32Array, u32: Uint32Array };

/** What an engine does in a step: fills in the columns of the plan that the rows need, and runs it. */
function steps(device: Device, sampling: StageSampling, V: number) {
  const compiled = new Map<number, ReturnType<typeof compilePlan>>();
  const compilePlan = (which: number) => {
    const plan = sampling.plans[which]!;
    return compile(
      (inputs: { logits: Tensor; lanes: Tensor; columns: Record<string, Tensor> }) => plan.record(inputs),
      {
        device,
        inputs: [
          {
            logits: { shape: ['R', V], dtype: 'f32' as const },
            lanes: { shape: ['R'], dtype: 'i32' as const },
            columns: Object.fromEntries(
              Object.entries(plan.columns).map(([name, dtype]) => [name, { shape: ['R'], dtype }]),
            ) as never,
          },
        ],
        symbols: { R: 1024 },
      },
    );
  };
  return {
    async choose(rows: readonly Row[]): Promise<number[]> {
      const which = Math.max(...rows.map((row) => sampling.planOf(row.sampler)!));
      const plan = sampling.plans[which]!;
      const columns: Record<string, SampleColumn> = {};
      for (const [name, dtype] of Object.entries(plan.columns)) columns[name] = new constructors[dtype](rows.length);
      for (const [row, { sampler, sequence = 0, index = 0 }] of rows.entries())
        plan.fill(columns, row, { sampler, sequence, index });
      const run = compiled.get(which) ?? compilePlan(which);
      compiled.set(which, run);
      const logits = Float32Array.from(rows.flatMap((row) => row.logits));
      const lanes = Int32Array.from(rows, (row) => row.lane);
      const { tokens } = await run.run([{ logits, lanes, columns: columns as never }], { symbols: {} });
      return [...(await tokens.data())];
    },
    dispose() {
      for (const run of compiled.values()) run.dispose();
      sampling[Symbol.dispose]();
    },
  };
}

const wave = (V: number, by: number) => Array.from({ length: V }, (_, i) => Math.fround(2 * Math.sin(by + 1.3 * i)));

conformance('sampling on the device', (device) => {
  test('draws what the host draws, alone, in company, in another order, in another lane', async (context) => {
    leaveToNode(context);
    const V = 40;
    const run = steps(
      device(),
      stageSampling(device(), { maxSequences: 64, maxSequenceTokens: 8, vocabularySize: V }),
      V,
    );
    const rows = Array.from({ length: 24 }, (_, i): Row => {
      const options = [{ temperature: 0.7 }, { topK: 5 }, { topP: 0.8, minP: 0.01 }, {}][i % 4]!;
      const seeds = { seed: [3, 2 ** 40 + 1][i % 2]! };
      return { logits: wave(V, i), sampler: sampler({ ...options, ...seeds }), lane: i, index: i % 5, sequence: i % 3 };
    });
    const right = rows.map(({ logits, sampler: own, index, sequence }) =>
      own.sample(Float32Array.from(logits), { step: index!, sequence: sequence! }),
    );
    expect(new Set(right).size).toBeGreaterThan(8);
    expect(await run.choose(rows)).toEqual(right);
    expect(await run.choose([...rows].reverse().map((row, i) => ({ ...row, lane: 63 - i })))).toEqual(
      [...right].reverse(),
    );
    for (const i of [0, 1, 5, 6]) expect(await run.choose([rows[i]!])).toEqual([right[i]]);
    // beside a greedy row, and one that makes the whole step use every stage
    const penalized = { ...rows[0]!, sampler: sampler({ typicalP: 0.9, seed: 1 }), lane: 40 };
    const mixed = await run.choose([{ logits: wave(V, 9), sampler: greedy(), lane: 41 }, penalized, ...rows]);
    expect(mixed[0]).toBe(greedy().sample(Float32Array.from(wave(V, 9)), { step: 0, sequence: 0 }));
    expect(mixed.slice(2)).toEqual(right);
    run.dispose();
  });

  test('has the distribution of the softmax (99.9 % quantile of chi-square)', async (context) => {
    leaveToNode(context);
    const probabilities = [0.05, 0.4, 0.25, 0.1, 0.2];
    const [rows, turns] = [1000, 10];
    const run = steps(
      device(),
      stageSampling(device(), { maxSequences: rows, maxSequenceTokens: 8, vocabularySize: 5 }),
      5,
    );
    const drawing = sampler({ temperature: 2, topK: 4, seed: 12 });
    const logits = probabilities.map(Math.log);
    const drawn = new Array<number>(5).fill(0);
    for (let turn = 0; turn < turns; turn++) {
      const all = Array.from(
        { length: rows },
        (_, lane): Row => ({ logits, sampler: drawing, lane, index: lane, sequence: turn }),
      );
      for (const token of await run.choose(all)) drawn[token]!++;
    }
    const roots = probabilities.map((p) => (p < 0.1 ? 0 : Math.sqrt(p)));
    const total = roots.reduce((a, b) => a + b);
    expect(drawn[0]).toBe(0);
    const off = roots.slice(1).reduce((sum, root, i) => {
      const expected = (root / total) * rows * turns;
      return sum + (drawn[i + 1]! - expected) ** 2 / expected;
    }, 0);
    expect(off).toBeLessThan(16.27);
    run.dispose();
  });

  test('keeps what each request has had, by lane, also where lanes are taken again', async () => {
    const [V, steps_] = [12, 6];
    const sampling = stageSampling(device(), { maxSequences: 3, maxSequenceTokens: 16, vocabularySize: V });
    const run = steps(device(), sampling, V);
    const options = [
      { temperature: 0, repetitionPenalty: 1.5, frequencyPenalty: 0.4 },
      { noRepeatNgramSize: 2, badWords: [[1, 2], [7]], logitBias: { 4: 2 }, seed: 5 },
      { temperature: 0.9, presencePenalty: 1, noRepeatNgramSize: 1, seed: 8 },
    ];
    for (const turn of [0, 1]) {
      // in the second turn lane l has another request; it begins with tokens that it had generated before it lost its place
      const requests = options.map((each, i) => {
        const tokens = turn === 0 ? [i, 3, 1] : [5, 1, 2, 9];
        return { sampler: sampler(each), tokens, promptTokens: 3, lane: (i + turn) % 3 };
      });
      for (const { lane, sampler: own, tokens, promptTokens } of requests)
        sampling.begin!(lane, own, tokens, promptTokens);
      for (let step = 0; step < steps_; step++) {
        const rows = requests.map(
          ({ sampler: own, tokens, promptTokens, lane }, i): Row => ({
            logits: wave(V, i + step),
            sampler: own,
            lane,
            index: tokens.length - promptTokens,
          }),
        );
        const got = await run.choose(rows);
        for (const [i, { sampler: own, tokens, promptTokens }] of requests.entries()) {
          const context = { step: tokens.length - promptTokens, sequence: 0, tokens };
          expect(got[i], `turn ${turn}, step ${step}, request ${i}`).toBe(
            own.sample(Float32Array.from(rows[i]!.logits), context),
          );
          tokens.push(got[i]!);
        }
      }
    }
    run.dispose();
  });

  test('says what is wrong with a row, and a mask may change from step to step', async (context) => {
    leaveToNode(context);
    const sampling = stageSampling(device(), { maxSequences: 4, maxSequenceTokens: 4, vocabularySize: 4 });
    const run = steps(device(), sampling, 4);
    const masked = sampler({ temperature: 0, allowedTokens: Uint32Array.of(0b0101) });
    sampling.begin!(2, masked, [1]);
    const drawing = sampler({ temperature: 1.5, topP: 0.9, seed: 1 });
    const { NaN: nan, POSITIVE_INFINITY: inf } = Number;
    const rows = [
      { logits: [1, nan, 2, 3], sampler: drawing, lane: 0 },
      { logits: [1, inf, 2, 3], sampler: drawing, lane: 1 },
      { logits: [1, 9, 2, 3], sampler: masked, lane: 2 },
      { logits: [-inf, -inf, -inf, -inf], sampler: drawing, lane: 3 },
    ];
    expect(await run.choose(rows)).toEqual([-1, -2, 2, -3]);
    sampling.allow(2, Uint32Array.of(0b1001));
    expect(await run.choose(rows.slice(2, 3))).toEqual([3]);
    sampling.allow(2, Uint32Array.of(0));
    expect(await run.choose(rows.slice(2, 3))).toEqual([-3]);
    run.dispose();
  });

  test("a stage of one's own, in the place that it is given", async (context) => {
    leaveToNode(context);
    const softCap: LogitStage = {
      name: 'soft cap',
      parameters: { softCap: 1e30 },
      record: (logits, { parameters: { softCap: cap } }) => tanh(logits.div(cap!)).mul(cap!),
    };
    const sizes = { maxSequences: 2, maxSequenceTokens: 4, vocabularySize: 3 };
    const run = steps(device(), stageSampling(device(), sizes, [softCap, ...standardStages]), 3);
    const capped = sampler({ parameters: { softCap: 0.001 }, seed: 4 });
    const rows = (own: Sampler) =>
      Array.from({ length: 30 }, (_, index): Row => ({ logits: [9, 1, 9.5], sampler: own, lane: 0, index }));
    const counts = async (own: Sampler) => {
      const all = [];
      for (const row of rows(own)) all.push(...(await run.choose([row])));
      return all.filter((token) => token === 1).length;
    };
    expect(await counts(capped)).toBeGreaterThan(3); // all are nearly the same
    expect(await counts(sampler({ seed: 4 }))).toBe(0);
    run.dispose();
  });

  test('refuses stages and samplers that do not fit', () => {
    const sizes = { maxSequences: 1, maxSequenceTokens: 4, vocabularySize: 3 };
    const sampling = stageSampling(device(), sizes);
    expect(() => sampling.planOf(sampler({ parameters: { softCap: 1 } }))).toThrow(
      /no stage .* has the parameter softCap/,
    );
    expect(sampling.planOf({ name: 'own', sample: () => 0 })).toBeUndefined();
    expect(
      [
        greedy(),
        sampler(),
        sampler({ topK: 2 }),
        sampler({ presencePenalty: 1 }),
        sampler({ etaCutoff: 0.1 }),
        sampler({ badWords: [[1]] }),
      ].map((each) => sampling.planOf(each)),
    ).toEqual([0, 1, 2, 3, 4, 5]);
    expect(() => stageSampling(device(), sizes, [...standardStages, standardStages[0]!])).toThrow(
      /has a parameter biased, which is there already/,
    );
    const looks: LogitStage = { name: 'looks', parameters: { a: 0 }, record: (logits, { bias }) => logits.add(bias) };
    const flat: LogitStage = { name: 'flat', parameters: { a: 0 }, record: (logits) => logits.sum(-1) };
    for (const [stage, message] of [
      [looks, /stage 'looks' looks at 'bias', which is not among its needs/],
      [flat, /stage 'flat' must give f32 \[2,3\], got f32 \[2\]/],
    ] as const) {
      const own = stageSampling(device(), sizes, [stage]);
      const columns = Object.fromEntries(
        ['a', 'heat', 'key0', 'key1', 'draw'].map((name) => [name, device().full([2], 0)]),
      );
      const lanes = device().arange(2, 'i32');
      expect(() => own.plans.at(-1)!.record({ logits: device().full([2, 3], 1), columns, lanes })).toThrow(message);
      own[Symbol.dispose]();
    }
    sampling[Symbol.dispose]();
  });
});
