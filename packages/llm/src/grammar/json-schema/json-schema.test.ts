import { Ajv2020 } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { runs } from '../../../../../test-support/properties.ts';
import { GrammarError } from '../errors.ts';
import { jsonSchema } from '../output-format.ts';
import { compiled, randomNumbers, randomText, randomTextOf, vocabulary } from '../testing/vocabulary.ts';

const judge = new Ajv2020({ strict: false, multipleOfPrecision: 4 });
addFormats.default(judge);

/** Checks texts of a schema with another validator; gives how many ended. */
function check(schema: object | boolean, seed: number, texts: number, most = 120): number {
  const valid = judge.compile(schema);
  const random = randomNumbers(seed);
  const grammar = compiled(jsonSchema(schema));
  let ended = 0;
  for (let i = 0; i < texts; i++) {
    const text = randomTextOf(grammar.matcher(), random, most);
    if (text === undefined) continue;
    ended++;
    if (!valid(JSON.parse(text)))
      expect.fail(`${text} does not fit ${JSON.stringify(schema)}: ${judge.errorsText(valid.errors)}`);
  }
  return ended;
}

const count = fc.integer({ min: 0, max: 4 });
const bound = fc.oneof(
  fc.integer({ min: -1200, max: 1200 }),
  fc.integer({ min: -9999, max: 9999 }).map((value) => value / 100),
  fc.constantFrom(0, 0.1, -0.5, 1e-7, 123456.75),
);
const key = fc.constantFrom('a', 'b', 'ab', 'a"b', 'é', '', 'long name');
const some = <T>(of: fc.Arbitrary<T>) => fc.option(of, { nil: undefined, freq: 2 });
const ordered = <T extends number>(low: T | undefined, high: T | undefined) =>
  low !== undefined && high !== undefined && low > high ? [high, low] : [low, high];
const value = fc.oneof(
  fc.constantFrom<unknown>('a', 'é"\n', '', 1, 2.5, -3, null, true, [], [1, 'a'], {}, { a: 1, b: [null] }),
);

