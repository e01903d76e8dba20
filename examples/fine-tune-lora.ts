// Teaches a model something by an adapter of low rank, and shows what it says before, with the adapter, and merged.
//   npx tsx --conditions=@heddle/source examples/fine-tune-lora.ts [MODEL [DATA.jsonl]] [DEVICE]
// DATA has lines of { prompt, completion }, { text } or { messages }; by default the model learns to name capitals.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type CausalLm, loadModel, openEngine } from '@heddle/llm';
import { adaptedModel, nextTokenLoss, openAdapter, saveAdapter, saveModel, trainableLm } from '@heddle/llm/training';
import { openDevice } from '@heddle/tensor';
import { adamw, train } from '@heddle/trainer';
import { encodeExample, exampleBatches, readExamples, type TextExample } from '@heddle/trainer/data';
import { createLora } from '@heddle/trainer/lora';
import { exampleArguments } from './arguments.ts';

const { args, device: deviceName } = exampleArguments('fine-tune-lora.ts [MODEL [DATA.jsonl]]', 2);
const [path = 'examples/models/prose4m', dataPath] = args;
const capitals = { France: 'Paris', England: 'London', Italy: 'Rome', Spain: 'Madrid', Russia: 'Moscow' };
const examples: TextExample[] = [];
if (dataPath) for await (const example of readExamples(dataPath)) examples.push(example);
else
  for (const [country, city] of Object.entries(capitals))
    examples.push({ prompt: `The capital of ${country} is`, completion: ` ${city}.` });

const device = await openDevice(deviceName);
const model = await loadModel(path, { device });
const tokenizer = model.requireTokenizer();
const encode = (text: string) => tokenizer.encode(text, { addSpecialTokens: false });
const { bosTokenId: startToken, eosTokenId: endToken } = tokenizer;
const encoded = examples.map((example) =>
  encodeExample(example, {
    encode,
    ...(startToken !== undefined && { startToken }),
    ...(endToken !== undefined && { endToken }),
    renderChat: (messages, answer) => tokenizer.applyChatTemplate(messages as never, { addGenerationPrompt: answer }),
  }),
);
console.log(`${device.name}: ${device.description}`);
const first = examples[0]!;
const prompt = 'prompt' in first ? first.prompt : 'The';
console.log('before: ', await answerOf(model));

// 1. Factors beside every linear layer of the blocks; the model's own weights stay as they are.
const targets = ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj'];
const adapter = await createLora(device, model.parameters, { rank: 8, alpha: 16, targets });
const sizeOf = (all: Iterable<{ readonly shape: readonly unknown[] }>) =>
  [...all].reduce((sum, { shape }) => sum + (shape as readonly number[]).reduce((a, b) => a * b, 1), 0);
const [own, all] = [sizeOf(adapter.parameters.values()), sizeOf(model.parameters)];
console.log(`${own.toLocaleString('en')} parameters are trained, ${((100 * own) / all).toFixed(1)}% of the model's`);

// 2. Training: of the examples the completions are learned, several of them in a row that do not see each other.
const reports = train({
  model: trainableLm(model, { adapter }),
  loss: nextTokenLoss,
  optimizer: adamw({ learningRate: 3e-3, weightDecay: 0 }),
  data: exampleBatches(encoded, { rows: 1, length: 128, epochs: 40, tooLong: 'truncate' }),
});
for await (const { step, loss } of reports)
  if (step % 10 === 9) console.log(`step ${step + 1}: loss ${loss.toFixed(4)}`);
console.log('trained:', await answerOf(adaptedModel(model, adapter)));

// 3. Saved in PEFT's format and opened again; written into the weights of a model that loads anywhere.
const folder = mkdtempSync(join(tmpdir(), 'heddle-lora-'));
await saveAdapter(join(folder, 'adapter'), adapter, path);
const opened = await openAdapter(device, join(folder, 'adapter'));
console.log('opened: ', await answerOf(adaptedModel(model, opened)));
await saveModel(join(folder, 'merged'), model, { from: path, adapter });
const merged = await loadModel(join(folder, 'merged'), { device });
console.log('merged: ', await answerOf(merged));
rmSync(folder, { recursive: true });
for (const each of [adapter, opened]) each.dispose();
for (const each of [merged, model]) await each.dispose();
await device.dispose();

/** What a model goes on with after the first prompt, greedily. */
async function answerOf(speaker: CausalLm): Promise<string> {
  const engine = openEngine(speaker, { maxSequences: 1 });
  const tokens = [...(startToken === undefined ? [] : [startToken]), ...encode(prompt)];
  const text = tokenizer.stream({ after: tokens, skipSpecialTokens: true });
  let answer = prompt;
  const request = { tokens, maxTokens: 8, stopTokens: speaker.config.eosTokenIds };
  for await (const token of engine.generate(request)) answer += text.push(token);
  answer += text.finish();
  await engine.dispose();
  return JSON.stringify(answer);
}
