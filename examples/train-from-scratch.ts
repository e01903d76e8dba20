// Text in, a model out: trains a byte-pair tokenizer and a small Llama on text files, and writes a folder that loads anywhere.
//   npx tsx --conditions=@heddle/source examples/train-from-scratch.ts TEXT... --out FOLDER [--steps 2000] [--device auto]
// The last 5% of each file are held out; at the end their bits per byte are printed.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type LoadedModel, loadModel } from '@heddle/llm';
import { crossEntropy, type DeviceName, f32ToF16, openDevice, type Tensor } from '@heddle/tensor';
import { writeSafetensors } from '@heddle/tensor/safetensors';
import { adamw, chain, clipByGlobalNorm, train, warmupCosineSchedule } from '@heddle/trainer';
import { trainBytePair } from '@heddle/trainer/bpe';
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

mkdirSync(out, { recursive: true });
const write = (name: string, content: object) =>
  writeFileSync(join(out, name), `${JSON.stringify(content, null, 1)}\n`);

// 1. A tokenizer for these texts. Every text begins with its token 0.
const boundary = '<|endoftext|>';
const texts = paths.map(splitText);
const learned = texts.map((text) => text.learned);
write(
  'tokenizer.json',
  trainBytePair(learned, {
    vocabularySize: number('vocabulary'),
    specialTokens: [boundary],
    beginToken: boundary,
  }).toJSON(),
);
write('tokenizer_config.json', {
  tokenizer_class: 'PreTrainedTokenizerFast',
  bos_token: boundary,
  eos_token: boundary,
  model_max_length: context,
  clean_up_tokenization_spaces: false,
  // turns as in a play
  chat_template:
    "{{ bos_token }}{% for message in messages %}{{ message['role'] | upper }}:\n{{ message['content'] }}\n\n{% endfor %}{% if add_generation_prompt %}ASSISTANT:\n{% endif %}",
});

// 2. A Llama with random weights.
const config = {
  architectures: ['LlamaForCausalLM'],
  model_type: 'llama',
  vocab_size: number('vocabulary'),
  hidden_size: width,
  intermediate_size: Math.round((width * 8) / 3 / 16) * 16,
  num_hidden_layers: layers,
  num_attention_heads: width / 32,
  num_key_value_heads: width / 64,
  head_dim: 32,
  max_position_embeddings: context,
  rms_norm_eps: 1e-5,
  rope_theta: 10_000,
  hidden_act: 'silu',
  tie_word_embeddings: true,
  attention_bias: false,
  mlp_bias: false,
  bos_token_id: 0,
  eos_token_id: 0,
  torch_dtype: 'float16',
};
write('config.json', config);
write('generation_config.json', { bos_token_id: 0, eos_token_id: 0, do_sample: true, temperature: 0.7, top_p: 0.9 });
writeFileSync(join(out, 'model.safetensors'), writeSafetensors(randomWeights()));

const device = await openDevice(values.device as DeviceName);
const model = await loadModel(out, { device, trainable: true });
const size = model.parameters.reduce(
  (sum, { shape }) => sum + (shape as readonly number[]).reduce((a, b) => a * b, 1),
  0,
);
console.log(`${device.name}: ${device.description}\n${size.toLocaleString('en')} parameters`);

// 3. Windows of text as batches, and training.
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

// 4. The weights in f16, and what they are worth.
await save(model);
await model.dispose();
const saved = await loadModel(out, { device });
for (const line of await heldOutTable(saved, tokenizer, paths)) console.log(line);
await saved.dispose();
await device.dispose();

/** Normal values of deviation 0.02, less in front of the residual stream; ones for norms. */
function randomWeights() {
  const { hidden_size: E, intermediate_size: F, vocab_size: V, num_key_value_heads: K } = config;
  const D = config.head_dim;
  const tensors = new Map<string, { dtype: 'F32'; shape: readonly number[]; data: Float32Array }>();
  const add = (name: string, shape: readonly number[], value: () => number) => {
    const data = Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, value);
    tensors.set(`model.${name}.weight`, { dtype: 'F32', shape, data });
  };
  const normal = (deviation: number) => () =>
    deviation * Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
  const toResidual = normal(0.02 / Math.sqrt(2 * layers));
  add('embed_tokens', [V, E], normal(0.02));
  for (let i = 0; i < layers; i++) {
    add(`layers.${i}.self_attn.q_proj`, [E, E], normal(0.02));
    for (const name of ['k_proj', 'v_proj']) add(`layers.${i}.self_attn.${name}`, [K * D, E], normal(0.02));
    add(`layers.${i}.self_attn.o_proj`, [E, E], toResidual);
    for (const name of ['gate_proj', 'up_proj']) add(`layers.${i}.mlp.${name}`, [F, E], normal(0.02));
    add(`layers.${i}.mlp.down_proj`, [E, F], toResidual);
    for (const name of ['input_layernorm', 'post_attention_layernorm']) add(`layers.${i}.${name}`, [E], () => 1);
  }
  add('norm', [E], () => 1);
  return tensors;
}

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

async function save({ parameters }: LoadedModel): Promise<void> {
  const tensors = new Map<string, { dtype: 'F16'; shape: readonly number[]; data: Uint16Array }>();
  for (const weight of parameters) {
    const data = f32ToF16((await weight.data()) as Float32Array);
    tensors.set(weight.name, { dtype: 'F16', shape: weight.shape as readonly number[], data });
  }
  writeFileSync(join(out, 'model.safetensors'), writeSafetensors(tensors, { format: 'pt' }));
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