/** Schemas of all keywords that are supported, so that some value fits. */
const schema: fc.Arbitrary<object> = fc.letrec<{ any: object; leaf: object; object: object; array: object }>((tie) => ({
  leaf: fc.oneof(
    fc
      .tuple(fc.constantFrom('integer', 'number', 'absent'), some(bound), some(bound), fc.boolean(), fc.boolean())
      .map(([type, a, b, outLow, outHigh]) => {
        const [low, high] = ordered(a, b);
        return {
          ...(type !== 'absent' && { type }),
          ...(low !== undefined && { [outLow ? 'exclusiveMinimum' : 'minimum']: low - 1 }),
          ...(high !== undefined && { [outHigh ? 'exclusiveMaximum' : 'maximum']: high + 1 }),
        };
      }),
    fc.constantFrom(3, 7, 10, 64, 0.1, 0.01).map((multipleOf) => ({ type: 'number', multipleOf })),
    fc
      .tuple(fc.integer({ min: 1, max: 20 }), count)
      .map(([multipleOf, n]) => ({ type: 'integer', multipleOf, minimum: -multipleOf * n, exclusiveMaximum: 100 })),
    fc.tuple(some(count), some(count)).map(([a, b]) => {
      const [minLength, maxLength] = ordered(a, b);
      return {
        type: 'string',
        ...(minLength !== undefined && { minLength }),
        ...(maxLength !== undefined && { maxLength }),
      };
    }),
    fc
      .constantFrom('^[a-c]{2,3}$', '^x', 'é|日', '^(yes|no)$', '^"\\\\$', '^[^a-z]?$')
      .map((pattern) => ({ type: 'string', pattern })),
    fc
      .constantFrom('date', 'time', 'date-time', 'duration', 'uuid', 'ipv4', 'ipv6', 'hostname', 'email', 'uri')
      .map((format) => ({ type: 'string', format })),
    fc.array(value, { minLength: 1, maxLength: 4 }).map((values) => ({ enum: [...new Set(values)] })),
    value.map((of) => ({ const: of })),
    fc.constantFrom<object>({ type: 'boolean' }, { type: 'null' }, {}, { type: ['string', 'null'], maxLength: 3 }),
  ),
  array: fc
    .tuple(fc.array(tie('any'), { maxLength: 2 }), some(fc.oneof(tie('any'), fc.boolean())), some(count), some(count))
    .map(([prefixItems, items, a, b]) => {
      const [minItems, maxItems] = ordered(a, b);
      return {
        type: 'array',
        ...(prefixItems.length > 0 && { prefixItems }),
        ...(items !== undefined && { items }),
        ...(minItems !== undefined && items !== false && { minItems }),
        ...(maxItems !== undefined && { maxItems }),
      };
    }),
  object: fc
    .tuple(
      fc.dictionary(key, tie('any'), { maxKeys: 4 }),
      fc.uniqueArray(key, { maxLength: 2 }),
      some(fc.oneof(tie('any'), fc.boolean())),
      fc.constantFrom('none', 'names', 'pattern', 'counts'),
    )
    .map(([properties, required, additionalProperties, kind]) => ({
      type: 'object',
      ...(Object.keys(properties).length > 0 && { properties: { ...properties } }),
      required:
        additionalProperties === false
          ? required.filter((name) => name in properties)
          : kind === 'none'
            ? required
            : [],
      ...(additionalProperties !== undefined && { additionalProperties }),
      ...(kind === 'names' && { propertyNames: { pattern: '^[a-z]{1,3}$' }, properties: {} }),
      ...(kind === 'pattern' && { patternProperties: { '^x[0-9]$': { type: 'integer' } } }),
      ...(kind === 'counts' && {
        maxProperties: 2,
        ...(additionalProperties === false && Object.keys(properties).length > 1 && { minProperties: 2 }),
      }),
    })),
  any: fc.oneof(
    { maxDepth: 2, depthSize: 'small' },
    tie('leaf'),
    tie('object'),
    tie('array'),
    fc.tuple(tie('any'), tie('any')).map(([a, b]) => ({ anyOf: [a, b] })),
    fc.tuple(tie('leaf'), count).map(([of, n]) => ({ allOf: [{ description: `${n}` }, of] })),
    fc.constantFrom<object>(
      {
        oneOf: [
          { type: 'integer', minimum: 3 },
          { type: 'string', maxLength: 2 },
        ],
      },
      {
        oneOf: [
          { type: 'object', properties: { kind: { const: 'a' }, n: { type: 'integer' } }, required: ['kind'] },
          { type: 'object', properties: { kind: { const: 'b' } }, required: ['kind', 'n'] },
        ],
      },
      { type: 'string', anyOf: [{ maxLength: 2 }, { pattern: '^a{3}$' }] },
      { allOf: [{ type: 'number', minimum: 0 }, { maximum: 5 }, { type: 'integer' }] },
    ),
  ),
})).any;

