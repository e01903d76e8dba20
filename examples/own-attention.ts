// An attention of one's own in a model: another one's kernel, with a window that the model was not trained with. Rows see the last 8
// tokens, or the first 4 besides (https://arxiv.org/abs/2309.17453), and the text says what that does to it.
//   npx tsx --conditions=@heddle/source examples/own-attention.ts [MODEL [PROMPT]] [DEVICE]
import { type AttentionKernel, flash } from '@heddle/attention';
import { generateText, openTextModel } from '@heddle/llm';
import { exampleArguments } from './arguments.ts';

const { args, device } = exampleArguments('own-attention.ts [MODEL [PROMPT]]', 2);
const [path = 'node_modules/@heddle/prose4m', prompt = 'It was a cold evening, and'] = args;

/** What a kernel gives where rows see less. */
function seeingLess(
  kernel: AttentionKernel,
  own: { readonly window: number; readonly keepFirst?: number },
): AttentionKernel {
  return {
    name: `${kernel.name}, last ${own.window}${own.keepFirst ? ` and first ${own.keepFirst}` : ''}`,
    supports: (spec, kv) => kernel.supports({ ...spec, ...own }, kv),
    attend: (q, k, v, kv, spec) => kernel.attend(q, k, v, kv, { ...spec, ...own }),
  };
}

for (const attention of [
  flash(),
  seeingLess(flash(), { window: 8 }),
  seeingLess(flash(), { window: 8, keepFirst: 4 }),
]) {
  const model = await openTextModel(path, { device, attention });
  const { text } = await generateText({ model, prompt, maxTokens: 40, temperature: 0 });
  console.log(`${attention.name}:${text}\n`);
  await model.dispose();
}
