import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import {
  anyFormat,
  choices,
  ebnf,
  formatSequence,
  json,
  jsonSchema,
  type OutputFormat,
  regex,
  repeatedFormat,
  structuralTags,
  textUntil,
} from './output-format.ts';
import { compiled, randomNumbers, textOf, vocabulary } from './testing/vocabulary.ts';

const number = (bounds: object) => jsonSchema({ type: 'number', ...bounds });
const integer = (bounds: object) => jsonSchema({ type: 'integer', ...bounds });
const of = (schema: object) => jsonSchema(schema);
const formats: readonly [string, OutputFormat][] = [
  ['any JSON', json()],
  ['numbers', number({})],
  ['from 0', number({ minimum: 0 })],
  ['above 0, at most 1', number({ exclusiveMinimum: 0, maximum: 1 })],
  ['from -0.25 to below 17.5', number({ minimum: -0.25, exclusiveMaximum: 17.5 })],
  ['below -3', number({ exclusiveMaximum: -3 })],
  ['from 99.95 to 1000', number({ minimum: 99.95, maximum: 1000 })],
  ['integers', integer({})],
  ['from -12 to 205', integer({ minimum: -12, maximum: 205 })],
  ['above 9 to below 100', integer({ exclusiveMinimum: 9, exclusiveMaximum: 100 })],
  ['from 1.5', integer({ minimum: 1.5 })],
  ['at most -10', integer({ maximum: -10 })],
  ['multiples of 7', integer({ multipleOf: 7 })],
  ['multiples of 5 above 10 to below 40', integer({ multipleOf: 5, exclusiveMinimum: 10, exclusiveMaximum: 40 })],
  ['hundredths', number({ multipleOf: 0.01 })],
  ['short texts', of({ type: 'string', minLength: 2, maxLength: 4 })],
  ['a pattern', of({ type: 'string', pattern: '^[A-C]{2,3}(-\\d+)?$' })],
  ['a pattern of so many', of({ type: 'string', pattern: '^ab?c*d{2}$', minLength: 3 })],
  ...['date', 'time', 'date-time', 'uuid', 'ipv4', 'email'].map((format): [string, OutputFormat] => [
    format,
    of({ type: 'string', format }),
  ]),
  [
    'two to three numbers',
    of({ type: 'array', items: { type: 'integer', minimum: 0, maximum: 5 }, minItems: 2, maxItems: 3 }),
  ],
  [
    'a tuple',
    of({
      type: 'array',
      prefixItems: [{ const: 1 }, { type: 'boolean' }, { type: 'null' }],
      items: false,
      minItems: 1,
    }),
  ],
  ['a tuple that is cut', of({ type: 'array', prefixItems: [{ const: 1 }, { const: 2 }, { const: 3 }], maxItems: 2 })],
  ['a tuple and more', of({ type: 'array', prefixItems: [{ const: 'a' }], items: { enum: [7, 8] }, maxItems: 4 })],
  [
    'an object',
    of({
      type: 'object',
      properties: { a: { type: 'integer', minimum: 0, maximum: 9 }, b: { enum: ['x', 'y'] }, c: { type: 'null' } },
      required: ['b'],
      additionalProperties: false,
    }),
  ],
  [
    'any other properties',
    of({
      type: 'object',
      properties: { id: { const: 1 } },
      required: ['id'],
      additionalProperties: { type: 'boolean' },
    }),
  ],
  ['some properties', of({ type: 'object', additionalProperties: { const: 0 }, minProperties: 1, maxProperties: 2 })],
  ['one of', of({ oneOf: [{ type: 'integer', minimum: 1, maximum: 3 }, { enum: ['no'] }, { type: 'null' }] })],
  ['all of', of({ allOf: [{ type: 'integer', minimum: 3 }, { maximum: 12 }, { minimum: 5, exclusiveMaximum: 12 }] })],
  [
    'a reference',
    of({ $defs: { list: { type: 'array', items: { $ref: '#/$defs/list' }, maxItems: 2 } }, $ref: '#/$defs/list' }),
  ],
  ['a regular expression', regex('(ab|[c-e]+|\\w\\d{2,3})(?:-x)*[^a-z\\s]?')],
  ['classes', regex('[A-Za-z&]*\\u00e9?[^ -~]\\.{0,2}')],
  ['a grammar', ebnf('root ::= sum\nsum ::= term ("+" term)*\nterm ::= [0-9]+ | "(" sum ")"')],
  ['choices', choices(['yes', 'yesterday', 'no', 'é'])],
  [
    'parts',
    formatSequence(choices(['a', 'b']), repeatedFormat(regex('[0-9]{2}'), { min: 1, max: 2 }), textUntil('<end>')),
  ],
  ['either', anyFormat(regex('x{3}'), json())],
  [
    'tags',
    structuralTags({
      tags: [{ begin: '<call>', content: of({ type: 'integer', minimum: 1, maximum: 2 }), end: '</call>' }],
      triggers: ['<call>'],
    }),
  ],
];

/** Texts that masks let come, and a hash of every mask on their way. */
function walks(format: OutputFormat, seed: number): string {
  const random = randomNumbers(seed);
  const hash = createHash('sha256');
  const grammar = compiled(format);
  const texts = Array.from({ length: 3 }, () => {
    const matcher = grammar.matcher();
    const tokens: number[] = [];
    for (let i = 0; i < 14; i++) {
      const mask = new Uint32Array(Math.ceil(vocabulary.length / 32));
      matcher.addAllowed(mask);
      hash.update(mask).update(String(matcher.complete));
      const allowed = [...vocabulary.keys()].filter((id) => (mask[id >> 5]! >>> (id & 31)) & 1);
      if (allowed.length === 0 || (matcher.complete && random() < 0.2)) break;
      // the shorter ones, so that texts come by many states
      const some = Array.from({ length: 4 }, () => allowed[Math.floor(random() * allowed.length)]!);
      const token = some.sort((a, b) => vocabulary[a]!.length - vocabulary[b]!.length || a - b)[0]!;
      matcher.accept(token);
      tokens.push(token);
    }
    try {
      return JSON.stringify(textOf(tokens));
    } catch {
      return 'bytes';
    }
  });
  return `${texts.join(' ')} ${hash.digest('hex').slice(0, 12)}`;
}

describe('the same grammars', () => {
  // what is meant to change is written anew by `npx vitest run -u`
  it('let come the tokens of before', async () => {
    const lines = formats.map(([name, format], i) => {
      try {
        return `${name}: ${walks(format, i)}`;
      } catch (error) {
        return `${name}: refused, ${(error as Error).message}`;
      }
    });
    await expect(`${lines.join('\n')}\n`).toMatchFileSnapshot('recorded-masks.txt');
  });
});
