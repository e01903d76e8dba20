// Texts that are of a form, whatever the model would like to write: a JSON schema, a regular expression, one of some texts.
//   npx tsx --conditions=@heddle/source examples/structured-output.ts [MODEL] [DEVICE]      after `npm run build`
import { choices, generateText, jsonSchema, type OutputFormat, openTextModel, regex } from '@heddle/llm';
import { exampleArguments } from './arguments.ts';

const { args, device } = exampleArguments('structured-output.ts [MODEL]', 1);
const [path = 'node_modules/@heddle/prose4m'] = args;
const model = await openTextModel(path, { device });
const prompt = 'It was a cold evening, and';

const letter = jsonSchema({
  type: 'object',
  properties: {
    from: { type: 'string', minLength: 2, maxLength: 16 },
    written: { type: 'string', format: 'date' },
    pages: { type: 'integer', minimum: 1, maximum: 40 },
    mood: { enum: ['glad', 'grave', 'tender'] },
  },
  required: ['from', 'written', 'pages', 'mood'],
});
const formats: Readonly<Record<string, OutputFormat>> = {
  letter,
  verse: regex('[A-Z][a-z]{2,8}( [a-z]{1,8}){2,5}[.!?]'),
  answer: choices(['yes', 'no', 'never']),
};

// all at once: each has its own grammar, followed in workers beside the device
const texts = await Promise.all(
  Object.entries(formats).map(async ([name, format]) => {
    const { text } = await generateText({ model, prompt, format, temperature: 0.8, seed: 1, maxTokens: 200 });
    return [name, text] as const;
  }),
);
for (const [name, text] of texts) console.log(`${name}: ${text}`);
console.log('pages and mood:', JSON.parse(texts[0]![1]).pages, JSON.parse(texts[0]![1]).mood);
await model.dispose();