describe('texts of a schema', () => {
  it('fit it, whatever the schema and the tokens', () => {
    let [ended, refused] = [0, 0];
    fc.assert(
      fc.property(schema, fc.integer(), (of, seed) => {
        try {
          ended += check(of, seed, 5);
        } catch (error) {
          // such as a property that cannot be there and must: no value fits
          if (!(error instanceof GrammarError) || error.code === 'ERR_GRAMMAR_LIMIT') throw error;
          expect(error.message).toMatch(/no text can be|not supported|takes/);
          refused++;
        }
      }),
      runs(300),
    );
    expect(ended).toBeGreaterThan(700);
    expect(refused).toBeLessThan(100);
  });

  it.each<[string, object]>([
    [
      'references that go on in themselves',
      {
        $defs: {
          tree: {
            type: 'object',
            properties: { v: { type: 'integer' }, left: { $ref: '#/$defs/tree' }, right: { $ref: '#/$defs/tree' } },
            required: ['v'],
          },
        },
        $ref: '#/$defs/tree',
      },
    ],
    ['the whole schema within itself', { type: 'object', properties: { next: { $ref: '#' }, a: { type: 'boolean' } } }],
    [
      'names with signs in references',
      { $defs: { 'a/b~c': { type: 'null' } }, items: { $ref: '#/$defs/a~1b~0c' }, type: 'array' },
    ],
    [
      'a reference beside other keywords',
      { $defs: { n: { type: 'integer' } }, $ref: '#/$defs/n', minimum: 5, maximum: 12 },
    ],
    [
      'objects that must both fit',
      {
        allOf: [
          { type: 'object', properties: { a: { type: 'integer' } }, required: ['a'] },
          { properties: { a: { minimum: 3, maximum: 9 }, b: { type: 'null' } }, additionalProperties: false },
        ],
      },
    ],
    [
      'arrays that must both fit',
      {
        allOf: [
          { type: 'array', prefixItems: [{ type: 'integer' }], minItems: 1 },
          { items: { maximum: 3 }, maxItems: 3 },
        ],
      },
    ],
    ['a property that is only required', { type: 'object', required: ['z', 'constructor', '__proto__'] }],
    [
      'items as draft 7 writes them',
      {
        type: 'array',
        prefixItems: [{ type: 'integer' }, { type: 'string' }],
        items: { type: 'boolean' },
        minItems: 1,
        maxItems: 4,
      },
    ],
    [
      'alternatives of alternatives',
      {
        anyOf: [{ anyOf: [{ type: 'null' }, { type: 'integer', maximum: 0 }] }, { type: 'string', maxLength: 1 }],
        type: ['null', 'string', 'integer'],
      },
    ],
  ])('%s', (_, of) => {
    expect(check(of, 5, 60)).toBeGreaterThan(30);
  });

  it('numbers at their bounds come, and none beyond', () => {
    for (const [of, wanted, never] of [
      [{ type: 'integer', minimum: -3, maximum: 12 }, ['-3', '-1', '0', '9', '12'], ['-4', '13', '-0', '00', '1.0']],
      [{ type: 'integer', exclusiveMinimum: 99, exclusiveMaximum: 1001 }, ['100', '999', '1000'], ['99', '1001']],
      [
        { type: 'number', minimum: -2.5, exclusiveMaximum: 0.25 },
        ['-2.5', '-2.50', '-0.1', '0', '0.2499', '-1'],
        ['-2.51', '0.25', '0.3', '1', '-3'],
      ],
      [
        { type: 'integer', minimum: 3, exclusiveMinimum: 5, maximum: 20, exclusiveMaximum: 9 },
        ['6', '7', '8'],
        ['3', '4', '5', '9', '20'],
      ],
      [
        { type: 'integer', minimum: 6, exclusiveMinimum: 3, maximum: 8, exclusiveMaximum: 20 },
        ['6', '7', '8'],
        ['4', '5', '9', '19'],
      ],
      [{ type: 'number', exclusiveMinimum: 0 }, ['0.1', '0.001', '1', '20'], ['0', '0.0', '-1', '-0.5']],
      [
        { type: 'number', minimum: 1e-7, maximum: 3 },
        ['0.0000001', '3', '3.0', '2.9'],
        ['0', '0.00000009', '3.1', '4'],
      ],
    ] as const) {
      const grammar = compiled(jsonSchema(of));
      const spells = (text: string) => spelled(grammar.matcher(), text);
      for (const text of wanted) expect(spells(text), `${JSON.stringify(of)}: ${text}`).toBe(true);
      for (const text of never) expect(spells(text), `${JSON.stringify(of)}: ${text}`).toBe(false);
    }
  });

  it('white space is as the option says', () => {
    const of = { type: 'object', properties: { a: { type: 'array', items: { type: 'null' } } }, required: ['a'] };
    const pretty = compiled(jsonSchema(of)).matcher();
    expect(spelled(pretty, '{\n  "a": [\n    null, null\n  ]\n}')).toBe(true);
    const compact = jsonSchema(of, { whitespace: false });
    expect(spelled(compiled(compact).matcher(), '{"a":[null,null]}')).toBe(true);
    expect(spelled(compiled(compact).matcher(), '{"a": []}')).toBe(false);
    expect(randomText(compact, randomNumbers(4))).toMatch(/^\{"a":\[(null(,null)*)?\]\}$/);
  });
});

/** Whether a matcher takes a text byte by byte, and lets it end. */
function spelled(matcher: ReturnType<ReturnType<typeof compiled>['matcher']>, text: string): boolean {
  try {
    for (const byte of new TextEncoder().encode(text))
      matcher.accept(vocabulary.findIndex((bytes) => bytes?.length === 1 && bytes[0] === byte));
  } catch {
    return false;
  }
  return matcher.complete;
}

