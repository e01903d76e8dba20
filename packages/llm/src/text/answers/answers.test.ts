import { Ajv } from 'ajv';
import { describe, expect, test } from 'vitest';
import { needSharedJson } from '../../../../../test-support/shared.ts';
import { bytesWithMarkers, markerCharacter } from '../../grammar/markers.ts';
import { compileGrammar } from '../../grammar/matcher.ts';
import { formatGrammar, jsonSchema, type OutputFormat } from '../../grammar/output-format.ts';
import { randomNumbers, vocabulary } from '../../grammar/testing/vocabulary.ts';
import { tokenTrie } from '../../grammar/token-trie.ts';
import type { AnswerFormat, AnswerPiece, AnswerPlan, Tool } from './answer-format.ts';
import { answerFormats } from './standard-formats.ts';

const weather: Tool = {
  name: 'get_weather',
  description: 'Weather at a place',
  parameters: {
    type: 'object',
    properties: { city: { type: 'string', maxLength: 4 }, unit: { enum: ['C', 'F'] } },
    required: ['city'],
  },
};
const clock: Tool = { name: 'clock' };
const free: AnswerPlan = {
  tools: [weather, clock],
  mustCall: false,
  severalCalls: true,
  format: undefined,
  mayReason: true,
  reasoningIsOpen: false,
};

interface Read {
  text: string;
  reasoning: string;
  calls: { name: string; arguments: string }[];
}

/** What an answer holds, read in pieces of random length. */
function read(format: AnswerFormat, plan: AnswerPlan, answer: string, random = randomNumbers(answer.length)): Read {
  const reader = format.reader(plan);
  const all: AnswerPiece[] = [];
  for (let at = 0; at < answer.length; ) {
    const length = 1 + Math.floor(random() * 9);
    all.push(...reader.push(answer.slice(at, at + length)));
    at += length;
  }
  all.push(...reader.finish());
  const held: Read = { text: '', reasoning: '', calls: [] };
  for (const piece of all) {
    if (piece.kind === 'call') held.calls.push({ name: piece.name, arguments: '' });
    else if (piece.kind === 'arguments') held.calls.at(-1)!.arguments += piece.text;
    else if (piece.kind !== 'call-end') held[piece.kind] += piece.text;
  }
  return held;
}

const [start, channel, message, end, constrain, call, done] = Array.from({ length: 7 }, (_, i) => markerCharacter(i));
const oslo = { name: 'get_weather', arguments: '{"city": "Os}\\"<o"}' };
const { hermes, llama, gemma, deepseek, deepseek31, harmony } = answerFormats;

const answers: readonly (readonly [string, AnswerFormat, string, Read])[] = [
  [
    'hermes, with reasoning, text and two calls',
    hermes,
    '<think>\nHm <tool_call>?\n</think>\n\nLet me see.\n<tool_call>\n{"name": "get_weather", "arguments": {"city": "Os}\\"<o"}}\n</tool_call>\n<tool_call>\n{"name": "clock", "arguments": {}}\n</tool_call>',
    { text: 'Let me see.\n', reasoning: 'Hm <tool_call>?', calls: [oslo, { name: 'clock', arguments: '{}' }] },
  ],
  ['hermes, text alone', hermes, 'a < b </think> <tool', { text: 'a < b </think> <tool', reasoning: '', calls: [] }],
  ['hermes, cut off in its reasoning', hermes, '<think>so far ', { text: '', reasoning: 'so far', calls: [] }],
  [
    'hermes, cut off in its arguments',
    hermes,
    '<tool_call>\n{"name": "get_weather", "arguments": {"city": "O',
    { text: '', reasoning: '', calls: [{ name: 'get_weather', arguments: '{"city": "O' }] },
  ],
  [
    'llama',
    llama,
    '{"name": "get_weather", "parameters": {"city": "Os}\\"<o"}}',
    { text: '', reasoning: '', calls: [oslo] },
  ],
  [
    'gemma',
    gemma,
    'Well: {"name": "clock", "parameters": {}}',
    { text: 'Well: ', reasoning: '', calls: [{ name: 'clock', arguments: '{}' }] },
  ],
  [
    'deepseek',
    deepseek,
    '<think>x</think>Yes.<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>get_weather\n```json\n{"city": "Os}\\"<o"}\n```<｜tool▁call▁end｜>\n<｜tool▁call▁begin｜>function<｜tool▁sep｜>clock\n```json\n{}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>',
    { text: 'Yes.', reasoning: 'x', calls: [oslo, { name: 'clock', arguments: '{}' }] },
  ],
  [
    'deepseek31',
    deepseek31,
    '<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>clock<｜tool▁sep｜>{}<｜tool▁call▁end｜><｜tool▁calls▁end｜>',
    { text: '', reasoning: '', calls: [{ name: 'clock', arguments: '{}' }] },
  ],
  [
    'harmony, with reasoning and a call',
    harmony,
    `${channel}analysis${message}The <|end|> is far.${end}${start}assistant${channel}commentary${message}I look.${end}${start}assistant${channel}commentary to=functions.get_weather ${constrain}json${message}${oslo.arguments}${call}`,
    { text: 'I look.', reasoning: 'The <|end|> is far.', calls: [oslo] },
  ],
  [
    'harmony, the recipient before the channel',
    harmony,
    ` to=functions.clock${channel}commentary json${message}{}${call}`,
    { text: '', reasoning: '', calls: [{ name: 'clock', arguments: '{}' }] },
  ],
  ['harmony, final', harmony, `${channel}final${message}Yes.${done}`, { text: 'Yes.', reasoning: '', calls: [] }],
  ['harmony, without sections', harmony, 'Hello', { text: 'Hello', reasoning: '', calls: [] }],
];

