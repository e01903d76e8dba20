import type { Tokenizer } from '../../tokenizer.ts';
import type { AnswerFormat, TemplateFacts } from './answer-format.ts';
import { harmonyAnswers } from './harmony-answers.ts';
import { taggedAnswers } from './tagged-answers.ts';

const thinking = { begin: '<think>', end: '</think>' };

/** gpt-oss. */
const harmony: AnswerFormat = harmonyAnswers();

/** DeepSeek V3.1: a name, and arguments. */
const deepseek31: AnswerFormat = taggedAnswers({
  name: 'deepseek31',
  speaks: ({ template, hasToken }) =>
    hasToken('<｜tool▁calls▁begin｜>') && template.includes('<｜tool▁sep｜>') && !template.includes('```json'),
  reasoning: thinking,
  call: {
    around: { begin: '<｜tool▁calls▁begin｜>', between: '', end: '<｜tool▁calls▁end｜>' },
    begin: '<｜tool▁call▁begin｜>',
    middle: '<｜tool▁sep｜>',
    end: '<｜tool▁call▁end｜>',
  },
});

/** DeepSeek V3 and R1: a name after a kind, arguments in a block of code. */
const deepseek: AnswerFormat = taggedAnswers({
  name: 'deepseek',
  speaks: ({ hasToken }) => hasToken('<｜tool▁calls▁begin｜>'),
  reasoning: thinking,
  call: {
    around: { begin: '<｜tool▁calls▁begin｜>', between: '\n', end: '<｜tool▁calls▁end｜>' },
    begin: '<｜tool▁call▁begin｜>function<｜tool▁sep｜>',
    middle: '\n```json\n',
    end: '\n```<｜tool▁call▁end｜>',
  },
});

/** Qwen 2.5 and 3, Hermes, and every model whose template says nothing of tools: it is told so. */
const hermes: AnswerFormat = taggedAnswers({
  name: 'hermes',
  speaks: ({ template, hasToken }) => template.includes('<tool_call>') || hasToken('<tool_call>'),
  reasoning: thinking,
  call: { begin: '<tool_call>\n{"name": "', middle: '", "arguments": ', end: '}\n</tool_call>' },
});

const object = { begin: '{"name": "', middle: '", "parameters": ', end: '}' };

/** Llama 3.1 and later: an object, without tags. */
const llama: AnswerFormat = taggedAnswers({
  name: 'llama',
  speaks: ({ hasToken }) => hasToken('<|python_tag|>') && hasToken('<|eom_id|>'),
  call: object,
});

/** Gemma 3, as its authors tell it to: an object, without tags. */
const gemma: AnswerFormat = taggedAnswers({
  name: 'gemma',
  speaks: ({ template, hasToken }) => hasToken('<start_of_turn>') || template.includes('<start_of_turn>'),
  call: object,
  howToCall:
    'If you decide to call one, write it as {"name": "FUNCTION NAME", "parameters": {ARGUMENTS}} and nothing else beside it.',
});

/** The ways to answer that are known, in the order in which they are tried; `hermes` is for the rest. */
export const answerFormats: {
  readonly harmony: AnswerFormat;
  readonly deepseek31: AnswerFormat;
  readonly deepseek: AnswerFormat;
  readonly hermes: AnswerFormat;
  readonly llama: AnswerFormat;
  readonly gemma: AnswerFormat;
} = { harmony, deepseek31, deepseek, hermes, llama, gemma };

/** What a tokenizer tells of how its model answers. */
export function templateFacts(tokenizer: Tokenizer): TemplateFacts {
  return {
    template: tokenizer.chatTemplateNames.map((name) => tokenizer.chatTemplateText(name) ?? '').join('\n'),
    hasToken: (text) => tokenId(tokenizer, text) !== undefined,
  };
}

/** The way in which a model answers, of several; the last of the standard ones for templates that have none. */
export function answerFormatOf(
  tokenizer: Tokenizer,
  formats: readonly AnswerFormat[] = Object.values(answerFormats),
): AnswerFormat {
  const facts = templateFacts(tokenizer);
  return formats.find((format) => format.speaks(facts)) ?? hermes;
}

/** The id of a text that is one token. */
export function tokenId(tokenizer: Tokenizer, text: string): number | undefined {
  const ids = tokenizer.encode(text, { addSpecialTokens: false });
  return ids.length === 1 && tokenizer.decode(ids) === text ? ids[0] : undefined;
}