describe('what is refused', () => {
  it.each<[string, unknown, string]>([
    ['not', { not: { type: 'null' } }, "keyword 'not' is not supported"],
    ['uniqueItems', { properties: { a: { uniqueItems: true } } }, "#/properties/a/uniqueItems: keyword 'uniqueItems'"],
    ['if', { if: {} }, "keyword 'if'"],
    ['contains', { contains: {} }, "keyword 'contains'"],
    ['dependentRequired', { dependentRequired: {} }, "keyword 'dependentRequired'"],
    ['a keyword that is none', { maxLenght: 3 }, "keyword 'maxLenght' is not supported"],
    [
      'oneOf that two may fit',
      { oneOf: [{ type: 'integer' }, { type: 'number' }] },
      "'oneOf' takes schemas that no value fits two of",
    ],
    ['a format', { type: 'string', format: 'regex' }, "format 'regex' is not supported"],
    ['pattern beside length', { type: 'string', pattern: '^a*$', minLength: 3 }, 'count in the pattern'],
    ['pattern beside format', { type: 'string', pattern: 'a', format: 'date' }, "'pattern' beside 'format'"],
    ['two patterns', { allOf: [{ pattern: 'a' }, { pattern: 'b' }] }, "'pattern' of two schemas"],
    ['multipleOf with one bound', { type: 'integer', multipleOf: 7, minimum: 3 }, "'multipleOf' takes"],
    ['multipleOf', { multipleOf: 0.3 }, "'multipleOf' takes"],
    ['free names that are counted', { type: 'object', minProperties: 3 }, "'minProperties' takes at most 1"],
    ['patterns of names', { patternProperties: { a: {}, b: {} } }, "'patternProperties' takes one pattern"],
    ['a reference elsewhere', { $ref: 'https://example.com/a' }, "$ref takes '#'"],
    ['a reference to nothing', { $ref: '#/$defs/a' }, 'leads to no schema'],
    ['a type', { type: 'text' }, '#/type: takes one or some of null'],
    ['a bound', { minimum: '3' }, '#/minimum: takes a finite number, got "3"'],
    ['no schema', 3, '#: takes an object or a boolean, got 3'],
    ['null', { items: null }, '#/items: takes a schema, got null'],
    ['bounds that no value fits', { type: 'integer', minimum: 5, maximum: 3 }, 'no text can be all of'],
    [
      'an object that cannot end',
      {
        $defs: { a: { type: 'object', properties: { a: { $ref: '#/$defs/a' } }, required: ['a'] } },
        $ref: '#/$defs/a',
      },
      'no text can be all of',
    ],
    ['constants that differ', { allOf: [{ const: 1 }, { const: 2 }] }, 'no text can be all of'],
    ['false', false, 'no text can be all of'],
  ])('%s', (_, of, message) => {
    expect(() => compiled(jsonSchema(of as object))).toThrow(GrammarError);
    expect(() => compiled(jsonSchema(of as object))).toThrow(message);
  });

  it.each<[string, () => unknown]>([
    ['depth', () => Array.from({ length: 5000 }).reduce<object>((of) => ({ type: 'array', items: of }), {})],
    ['schemas', () => ({ anyOf: Array.from({ length: 10_001 }, () => ({})) })],
    [
      'schemas that multiply',
      () => ({ allOf: Array.from({ length: 16 }, () => ({ anyOf: [{ minimum: 1 }, { maximum: 2 }] })) }),
    ],
    ['lengths', () => ({ type: 'string', maxLength: 1_000_000 })],
    [
      'a circle of references',
      () => ({
        $defs: { a: { $ref: '#/$defs/b', minimum: 1 }, b: { $ref: '#/$defs/a', minimum: 2 } },
        $ref: '#/$defs/a',
      }),
    ],
  ])('too large at once: %s', (_, make) => {
    const started = performance.now();
    expect(() => compiled(jsonSchema(make() as object))).toThrow(
      expect.objectContaining({ code: 'ERR_GRAMMAR_LIMIT' }),
    );
    expect(performance.now() - started).toBeLessThan(10_000);
  });
});