test.for(answers)('%s', ([, format, answer, right]) => {
  for (let seed = 0; seed < 8; seed++) expect(read(format, free, answer, randomNumbers(seed))).toEqual(right);
});

test('reasoning that the prompt has begun, and none where it is not wanted', () => {
  expect(hermes.opensReasoning('<|im_start|>assistant\n<think>\n')).toBe(true);
  expect(hermes.opensReasoning('<think>\n\n</think>\n\n')).toBe(false);
  const open = { ...free, reasoningIsOpen: true };
  expect(read(hermes, open, 'Hm.\n</think>\n\nYes')).toEqual({ text: 'Yes', reasoning: 'Hm.', calls: [] });
  const none = { ...free, mayReason: false };
  expect(read(hermes, none, '<think>x</think>').text).toBe('<think>x</think>');
  // without tools what looks like a call is text
  expect(read(llama, { ...free, tools: [] }, '{"name": "x", "parameters": {}}').calls).toEqual([]);
});

describe('under the grammar of its plan a model without sense', () => {
  // each tag is a token, as in the real vocabularies
  const tags = [
    ...Array.from({ length: 7 }, (_, i) => markerCharacter(i)),
    ...Object.values(answerFormats).flatMap(({ tokens }) => Object.keys(tokens)),
  ];
  const plain = vocabulary.slice(0, 300).map((bytes) => (bytes?.some((byte) => byte >= 0xf8) ? undefined : bytes));
  const tokens = [...plain, ...tags.map((tag) => Uint8Array.from(bytesWithMarkers(tag)))];
  const trie = tokenTrie(tokens);
  const texts = [...plain.map(() => ''), ...tags];

  /** An answer that a model without sense gives, with markers. */
  function answerOf(grammar: OutputFormat, random: () => number): string | undefined {
    const matcher = compileGrammar(formatGrammar(grammar), trie, tokens).matcher();
    let answer = '';
    let bytes: number[] = [];
    const flush = () => {
      answer += new TextDecoder('utf-8', { fatal: true }).decode(Uint8Array.from(bytes));
      bytes = [];
    };
    for (let i = 0; i < 250; i++) {
      const mask = new Uint32Array(Math.ceil(tokens.length / 32));
      matcher.addAllowed(mask);
      const allowed = [...tokens.keys()].filter((id) => (mask[id >> 5]! >>> (id & 31)) & 1);
      if (matcher.complete && (allowed.length === 0 || random() < 0.2)) {
        flush();
        return answer;
      }
      const special = allowed.filter((id) => texts[id] !== '' || '"}'.includes(String.fromCharCode(tokens[id]![0]!)));
      const among = special.length > 0 && random() < 0.4 ? special : allowed;
      const token = among[Math.floor(random() * among.length)]!;
      matcher.accept(token);
      if (texts[token] === '') bytes.push(...tokens[token]!);
      else {
        flush();
        answer += texts[token];
      }
    }
    return undefined;
  }

  const ajv = new Ajv();
  const valid = { get_weather: ajv.compile(weather.parameters!), clock: ajv.compile({ type: 'object' }) };
  const plans: Readonly<Record<string, Partial<AnswerPlan>>> = {
    'may call': {},
    'must call': { mustCall: true },
    'must call one of them once': { mustCall: true, severalCalls: false, tools: [weather] },
    'has begun to reason': { reasoningIsOpen: true, mustCall: true },
    'answers in JSON': { tools: [], format: jsonSchema({ type: 'object', properties: { a: { type: 'integer' } } }) },
  };
  const cases = Object.entries(answerFormats).flatMap(([name, format]) =>
    Object.entries(plans).map(([what, plan]) => ({ name, what, format, plan: { ...free, ...plan } })),
  );
  test.for(cases)('$name: $what', ({ format, plan }) => {
    // Llama and Gemma have no reasoning that a prompt could begin
    const fitting = { ...plan, reasoningIsOpen: plan.reasoningIsOpen && format.endOfReasoning !== '' };
    const grammar = format.grammar(fitting)!;
    let ended = 0;
    for (let seed = 0; seed < 12; seed++) {
      const random = randomNumbers(seed);
      const answer = answerOf(grammar, random);
      if (answer === undefined) continue;
      ended++;
      const { text, calls } = read(format, fitting, answer, random);
      for (const each of calls)
        expect(valid[each.name as keyof typeof valid]?.(JSON.parse(each.arguments)), answer).toBe(true);
      if (plan.mustCall) expect(calls.length, answer).toBeGreaterThan(0);
      if (!plan.severalCalls) expect(calls, answer).toHaveLength(1);
      if (plan.format) expect(typeof JSON.parse(text), answer).toBe('object');
    }
    expect(ended).toBeGreaterThan(0);
  });
});

test('what templates write of a call is what is read of one', async (context) => {
  const { tokenizers } = (await needSharedJson(context, 'fixtures/tokenizers/real.json')) as {
    readonly tokenizers: Readonly<Record<string, { readonly chat: Readonly<Record<string, string>> }>>;
  };
  const written =
    tokenizers['qwen3']!.chat['tool_result/plain']!.split('<|im_start|>assistant\n')[1]!.split('<|im_end|>')[0]!;
  expect(read(hermes, free, written).calls).toEqual([{ name: 'get_weather', arguments: '{"city": "Oslo"}' }]);
  const id = 'c1';
  expect(hermes.writeCalls([{ id, name: 'get_weather', arguments: '{"city": "Oslo"}' }])).toBe(written);
});
