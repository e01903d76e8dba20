// A way of one's own to choose tokens, on the device, beside those that are there: top-n-sigma keeps the tokens whose logits lie
// within n standard deviations of the largest (https://arxiv.org/abs/2411.07641).
//   npx tsx --conditions=@heddle/source examples/own-sampler.ts [MODEL [PROMPT]] [DEVICE]
import { generateText, type LogitStage, openTextModel, stages } from '@heddle/llm';
import { max, std, where } from '@heddle/tensor';
import { exampleArguments } from './arguments.ts';

const { args, device } = exampleArguments('own-sampler.ts [MODEL [PROMPT]]', 2);
const [path = 'node_modules/@heddle/prose4m', prompt = 'It was a cold evening, and'] = args;

const topNSigma: LogitStage = {
  name: 'top-n-sigma',
  parameters: { sigmas: 1e30 }, // of a request that does not name it: keeps everything
  record(logits, { parameters: { sigmas } }) {
    const least = max(logits, -1, { keepDims: true }).sub(std(logits, -1, { keepDims: true }).mul(sigmas!));
    return where(logits.greaterEqual(least), logits, Number.NEGATIVE_INFINITY);
  },
};

// an engine with two stages; each request has its own values, and all are computed in one step
const model = await openTextModel(path, { device, stages: [topNSigma, stages.temperature] });
const write = (sigmas: number) =>
  generateText({ model, prompt, maxTokens: 40, temperature: 1.5, topP: 1, seed: 1, parameters: { sigmas } });
const all = [1, 3, 1e30];
for (const [i, { text }] of (await Promise.all(all.map(write))).entries()) console.log(`${all[i]} sigmas:${text}\n`);
await model.dispose();
