// A small network is trained here, written as an .onnx file, and run by a session of ONNX Runtime that knows nothing of us.
//   npx tsx --conditions=@heddle/source examples/export-onnx.ts [FILE] [DEVICE]
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { compile, crossEntropy, gradients, openDevice, randomNormal, type Tensor } from '@heddle/tensor';
import { exportOnnx } from '@heddle/tensor/onnx';
import { InferenceSession, Tensor as Value } from 'onnxruntime-node';
import { exampleArguments } from './arguments.ts';

const { args, device: name } = exampleArguments('export-onnx.ts [FILE]', 1);
const [path = join(tmpdir(), 'rings.onnx')] = args;
const device = await openDevice(name);
console.log(`${device.name}: ${device.description}`);

/** Points in the square around 0, and whether they lie in the ring between the circles of radius 0.4 and 0.8. */
function sample(count: number, seed: number): { points: Float32Array; labels: Int32Array } {
  const points = Float32Array.from({ length: 2 * count }, (_, i) => ((((i + 1) * seed * 0.618034) % 1) - 0.5) * 2);
  const labels = Int32Array.from({ length: count }, (_, i) => {
    const radius = Math.hypot(points[2 * i]!, points[2 * i + 1]!);
    return Number(radius > 0.4 && radius < 0.8);
  });
  return { points, labels };
}

async function layer(name: string, inputs: number, outputs: number, seed: number) {
  const initial = randomNormal(device, [inputs, outputs], seed).mul(Math.sqrt(2 / inputs));
  return {
    weight: device.variable(await initial.data(), { shape: [inputs, outputs], name: `${name}.weight` }),
    bias: device.variable(new Float32Array(outputs), { name: `${name}.bias` }),
  };
}
const layers = [await layer('first', 2, 64, 1), await layer('second', 64, 64, 2), await layer('last', 64, 2, 3)];
const variables = layers.flatMap(({ weight, bias }) => [weight, bias]);

const logitsOf = (points: Tensor): Tensor =>
  layers.reduce((x, { weight, bias }, i) => {
    const y = x.matmul(weight).add(bias);
    return i < layers.length - 1 ? y.relu() : y;
  }, points);

const velocities = variables.map(({ shape }) => device.zeroVariable(shape as number[]));
const step = compile(
  (points: Tensor, labels: Tensor) => {
    const loss = crossEntropy(logitsOf(points), labels);
    const moving = gradients(loss, variables).map((slope, i) => velocities[i]!.mul(0.9).add(slope!));
    const updates = moving.flatMap((velocity, i) => [
      velocities[i]!.assign(velocity),
      variables[i]!.assign(variables[i]!.sub(velocity.mul(0.05))),
    ]);
    return { loss, updates };
  },
  { device, inputs: [{ shape: [512, 2] }, { shape: [512], dtype: 'i32' }], name: 'training step' },
);
let start = performance.now();
for (let i = 0; i <= 300; i++) {
  if (i === 1) start = performance.now(); // the first step compiles
  const { points, labels } = sample(512, 1 + i);
  const { loss } = await step(points, labels);
  if (i % 100 === 0) console.log(`step ${i}: loss ${(await loss.item()).toFixed(4)}`);
}
console.log(`${((performance.now() - start) / 300).toFixed(2)} ms a step`);

// the variables become initialisers with the values that they have now; N is a dimension of any size
const classify = (points: Tensor) => ({ probabilities: logitsOf(points).softmax(-1) });
const file = await exportOnnx(classify, [{ shape: ['N', 2] }], {
  device,
  symbols: { N: 4096 },
  inputNames: ['points'],
  path,
});
console.log(`${path}: ${file.bytes.byteLength} bytes`);

const session = await InferenceSession.create(path);
console.log(`inputs ${session.inputNames}, outputs ${session.outputNames}`);
for (const count of [5, 1000]) {
  const { points, labels } = sample(count, 77.7);
  const began = performance.now();
  const { probabilities } = await session.run({ points: new Value('float32', points, [count, 2]) });
  const took = (performance.now() - began).toFixed(2);
  const theirs = probabilities!.data as Float32Array;
  const ours = await classify(device.tensor(points, { shape: [count, 2] })).probabilities.data();
  const difference = theirs.reduce((most, value, i) => Math.max(most, Math.abs(value - ours[i]!)), 0);
  const right = labels.reduce((sum, label, i) => sum + Number(theirs[2 * i + 1]! > 0.5 === (label === 1)), 0);
  console.log(
    `${count} points: ${right} right, probabilities differ by at most ${difference.toExponential(1)}, ${took} ms`,
  );
}
await session.release();
await device.dispose();
