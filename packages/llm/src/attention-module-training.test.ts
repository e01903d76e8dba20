import { createAttentionModule } from '@heddle/attention';
import type { Tensor } from '@heddle/tensor';
import { openReference } from '@heddle/tensor/reference';
import { adamw, train } from '@heddle/trainer';
import { expect, test } from 'vitest';

test('an attention module is what a trainer takes: it learns to give the token before', async () => {
  const device = await openReference();
  const [B, L, E] = [2, 8, 16];
  using module = await createAttentionModule(device, { width: E, heads: 1, bias: true, seed: 3 });
  const before = await module.parameters.query.weight.clone().realize();
  // every row holds a token and its place; the target is the token one place before
  const token = (b: number, l: number) => (b * 5 + l * 3) % 8;
  const x = new Float32Array(B * L * E);
  const y = new Float32Array(B * L * E);
  for (let b = 0; b < B; b++)
    for (let l = 0; l < L; l++) {
      x[(b * L + l) * E + token(b, l)] = 1;
      x[(b * L + l) * E + 8 + l] = 1;
      y[(b * L + l) * E + token(b, Math.max(l - 1, 0))] = 1;
    }
  const batch = { x: { data: x, shape: [B, L, E] }, y: { data: y, shape: [B, L, E] } };
  const losses: number[] = [];
  const reports = train({
    model: {
      parameters: module.parameters,
      forward: ({ x }: { readonly x: Tensor; readonly y: Tensor }) => module.forward({ x }),
    },
    data: Array.from({ length: 60 }, () => batch),
    loss: (output, { y }) => output.sub(y).pow(2).mean(),
    optimizer: adamw({ learningRate: 0.03 }),
    steps: 60,
  });
  for await (const { loss } of reports) losses.push(loss);
  expect(losses.at(-1)!).toBeLessThan(losses[0]! / 20);
  expect(await module.parameters.query.weight.sub(before).abs().max().item()).toBeGreaterThan(1e-3);
  await device.dispose();
});
