import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import * as wasm from '@tensorflow/tfjs-backend-wasm';

/**
 * The GPT-2 of bench/gpt2-model.ts in TensorFlow.js, from the given weights, with its Adam: on the fastest of its back ends that
 * trains it in Node. Rows of the embeddings are taken by products with ones and zeros, as WebAssembly has no gradient of a gather.
 */
export async function characterModel({ V, E, N, H, rows, length, weights }) {
  const main = createRequire(import.meta.url).resolve('@tensorflow/tfjs-backend-wasm');
  wasm.setWasmPaths(join(dirname(main), '/'));
  const found = [];
  for (const backend of ['wasm', 'cpu']) {
    await tf.setBackend(backend);
    await tf.ready();
    const step = trainer({ V, E, N, H, rows, length, weights, backend });
    const tokens = new Int32Array(rows * length);
    try {
      await step(tokens, tokens);
      const from = performance.now();
      await step(tokens, tokens);
      found.push({ backend, ms: performance.now() - from });
    } catch (error) {
      console.error(`tfjs, ${backend}: ${error.message.split('\n')[0]}`);
    }
  }
  const [{ backend }] = found.sort((a, b) => a.ms - b.ms);
  await tf.setBackend(backend);
  return {
    name: `tfjs, ${backend}`,
    step: trainer({ V, E, N, H, rows, length, weights, backend: `${backend} again` }),
  };
}

function trainer({ V, E, N, H, rows, length, weights, backend }) {
  const of = Object.fromEntries(
    Object.entries(weights).map(([name, { data, shape }]) => [
      name,
      tf.variable(tf.tensor(data, shape), true, `${backend} ${name}`),
    ]),
  );
  const optimizer = tf.train.adam(1e-3, 0.9, 0.99);
  const mask = tf.tensor(
    Float32Array.from({ length: length * length }, (_, i) => (i % length > Math.floor(i / length) ? -1e9 : 0)),
    [length, length],
  );
  const norm = (x, name) => {
    const mean = tf.mean(x, -1, true);
    const centered = tf.sub(x, mean);
    const deviation = tf.sqrt(tf.add(tf.mean(tf.mul(centered, centered), -1, true), 1e-5));
    return tf.add(tf.mul(tf.div(centered, deviation), of[`${name}.weight`]), of[`${name}.bias`]);
  };
  const linear = (x, name) => tf.add(tf.matMul(x, of[`${name}.weight`]), of[`${name}.bias`]);
  const gelu = (x) => {
    const inner = tf.mul(Math.sqrt(2 / Math.PI), tf.add(x, tf.mul(0.044715, tf.mul(x, tf.mul(x, x)))));
    return tf.mul(tf.mul(0.5, x), tf.add(1, tf.tanh(inner)));
  };
  const lossOf = (ones, targets) => {
    const places = tf.reshape(of['wpe.weight'], [1, length, E]);
    let x = tf.reshape(tf.add(tf.reshape(tf.matMul(ones, of['wte.weight']), [rows, length, E]), places), [-1, E]);
    for (let i = 0; i < N; i++) {
      const parts = tf.split(linear(norm(x, `h.${i}.ln_1`), `h.${i}.attn.c_attn`), 3, 1);
      const [q, k, v] = parts.map((part) => tf.transpose(tf.reshape(part, [rows, length, H, E / H]), [0, 2, 1, 3]));
      const scores = tf.add(tf.mul(tf.matMul(q, k, false, true), 1 / Math.sqrt(E / H)), mask);
      const mixed = tf.transpose(tf.matMul(tf.softmax(scores), v), [0, 2, 1, 3]);
      x = tf.add(x, linear(tf.reshape(mixed, [-1, E]), `h.${i}.attn.c_proj`));
      x = tf.add(x, linear(gelu(linear(norm(x, `h.${i}.ln_2`), `h.${i}.mlp.c_fc`)), `h.${i}.mlp.c_proj`));
    }
    const logits = tf.matMul(norm(x, 'ln_f'), of['wte.weight'], false, true);
    const shifted = tf.sub(logits, tf.max(logits, 1, true));
    const logProbabilities = tf.sub(shifted, tf.log(tf.sum(tf.exp(shifted), 1, true)));
    return tf.mul(tf.sum(tf.mul(logProbabilities, targets)), -1 / (rows * length));
  };
  const oneHot = (codes) => {
    const values = new Float32Array(codes.length * V);
    codes.forEach((code, row) => {
      values[row * V + code] = 1;
    });
    return tf.tensor(values, [codes.length, V]);
  };
  return async (tokens, targets) => {
    const [ones, wanted] = [oneHot(tokens), oneHot(targets)];
    const loss = optimizer.minimize(() => lossOf(ones, wanted), true, Object.values(of));
    const [value] = await loss.data();
    tf.dispose([loss, ones, wanted]);
    return value;
  };
}
