import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import * as wasm from '@tensorflow/tfjs-backend-wasm';

/** The work of bench/cpu.ts by tfjs, over the values that bench/cpu-contenders.ts gives. */
export async function tensorFlowJs({ a, b, batch, classes, inputs, oneHot, rate, size, weights, x }) {
  const main = createRequire(import.meta.url).resolve('@tensorflow/tfjs-backend-wasm');
  wasm.setWasmPaths(join(dirname(main), '/'));
  await tf.setBackend('wasm');
  await tf.ready();
  const [left, right] = [tf.tensor2d(a, [size, size]), tf.tensor2d(b, [size, size])];
  const images = tf.tensor2d(x, [batch, inputs]);
  const targets = tf.tensor2d(oneHot, [batch, classes]);
  const variables = weights.map(({ data, shape }) => tf.variable(tf.tensor(data, shape)));
  const lossOf = () => {
    const [w1, b1, w2, b2] = variables;
    const hiddenRows = tf.relu(tf.add(tf.matMul(images, w1), b1));
    const logits = tf.add(tf.matMul(hiddenRows, w2), b2);
    const shifted = tf.sub(logits, tf.max(logits, 1, true));
    const logProbabilities = tf.sub(shifted, tf.log(tf.sum(tf.exp(shifted), 1, true)));
    return tf.mul(tf.sum(tf.mul(logProbabilities, targets)), -1 / batch);
  };
  return {
    name: 'tfjs, WebAssembly (one thread: all that it has in Node)',
    async matmul() {
      const y = tf.matMul(left, right);
      const first = tf.slice(y, [0, 0], [1, 1]);
      const [value] = await first.data();
      tf.dispose([y, first]);
      return value;
    },
    async step() {
      const { value, grads } = tf.variableGrads(lossOf);
      tf.tidy(() => {
        for (const variable of variables) variable.assign(tf.sub(variable, tf.mul(grads[variable.name], rate)));
      });
      const [loss] = await value.data();
      tf.dispose([value, ...Object.values(grads)]);
      return loss;
    },
    async dispose() {},
  };
}
