import { openSafetensors } from '@heddle/tensor/safetensors';
import { expect, test } from 'vitest';
import { needShared } from '../../../../test-support/shared.ts';
import { filtersOf, type SamplerOptions, settingsOf } from './options.ts';

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

test('what each option makes of logits on the host is what transformers makes of them', async (context) => {
  const file = await openSafetensors(await needShared(context, 'fixtures/sampling/processors.safetensors'));
  const floats = async (name: string) => new Float32Array((await file.read(name)).buffer);
  const [rows, V] = file.info('logits').shape as [number, number];
  const logits = await floats('logits');
  const previous = new Int32Array((await file.read('previous')).buffer);
  const top = (row: Float32Array) => row.reduce((a, b) => Math.max(a, b));
  for (const [name, options] of Object.entries(cases)) {
    const right = await floats(name);
    const { always, drawing } = filtersOf(options, settingsOf(options, 0));
    for (let row = 0; row < rows; row++) {
      const got = logits.slice(row * V, (row + 1) * V);
      const tokens = [...previous.subarray(row * 20, (row + 1) * 20)];
      for (const filter of [...always, ...drawing]) filter.apply(got, tokens, tokens.length);
      const expected = right.subarray(row * V, (row + 1) * V);
      // a temperature is applied from the maximum: the same for every draw
      const shift = options.temperature === undefined ? 0 : top(expected) - top(got);
      expect(
        [...got].map((logit) => logit + shift),
        name,
      ).toEqual([...expected].map((value) => expect.closeTo(value, 5)));
    }
  }
});
