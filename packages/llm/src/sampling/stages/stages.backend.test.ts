import { compile, type Device, type Tensor } from '@heddle/tensor';
import { openSafetensors } from '@heddle/tensor/safetensors';
import { expect } from 'vitest';
import { needShared } from '../../../../../test-support/shared.ts';
import { conformance, leaveToNode, test } from '../../../../../test-support/suite.ts';
import { type SampleContext, sampler } from '../../sampler.ts';
import { LaneStates } from '../lane-states.ts';
import { filtersOf, numericOptions, type SamplerOptions, settingsOf } from '../options.ts';
import type { LogitStage } from './logit-stage.ts';
import { standardStages } from './standard-stages.ts';

const none = Number.NEGATIVE_INFINITY;

/** What the stages make of logits on a device, each row with its own options and tokens of which some were generated. */
async function onDevice(
  device: Device,
  logits: readonly (readonly number[])[],
  rows: readonly { options: SamplerOptions; tokens?: readonly number[]; generated?: number }[],
  stages: readonly LogitStage[] = standardStages,
): Promise<number[][]> {
  const V = logits[0]!.length;
  const sizes = { maxSequences: rows.length, maxSequenceTokens: 24, vocabularySize: V };
  const states = new LaneStates(device, sizes);
  const lanes = rows.map((_, row) => rows.length - 1 - row); // not the order of rows
  const needs = new Set(stages.flatMap((stage) => stage.needs ?? []));
  for (const [row, { options, tokens = [], generated = tokens.length }] of rows.entries()) {
    const settings = settingsOf(options, 0);
    const allowed = settings.allowed ?? new Uint32Array(Math.ceil(V / 32));
    await states.begin(lanes[row]!, { ...settings, allowed }, { tokens, generated, needs });
  }
  const run = compile(
    (x: Tensor, at: Tensor, parameters: Record<string, Tensor>) =>
      stages.reduce((left, stage) => {
        const sees = states.rows(at, stage.needs ?? [], stage.name);
        return stage.record(left, Object.defineProperty(sees, 'parameters', { value: parameters }) as never);
      }, x),
    {
      device,
      inputs: [
        { shape: ['R', V] },
        { shape: ['R'], dtype: 'i32' },
        Object.fromEntries(
          stages.flatMap(({ parameters }) => Object.keys(parameters)).map((name) => [name, { shape: ['R', 1] }]),
        ),
      ],
      symbols: { R: 16 },
    },
  );
  const columns = Object.fromEntries(
    stages
      .flatMap(({ parameters }) => Object.entries(parameters))
      .map(([name, neutral]) => [
        name,
        Float32Array.from(rows, ({ options }) => settingsOf(options, 0).parameters[name] ?? neutral),
      ]),
  );
  const values = await (await run(Float32Array.from(logits.flat()), Int32Array.from(lanes), columns as never)).data();
  run.dispose();
  states.dispose();
  return rows.map((_, row) => [...values.slice(row * V, (row + 1) * V)]);
}

/** The same on the host. */
function onHost(
  logits: readonly number[],
  options: SamplerOptions,
  tokens: readonly number[] = [],
  generated = tokens.length,
) {
  const left = Float32Array.from(logits);
  const { always, drawing } = filtersOf(options, settingsOf(options, 0));
  for (const filter of [...always, ...drawing]) filter.apply(left, tokens, generated);
  return [...left];
}

/** Without what all have in common. */
const fromTop = (logits: readonly number[]) => {
  const top = Math.max(...logits);
  return logits.map((logit) => logit - top);
};
const close = (values: readonly number[]) => values.map((value) => expect.closeTo(value, 5));

const cases: Readonly<Record<string, SamplerOptions>> = {
  'repetition_1.3': { repetitionPenalty: 1.3 },
  'presence_0.6_frequency_0.3': { presencePenalty: 0.6, frequencyPenalty: 0.3 },
  no_repeat_ngram_3: { noRepeatNgramSize: 3 },
  'temperature_0.7': { temperature: 0.7 },
  top_k_17: { topK: 17 },
  'top_p_0.8': { topP: 0.8 },
  'min_p_0.05': { minP: 0.05 },
  'typical_0.6': { typicalP: 0.6 },
  'epsilon_0.002': { epsilonCutoff: 0.002 },
  'eta_0.002': { etaCutoff: 0.002 },
};

