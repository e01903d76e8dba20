// Text in, a model out: trains a byte-pair tokenizer and a small Llama on text files, and writes a folder that loads anywhere.
//   npx tsx --conditions=@heddle/source examples/train-from-scratch.ts TEXT... --out FOLDER [--steps 2000] [--device auto]
// The last 5% of each file are held out; at the end their bits per byte are printed.
import { parseArgs } from 'node:util';
import { loadModel } from '@heddle/llm';
import { createModelFolder, saveModel } from '@heddle/llm/training';
import { crossEntropy, type DeviceName, openDevice, type Tensor } from '@heddle/tensor';
import { adamw, chain, clipByGlobalNorm, train, warmupCosineSchedule } from '@heddle/trainer';
import { heldOutTable, splitText } from './bits-per-byte.ts';

const { values, positionals: paths } = parseArgs({
  allowPositionals: true,
  options: {
    out: { type: 'string', default: 'my-model' },
    device: { type: 'string', default: 'auto' },
    steps: { type: 'string', default: '2000' },
    batch: { type: 'string', default: '32' },
    rate: { type: 'string', default: '0.004' },
    decay: { type: 'string', default: '2.5' },
    vocabulary: { type: 'string', default: '4096' },
    width: { type: 'string', default: '256' },
    layers: { type: 'string', default: '4' },
    seed: { type: 'string', default: '1' },
  },
});
if (paths.length === 0) throw new Error('train-from-scratch: name at least one text file');
const { out } = values;
const number = (name: Exclude<keyof typeof values, 'out' | 'device'>) => Number(values[name]);
const [steps, rows, width, layers] = [number('steps'), number('batch'), number('width'), number('layers')];
const random = mulberry32(number('seed'));
const context = 512;

// 1. A tokenizer for these texts and a Llama with random weights. Conversations are written as turns of a play.
const texts = paths.map(splitText);
const learned = texts.map((text) => text.learned);
const chatTemplate =
  "{{ bos_token }}{% for message in messages %}{{ message['role'] | upper }}:\n{{ message['content'] }}\n\n{% endfor %}{% if add_generation_prompt %}ASSISTANT:\n{% endif %}";
const vocabularySize = number('vocabulary');
await createModelFolder(out, { texts: learned, vocabularySize, width, layers, context, random, chatTemplate });

const device = await openDevice(values.device as DeviceName);
const model = await loadModel(out, { device, trainable: true });
const size = model.parameters.reduce(
  (sum, { shape }) => sum + (shape as readonly number[]).reduce((a, b) => a * b, 1),
  0,
);
console.log(`${device.name}: ${device.description}\n${size.toLocaleString('en')} parameters`);

// 2. Windows of text as batches, and training.
const tokenizer = model.requireTokenizer();
const stream = Int32Array.from(learned.flatMap((text) => [...tokenizer.encode(text, { addSpecialTokens: false }), 0]));
console.log(
  `${stream.length.toLocaleString('en')} tokens, ${((steps * rows * context) / stream.length).toFixed(1)} times`,
);
const optimizer = chain(
  clipByGlobalNorm(1),
  adamw({
    learningRate: warmupCosineSchedule({
      peak: number('rate'),
      warmupSteps: Math.min(100, steps >> 2),
      totalSteps: steps,
      final: number('rate') / 50,
    }),
    betas: [0.9, 0.95],
    weightDecay: number('decay'),
  }),
);
const loss = ({ logits }: { readonly logits: Tensor }, { targets }: { readonly targets: Tensor }) =>
  crossEntropy(logits, targets);
let mean = 0;
for await (const report of train({ model, loss, optimizer, data: windows(), steps })) {
  mean = mean === 0 ? report.loss : 0.98 * mean + 0.02 * report.loss;
  if (report.step % 100 === 99 || report.step === steps - 1)
    console.log(
      `step ${report.step + 1}: loss ${mean.toFixed(4)}, rate ${report.learningRate.toExponential(2)}, ${report.tokensPerSecond?.toFixed(0)} tokens/s`,
    );
}

// 3. The weights in f16, and what they are worth.
await saveModel(out, model, { from: out, dtype: 'f16' });
await model.dispose();
const saved = await loadModel(out, { device });
for (const line of await heldOutTable(saved, tokenizer, paths)) console.log(line);
await saved.dispose();
await device.dispose();

/** Every window of the stream once, in random order, from another first token each time; without end. */
function* windows() {
  const shape = [rows, context];
  for (;;) {
    const starts: number[] = [];
    for (let at = Math.floor(random() * context); at + context <= stream.length; at += context) starts.push(at);
    for (let i = starts.length - 1; i > 0; i--) {
      const j = Math.floor(random() * (i + 1));
      [starts[i], starts[j]] = [starts[j]!, starts[i]!];
    }
    for (let first = 0; first + rows <= starts.length; first += rows) {
      const [tokens, targets] = [new Int32Array(rows * context), new Int32Array(rows * context)];
      for (let row = 0; row < rows; row++) {
        const start = starts[first + row]!;
        targets.set(stream.subarray(start, start + context), row * context);
        tokens.set(stream.subarray(start, start + context - 1), row * context + 1); // behind token 0
      }
      yield { tokens: { data: tokens, shape }, targets: { data: targets, shape } };
    }
  }
}

/** Numbers from 0 to 1 that depend on the seed alone. */
function mulberry32(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}
