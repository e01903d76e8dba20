// What a newcomer writes first with the trainer: layers in a list, trained and saved.
import { type Tensor, tanh } from '@heddle/tensor';
import { createLinear } from '@heddle/tensor/nn';
import { openReference } from '@heddle/tensor/reference';
import { adamw, repeat, train } from '@heddle/trainer';

const device = await openReference();
const layers = [2, 8].map((inputs, i) => createLinear(device, { inputs, outputs: i === 0 ? 8 : 1, seed: i }));
const model = {
  parameters: layers.map(({ parameters }) => parameters),
  forward: ({ x }: { readonly x: Tensor }) => layers[1]!.forward(tanh(layers[0]!.forward(x))),
};
const batch = {
  x: { data: Float32Array.of(0, 0, 0, 1, 1, 0, 1, 1), shape: [4, 2] },
  y: { data: Float32Array.of(0, 1, 1, 0), shape: [4, 1] },
};
let last = Number.NaN;
for await (const { loss } of train({
  model,
  data: repeat([batch]),
  loss: (output, { y }) => output.sub(y).square().mean(),
  optimizer: adamw({ learningRate: 0.1 }),
  steps: 100,
}))
  last = loss;
if (!(last < 0.05)) throw new Error(`not learned: ${last}`);
console.log('learned');
await device.dispose();
