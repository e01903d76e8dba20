// What bench/cpu.ts times: the same work by Heddle on ONNX Runtime, by a bare session of ONNX Runtime, and by two libraries
// that compute in WebAssembly.
import { compile, crossEntropy, gradients, type Tensor } from '@heddle/tensor';
import { exportOnnx, openOnnx } from '@heddle/tensor/onnx';
import * as jax from '@jax-js/jax';
import { InferenceSession, Tensor as RuntimeTensor } from 'onnxruntime-node';
import { values } from './cpu-settings.js';

/** Work that is prepared, warmed up by its first call, and checked by a number that it gives. */
export interface Contender {
  readonly name: string;
  /** One product of two 1024 x 1024 matrices; gives one value of it. */
  matmul?(): Promise<number>;
  /** Forward, backward and update of the network; gives the loss. */
  step?(): Promise<number>;
  dispose(): Promise<void>;
}

const threads = 2;
const size = 1024;
const layers = { inputs: 784, hidden: 1024, classes: 10, batch: 128 };
const rate = 0.01;

const { inputs, hidden, classes, batch } = layers;
const [a, b] = [values(size * size, 1), values(size * size, 2)];
const x = values(batch * inputs, 3);
const labels = Int32Array.from({ length: batch }, (_, i) => i % classes);
const oneHot = Float32Array.from({ length: batch * classes }, (_, i) =>
  Number(labels[Math.floor(i / classes)] === i % classes),
);
const weights = [
  { data: values(inputs * hidden, 4).map((value) => value / 28), shape: [inputs, hidden] },
  { data: new Float32Array(hidden), shape: [hidden] },
  { data: values(hidden * classes, 5).map((value) => value / 32), shape: [hidden, classes] },
  { data: new Float32Array(classes), shape: [classes] },
];

export async function heddle(): Promise<Contender> {
  const device = await openOnnx({ threads });
  const [left, right] = [device.tensor(a, { shape: [size, size] }), device.tensor(b, { shape: [size, size] })];
  const product = compile((p: Tensor, q: Tensor) => p.matmul(q));
  const variables = weights.map(({ data, shape }) => device.variable(data, { shape }));
  const [images, targets] = [device.tensor(x, { shape: [batch, inputs] }), device.tensor(labels)];
  const train = compile((images: Tensor, targets: Tensor) => {
    const [w1, b1, w2, b2] = variables;
    const logits = images.matmul(w1!).add(b1!).relu().matmul(w2!).add(b2!);
    const loss = crossEntropy(logits, targets);
    const slopes = gradients(loss, variables);
    return { loss, updates: variables.map((v, i) => v.assign(v.sub(slopes[i]!.mul(rate)))) };
  });
  if (process.env['EXPLAIN']) {
    await train(images, targets);
    console.log(train.explain());
  }
  return {
    name: `Heddle, ${device.description}`,
    matmul: async () => firstValue(await product(left, right)),
    step: async () => (await train(images, targets)).loss.item(),
    dispose: () => device.dispose(),
  };
}

/** The first value of what a run on the CPU gave, without a copy of the rest. */
const firstValue = (tensor: Tensor) => (tensor.storage as unknown as { readonly data: Float32Array }).data[0]!;

/** A session of ONNX Runtime with the settings of the executor, over a model that is one MatMul. */
export async function bareSession(): Promise<Contender> {
  const device = await openOnnx({ threads });
  const example = { shape: [size, size] };
  const { bytes } = await exportOnnx((p: Tensor, q: Tensor) => p.matmul(q), [example, example], { device });
  await device.dispose();
  const session = await InferenceSession.create(bytes, { intraOpNumThreads: threads, interOpNumThreads: 1 });
  const feeds = {
    input0: new RuntimeTensor('float32', a, [size, size]),
    input1: new RuntimeTensor('float32', b, [size, size]),
  };
  return {
    name: 'a bare ONNX Runtime session',
    matmul: async () => ((await session.run(feeds))['output']!.data as Float32Array)[0]!,
    dispose: () => session.release(),
  };
}

export async function jaxJs(): Promise<Contender> {
  await jax.init('wasm');
  jax.defaultDevice('wasm');
  const { numpy: np } = jax;
  const array = (data: Float32Array<ArrayBuffer>, shape: readonly number[]) => np.array(data).reshape([...shape]);
  const [left, right] = [array(a, [size, size]), array(b, [size, size])];
  await jax.blockUntilReady([left, right]);
  const product = jax.jit((p: jax.Array, q: jax.Array) => np.matmul(p, q));

  type Parameters = [jax.Array, jax.Array, jax.Array, jax.Array];
  const images = array(x, [batch, inputs]);
  const targets = array(oneHot, [batch, classes]);
  const lossOf = ([w1, b1, w2, b2]: Parameters, images: jax.Array, targets: jax.Array) => {
    const logits = np.matmul(jax.nn.relu(np.matmul(images, w1).add(b1)), w2).add(b2);
    return jax.nn
      .logSoftmax(logits)
      .mul(targets)
      .sum()
      .mul(-1 / batch);
  };
  const train = jax.jit((parameters: Parameters, images: jax.Array, targets: jax.Array) => {
    const [loss, slopes] = jax.valueAndGrad(lossOf)(jax.tree.ref(parameters), images, targets);
    return [loss, parameters.map((p, i) => p.sub(slopes[i]!.mul(rate)))] as unknown as [jax.Array, Parameters];
  });
  let parameters = weights.map(({ data, shape }) => array(data, shape)) as Parameters;
  return {
    name: 'jax-js, WebAssembly',
    async matmul() {
      const y = product(left.ref, right.ref);
      await y.blockUntilReady();
      const value = y.ref.slice(0, 0);
      y.dispose();
      return Number((await value.data())[0]);
    },
    async step() {
      const [loss, next] = train(parameters, images.ref, targets.ref);
      await jax.blockUntilReady(next);
      parameters = next;
      return Number((await loss.data())[0]);
    },
    dispose: async () => product.dispose(),
  };
}

/** @throws Error that says how to install it: it stands in a folder of its own, since nothing else here needs it. */
export async function tensorFlowJs(): Promise<Contender> {
  try {
    const { tensorFlowJs: contender } = await import(new URL('../peers/tfjs/contender.js', import.meta.url).href);
    return await (contender as (given: object) => Promise<Contender>)({
      a,
      b,
      batch,
      classes,
      inputs,
      oneHot,
      rate,
      size,
      weights,
      x,
    });
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw cause;
    throw new Error('tfjs is not installed: npm ci --ignore-scripts --prefix bench/peers/tfjs', { cause });
  }
}
