import { markerCharacter } from '../../grammar/markers.ts';
import {
  anyFormat,
  choices,
  formatSequence,
  jsonSchema,
  type OutputFormat,
  regex,
  repeatedFormat,
  textUntil,
} from '../../grammar/output-format.ts';
import {
  type AnswerFormat,
  type AnswerPiece,
  type AnswerPlan,
  type AnswerReader,
  parametersOf,
} from './answer-format.ts';

const names = [
  '<|start|>',
  '<|channel|>',
  '<|message|>',
  '<|end|>',
  '<|constrain|>',
  '<|call|>',
  '<|return|>',
] as const;
const [start, channel, message, end, constrain, call, done] = names.map((_, i) => markerCharacter(i)) as [
  string,
  string,
  string,
  string,
  string,
  string,
  string,
];
const ends: readonly string[] = [start, channel, end, call, done];
const maxSections = 32;

/**
 * Answers in sections, each with a channel, as gpt-oss writes them: reasoning in `analysis`, calls and what leads to them in
 * `commentary`, the answer in `final`.
 */
export function harmonyAnswers(): AnswerFormat {
  return {
    name: 'harmony',
    tokens: Object.fromEntries(names.map((name, i) => [name, markerCharacter(i)])),
    speaks: ({ hasToken }) => hasToken('<|channel|>') && hasToken('<|message|>') && hasToken('<|call|>'),
    reasons: () => true,
    opensReasoning: (prompt) => prompt.endsWith('<|channel|>analysis<|message|>'),
    endOfReasoning: '<|end|><|start|>assistant',
    grammar,
    reader: (plan) => new HarmonyReader(plan),
    describeTools: (tools) =>
      [
        '# Tools',
        'Calls of these functions go to the commentary channel.',
        ...tools.map((tool) => JSON.stringify(tool)),
      ].join('\n'),
    writeCalls: (calls) =>
      calls
        .map(
          (each) =>
            `<|channel|>commentary to=functions.${each.name} <|constrain|>json<|message|>${each.arguments}<|call|>`,
        )
        .join('<|start|>assistant'),
  };
}

function grammar(plan: AnswerPlan): OutputFormat | undefined {
  const { tools, mustCall, format, mayReason, reasoningIsOpen } = plan;
  if (tools.length === 0 && !format) return undefined;
  const next = `${end}${start}assistant`;
  const section = (begin: string) => formatSequence(choices([begin]), textUntil(end), choices([`${start}assistant`]));
  const free = regex('(.|\\n)*');
  const options: OutputFormat[] = tools.map((tool) =>
    formatSequence(
      choices([`${channel}commentary to=functions.${tool.name} ${constrain}json${message}`]),
      jsonSchema(parametersOf(tool), { whitespace: false }),
    ),
  );
  if (!mustCall) options.push(formatSequence(choices([`${channel}final${message}`]), format ?? free));
  const before = [
    ...(mayReason || reasoningIsOpen ? [section(`${channel}analysis${message}`)] : []),
    ...(tools.length > 0 ? [section(`${channel}commentary${message}`)] : []),
  ];
  const parts = before.length > 0 ? [repeatedFormat(anyFormat(...before), { max: maxSections })] : [];
  const opened = reasoningIsOpen ? [textUntil(end), choices([next.slice(end.length)])] : [];
  return formatSequence(...opened, ...parts, anyFormat(...options));
}

/** What a section holds, by its header. */
type Content = 'text' | 'reasoning' | 'arguments';

class HarmonyReader implements AnswerReader {
  /** A header that has not ended; undefined inside of a section. */
  #header: string | undefined = '';
  #content: Content = 'text';
  /** Whether a section has begun at all. */
  #begun = false;

  constructor({ reasoningIsOpen }: AnswerPlan) {
    if (!reasoningIsOpen) return;
    this.#header = undefined;
    this.#content = 'reasoning';
  }

  get reasons(): boolean {
    return this.#header === undefined && this.#content === 'reasoning';
  }

  push(text: string): AnswerPiece[] {
    const pieces: AnswerPiece[] = [];
    let run = '';
    const give = () => {
      if (run !== '') pieces.push({ kind: this.#content, text: run });
      run = '';
    };
    for (const character of text) {
      if (this.#header !== undefined) {
        if (character === message) pieces.push(...this.#enter(this.#header));
        else if (character === end || character === start) this.#header = '';
        else this.#header += character;
      } else if (ends.includes(character)) {
        give();
        if (this.#content === 'arguments') pieces.push({ kind: 'call-end' });
        this.#header = character === channel ? channel : '';
        this.#content = 'text';
      } else run += character;
    }
    give();
    return pieces;
  }

  finish(): AnswerPiece[] {
    // a model that does not write sections at all
    const text = this.#begun || this.#header === undefined ? '' : this.#header.replaceAll(/\p{Surrogate}/gu, '');
    const pieces: AnswerPiece[] = text === '' ? [] : [{ kind: 'text', text }];
    if (this.#header === undefined && this.#content === 'arguments') pieces.push({ kind: 'call-end' });
    return pieces;
  }

  #enter(header: string): AnswerPiece[] {
    this.#begun = true;
    this.#header = undefined;
    const called = /to=functions\.([^\s\p{Surrogate}]+)/u.exec(header)?.[1];
    this.#content = called !== undefined ? 'arguments' : header.includes(`${channel}analysis`) ? 'reasoning' : 'text';
    return called === undefined ? [] : [{ kind: 'call', name: called }];
  }
}
