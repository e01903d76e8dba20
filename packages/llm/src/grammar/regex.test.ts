import fc from 'fast-check';
import { expect, it } from 'vitest';
import { runs } from '../../../../test-support/properties.ts';
import { GrammarError } from './errors.ts';
import { regex } from './output-format.ts';
import { randomNumbers, randomText } from './testing/vocabulary.ts';

/** Regular expressions of everything that is supported. */
const pattern: fc.Arbitrary<string> = fc.letrec<{ part: string; atom: string; whole: string }>((tie) => ({
  atom: fc.oneof(
    { maxDepth: 3, depthSize: 'small' },
    fc.constantFrom(
      'a',
      'b',
      'é',
      '日',
      '.',
      '\\d',
      '\\w',
      '\\s',
      '\\D',
      '\\.',
      '\\\\',
      '"',
      '[a-f]',
      '[^a-z]',
      '[\\d.-]',
      '\\x41',
      '\\u00e9',
      '\\u{1f600}',
      '\\n',
      '[^\\w\\s]',
      '/',
      '-',
    ),
    // no repetitions of repetitions without bound: the engine that judges takes exponential time
    fc.tuple(tie('whole'), fc.constantFrom('', '?', '{2}')).map(([inside, count]) => `(${inside})${count}`),
    tie('whole').map((inside) => `(?:${inside})`),
    tie('whole').map((inside) => `(?<name>${inside})`),
  ),
  part: fc
    .tuple(tie('atom'), fc.constantFrom('', '', '', '*', '+', '?', '{2}', '{1,3}', '{2,}', '*?', '??'))
    .map(([atom, count]) => (/^\(/.test(atom) ? atom : atom + count)),
  whole: fc
    .array(
      fc.array(tie('part'), { minLength: 1, maxLength: 3 }).map((parts) => parts.join('')),
      { minLength: 1, maxLength: 2 },
    )
    .map((options) => options.join('|')),
})).whole;

it('texts of random regular expressions are matched by them', () => {
  let ended = 0;
  fc.assert(
    fc.property(pattern, fc.integer(), (source, seed) => {
      // names of groups are used once only
      let names = 0;
      const named = source.replaceAll('?<name>', () => `?<name${names++}>`);
      const text = randomText(regex(named), randomNumbers(seed), 12);
      if (text === undefined) return;
      ended++;
      expect(text).toMatch(new RegExp(`^(?:${named})$`, 'u'));
    }),
    runs(100),
  );
  expect(ended).toBeGreaterThan(40);
});

it.each([
  ['(?=a)b', 'not supported'],
  ['(?<!a)b', 'not supported'],
  ['(a)\\1', 'back references'],
  ['\\bword', '\\b is not supported'],
  ['\\p{L}', '\\p{…} is not supported'],
  ['a**', 'a quantifier follows a quantifier'],
  ['*a', "'*' has nothing before it"],
  ['(a', "')' is missing"],
  ['a)', "')' has no place here"],
  ['[a', 'it ends too early'],
  ['[z-a]', 'out of order'],
  ['a{3,1}', '{3,1} is out of order'],
  ['a^b', "'^' is known at the beginning only"],
  ['(a$)b', "'$' is known at the end only"],
  ['\\q', '\\q is no escape'],
  ['\\ud800', 'is no character'],
])('refuses %s by name', (source, message) => {
  expect(() => randomText(regex(source), randomNumbers(1))).toThrow(GrammarError);
  expect(() => randomText(regex(source), randomNumbers(1))).toThrow(message);
});

it.each(['((a{100}){100}){100}', `${'('.repeat(200)}a${')'.repeat(200)}`, 'a'.repeat(10_001), '(a{1,9999}){1,9999}'])(
  'refuses what is too large at once',
  (source) => {
    const started = performance.now();
    expect(() => randomText(regex(source), randomNumbers(1))).toThrow(
      expect.objectContaining({ code: 'ERR_GRAMMAR_LIMIT' }),
    );
    expect(performance.now() - started).toBeLessThan(2000);
  },
);

it('what takes other engines exponential time takes no longer', () => {
  expect(randomText(regex('(a+)+b|(a|a)*c'), randomNumbers(3), 2000)).toMatch(/^a*[bc]$/);
});
