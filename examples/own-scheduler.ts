// A scheduler of one's own in a model: who has the least left to generate goes first, where requests are otherwise answered as they
// came. Short answers do not wait behind long ones, and the tokens stay the same.
//   npx tsx --conditions=@heddle/source examples/own-scheduler.ts [MODEL] [DEVICE]
import { continuousScheduler, firstCome, type Policy } from '@heddle/batcher';
import { generateText, openTextModel } from '@heddle/llm';
import { exampleArguments } from './arguments.ts';

const { args, device } = exampleArguments('own-scheduler.ts [MODEL]', 1);
const [path = 'node_modules/@heddle/prose4m'] = args;

const leastToGenerate: Policy = {
  name: 'least to generate',
  // an order that stays while two wait, in which no two are equal
  compare: (a, b) => a.request.maxTokens - b.request.maxTokens || a.order - b.order,
};

const lengths = [60, 40, 30, 20, 10, 5];
const texts: string[][] = [];
for (const policy of [firstCome(), leastToGenerate]) {
  const model = await openTextModel(path, {
    device,
    maxSequences: 2, // the others wait
    scheduler: (capacity, limits) => continuousScheduler({ ...limits, capacity, policy }),
  });
  const ended: number[] = [];
  const write = async (maxTokens: number) => {
    const { text } = await generateText({ model, prompt: 'The sea was', maxTokens, temperature: 0 });
    ended.push(maxTokens);
    return text;
  };
  texts.push(await Promise.all(lengths.map(write)));
  console.log(`${policy.name}: texts of ${ended.join(', ')} tokens, as they ended`);
  await model.dispose();
}
console.log(`same texts: ${texts[0]!.every((text, i) => text === texts[1]![i])}`);
