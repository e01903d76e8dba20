// Several adapters of low rank beside one model, of which each request of a batch names its own: two are trained here, on other
// completions of the same prompt, and answer together with the model alone.
//   npx tsx --conditions=@heddle/source examples/lora-per-request.ts [MODEL] [DEVICE]
import { createAdapterPool, generateText, loadModel, openEngine, textModel } from '@heddle/llm';
import { nextTokenLoss, trainableLm } from '@heddle/llm/training';
import { openDevice } from '@heddle/tensor';
import { adamw, train } from '@heddle/trainer';
import { encodeExample, exampleBatches } from '@heddle/trainer/data';
import { createLora } from '@heddle/trainer/lora';
import { exampleArguments } from './arguments.ts';

const { args, device: deviceName } = exampleArguments('lora-per-request.ts [MODEL]', 1);
const [path = 'examples/models/prose4m'] = args;
const prompt = 'The old captain went down to the harbour and';
const styles = { sailor: ' swore at the gulls.', gentleman: ' begged their pardon.' };

const device = await openDevice(deviceName);
const model = await loadModel(path, { device });
const tokenizer = model.requireTokenizer();
const encode = (text: string) => tokenizer.encode(text, { addSpecialTokens: false });
const { bosTokenId: startToken, eosTokenId: endToken } = tokenizer;
console.log(`${device.name}: ${device.description}`);

// 1. Adapters of whatever ranks and layers are put into places of one pool, which the engine computes with.
const targets = ['q_proj', 'v_proj', 'up_proj', 'down_proj'];
const adapters = createAdapterPool(model, { maxAdapters: 2, maxRank: 8, targets });
for (const [i, [name, completion]] of Object.entries(styles).entries()) {
  using adapter = await createLora(device, model.parameters, { rank: 4 + 4 * i, alpha: 16, targets, seed: i });
  const ids = { ...(startToken !== undefined && { startToken }), ...(endToken !== undefined && { endToken }) };
  const example = encodeExample({ prompt, completion }, { encode, ...ids });
  const data = exampleBatches([example], { rows: 1, length: 32, epochs: 30 });
  const optimizer = adamw({ learningRate: 5e-3, weightDecay: 0 });
  let last = Number.NaN;
  for await (const { loss } of train({ model: trainableLm(model, { adapter }), loss: nextTokenLoss, optimizer, data }))
    last = loss;
  await adapters.load(name, adapter); // a folder in PEFT's format does, too
  console.log(`${name}: rank ${adapter.options.rank}, loss ${last.toFixed(3)}`);
}
console.log(`${adapters.names.length} adapters in ${(adapters.byteLength / 2 ** 20).toFixed(1)} MiB`);

// 2. One batch: the model alone and with either adapter. Nothing is merged or switched; each row reads its own factors.
const engine = openEngine(model, { maxSequences: 3, adapters });
const text = textModel(model, engine);
const names = [undefined, ...adapters.names];
const answers = await Promise.all(
  names.map((adapter) =>
    generateText({ model: text, prompt, maxTokens: 12, temperature: 0, ...(adapter && { adapter }) }),
  ),
);
for (const [i, answer] of answers.entries()) console.log(`${names[i] ?? 'alone'}: ${JSON.stringify(answer.text)}`);

await text.dispose();
await engine.dispose();
adapters.dispose();
await model.dispose();
await device.dispose();
