import { type Device, gradients, type Tensor } from '@heddle/tensor';
import { openSafetensors, type SafetensorsFile } from '@heddle/tensor/safetensors';
import { expect, type TestContext } from 'vitest';
import { needShared } from '../../../../test-support/shared.ts';
import { llamaOf } from '../../../../test-support/small-llama.ts';
import { backendName, conformance, leaveToNode, test } from '../../../../test-support/suite.ts';
import { dpoLoss, sequenceLogProbabilities } from './preference.ts';

const floats = async (file: SafetensorsFile, name: string) => new Float32Array((await file.read(name)).buffer);

/** Prompts with completions of unequal length as tokens and targets. */
async function completions(device: Device, file: SafetensorsFile, which: 'chosen' | 'rejected') {
  const ints = async (name: string) => new Int32Array((await file.read(name)).buffer);
  const [prompt, completion, lengths] = [await ints('prompt'), await ints(which), await ints(`${which}_lengths`)];
  const [B, P, C] = [4, 8, 10];
  const L = P + C - 1;
  const at = (row: number, i: number) => (i < P ? prompt[row * P + i]! : completion[row * C + i - P]!);
  const tokens = Int32Array.from({ length: B * L }, (_, i) => at(Math.floor(i / L), i % L));
  const targets = Int32Array.from({ length: B * L }, (_, i) => {
    const [row, place] = [Math.floor(i / L), i % L];
    return place >= P - 1 && place < P - 1 + lengths[row]! ? at(row, place + 1) : -100;
  });
  return [device.tensor(tokens, { shape: [B, L] }), device.tensor(targets, { shape: [B, L] })] as const;
}

async function policyOf(device: Device, file: SafetensorsFile) {
  const weights = new Map<string, { readonly data: Float32Array; readonly shape: readonly number[] }>();
  for (const name of file.names())
    if (name.startsWith('policy.'))
      weights.set(name.slice('policy.'.length), { data: await floats(file, name), shape: file.info(name).shape });
  return llamaOf(device, weights);
}

function distance(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  let [difference, size] = [0, 0];
  for (let i = 0; i < expected.length; i++) {
    difference += (actual[i]! - expected[i]!) ** 2;
    size += expected[i]! ** 2;
  }
  return Math.sqrt(difference / size);
}

conformance('preferences', (device) => {
  const open = async (context: TestContext) =>
    openSafetensors(await needShared(context, 'fixtures/preference/dpo.safetensors'));

  test('log-probabilities, loss and gradients are those of PyTorch', async (context) => {
    if (backendName.startsWith('webgpu')) leaveToNode(context);
    const file = await open(context);
    const policy = await policyOf(device(), file);
    const logProbabilities: Record<string, Tensor> = {};
    const given: Tensor[] = [];
    for (const which of ['chosen', 'rejected'] as const) {
      const [tokens, targets] = await completions(device(), file, which);
      const reference = device().tensor(await floats(file, `reference_${which}_logp`));
      const name = which === 'chosen' ? 'Chosen' : 'Rejected';
      logProbabilities[`policy${name}`] = sequenceLogProbabilities(policy.forward({ tokens }), targets);
      logProbabilities[`reference${name}`] = reference;
      given.push(tokens, targets, reference);
    }
    const { loss, accuracy, chosenRewards, rejectedRewards } = dpoLoss(logProbabilities as never);
    const names = Object.keys(policy.parameters);
    const found = gradients(loss, Object.values(policy.parameters));
    const wanted = [
      loss,
      accuracy,
      chosenRewards,
      rejectedRewards,
      ...found,
      logProbabilities['policyChosen']!,
      logProbabilities['policyRejected']!,
    ];
    await device().realize(wanted);
    for (const which of ['chosen', 'rejected'] as const) {
      const name = which === 'chosen' ? 'policyChosen' : 'policyRejected';
      const [actual, expected] = [await logProbabilities[name]!.data(), await floats(file, `policy_${which}_logp`)];
      for (const [i, value] of expected.entries())
        expect(Math.abs(actual[i]! - value)).toBeLessThan(1e-4 * Math.abs(value));
    }
    expect(Math.abs((await loss.item()) - (await floats(file, 'loss'))[0]!)).toBeLessThan(1e-5);
    const [chosen, rejected] = [await chosenRewards.data(), await rejectedRewards.data()];
    expect(await accuracy.item()).toBeCloseTo([0, 1, 2, 3].filter((i) => chosen[i]! > rejected[i]!).length / 4, 6);
    for (const [i, name] of names.entries())
      expect(distance(await found[i]!.data(), await floats(file, `gradient.${name}`)), name).toBeLessThan(1e-4);
    for (const tensor of [...wanted, ...given]) tensor.dispose();
    policy.dispose();
  }, 120_000);

  test('other losses, and what makes no sense', async () => {
    const [a, b] = [device().tensor([-1, -2]), device().tensor([-3, -1])];
    const sums = { policyChosen: a, policyRejected: b, referenceChosen: a.mul(0), referenceRejected: b.mul(0) };
    const margins = [2, -1];
    const mean = (f: (margin: number) => number) => (f(margins[0]!) + f(margins[1]!)) / 2;
    const softplus = (x: number) => Math.log1p(Math.exp(x));
    expect(await dpoLoss(sums, { kind: 'ipo', beta: 0.5 }).loss.item()).toBeCloseTo(
      mean((m) => (m - 1) ** 2),
      5,
    );
    expect(await dpoLoss(sums, { kind: 'hinge', beta: 0.5 }).loss.item()).toBeCloseTo(
      mean((m) => Math.max(0, 1 - 0.5 * m)),
      5,
    );
    const smoothed = mean((m) => 0.8 * softplus(-0.5 * m) + 0.2 * softplus(0.5 * m));
    expect(await dpoLoss(sums, { beta: 0.5, labelSmoothing: 0.2 }).loss.item()).toBeCloseTo(smoothed, 5);
    expect(() => dpoLoss(sums, { beta: 0 })).toThrow(/beta must be positive/);
    expect(() => dpoLoss(sums, { labelSmoothing: 0.5 })).toThrow(/labelSmoothing must be/);
    expect(() => dpoLoss(sums, { kind: 'apo' as never })).toThrow(/kind takes/);
    expect(() => sequenceLogProbabilities(a, b)).toThrow(/takes logits \[B, L, V\]/);
    a.dispose();
    b.dispose();
  });
});