conformance('stages of sampling', (device) => {
  test('each is what transformers computes, with rows that it does not act on beside it', async (context) => {
    leaveToNode(context);
    const file = await openSafetensors(await needShared(context, 'fixtures/sampling/processors.safetensors'));
    const matrix = async (name: string, width: number, from: (bytes: ArrayBuffer) => ArrayLike<number>) => {
      const values = [...Array.from(from((await file.read(name)).buffer as ArrayBuffer))];
      return Array.from({ length: values.length / width }, (_, row) => values.slice(row * width, (row + 1) * width));
    };
    const logits = await matrix('logits', 320, (bytes) => new Float32Array(bytes));
    const previous = await matrix('previous', 20, (bytes) => new Int32Array(bytes));
    const names = Object.keys(cases);
    // row r has another case each time, so that every row has had every other beside it
    const right = Object.fromEntries(
      await Promise.all(names.map(async (name) => [name, await matrix(name, 320, (bytes) => new Float32Array(bytes))])),
    ) as Record<string, number[][]>;
    for (let turn = 0; turn < names.length; turn += 5) {
      const rows = Array.from({ length: 12 }, (_, r) => ({
        options: r < 10 ? cases[names[(r + turn) % names.length]!]! : {},
        tokens: previous[r % 6]!,
      }));
      const got = await onDevice(
        device(),
        rows.map((_, r) => logits[r % 6]!),
        rows,
      );
      for (const [r, { options }] of rows.entries()) {
        const name = names.find((each) => cases[each] === options);
        const expected = name === undefined ? logits[r % 6]! : right[name]![r % 6]!;
        expect(fromTop(got[r]!), name).toEqual(close(fromTop(expected)));
      }
    }
  });

  test('together they are what they are on the host; biases, words, masks and own tokens by request', async () => {
    const V = 70;
    const logits = Array.from({ length: 5 }, (_, r) =>
      Array.from({ length: V }, (_, i) => Math.fround(3 * Math.sin(r + 1.7 * i) + ((i * 7) % 5))),
    );
    const mask = new Uint32Array(3).fill(0x5a5a5a5a);
    const tokens = [4, 5, 6, 4, 5, 7, 4, 5];
    const rows = [
      {
        options: { logitBias: { 1: 4, 2: none, 69: -3 }, badWords: [[3], [5, 9], [4, 5, 10], [9, 11], [7, 4, 5, 12]] },
        tokens,
      },
      { options: { allowedTokens: mask, temperature: 0.5, topK: 20 }, tokens: [] },
      { options: { noRepeatNgramSize: 2, repetitionPenalty: 1.4, minP: 0.02 }, tokens, generated: 3 },
      {
        options: { noRepeatNgramSize: 1, presencePenalty: 1, frequencyPenalty: -0.5, topP: 0.9 },
        tokens,
        generated: 2,
      },
      { options: {}, tokens },
    ];
    const got = await onDevice(device(), logits, rows);
    for (const [r, { options, tokens, generated }] of rows.entries())
      expect(fromTop(got[r]!), `row ${r}`).toEqual(close(fromTop(onHost(logits[r]!, options, tokens, generated))));
    expect(got[0]!.flatMap((logit, id) => (logit === none ? [id] : []))).toEqual([2, 3, 9, 10, 12]);
    expect(got[2]!.flatMap((logit, id) => (logit === none ? [id] : []))).toEqual(expect.arrayContaining([6, 7]));
  });

  test('an n-gram is not kept from occurring twice where nothing else is left', async (context) => {
    leaveToNode(context);
    const rows = [{ options: { noRepeatNgramSize: 1 }, tokens: [0, 1, 2] }];
    expect(fromTop((await onDevice(device(), [[1, 2, 3]], rows))[0]!)).toEqual([-2, -1, 0]);
  });

  test('equally likely tokens stay together, and the likeliest always', async (context) => {
    leaveToNode(context);
    const logits = [2, 5, 5, none, 2, 1];
    const options = [
      { topK: 1 },
      { topK: 3 },
      { topP: 0 },
      { minP: 1 },
      { epsilonCutoff: 0.999 },
      { etaCutoff: 0.999 },
      { typicalP: 1e-6 },
    ];
    const got = await onDevice(
      device(),
      options.map(() => logits),
      options.map((each) => ({ options: each })),
    );
    for (const [row, each] of options.entries()) {
      const kept = got[row]!.flatMap((logit, id) => (logit === none ? [] : [id]));
      expect(kept, JSON.stringify(each)).toEqual('topK' in each && each.topK === 3 ? [0, 1, 2, 4] : [1, 2]);
    }
  });
});

test('every numeric option of a sampler is a parameter of a stage, with the same neutral value', () => {
  const parameters = Object.assign({}, ...standardStages.map((stage) => stage.parameters));
  expect(parameters).toEqual({ ...numericOptions, biased: 0, masked: 0, worded: 0 });
  const context: SampleContext = { step: 0, sequence: 0 };
  expect(sampler({ topK: 1, seed: 1 }).sample(Float32Array.of(1, 2), context)).toBe(1);
});
