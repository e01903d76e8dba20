import fc from 'fast-check';
import { expect, test } from 'vitest';
import { runs } from '../../../../test-support/properties.ts';
import { StopStrings } from './stop-strings.ts';

/** What comes through of pieces, and what ended them. */
function through(stops: readonly string[], pieces: readonly string[]) {
  const strings = new StopStrings(stops);
  const given: string[] = [];
  for (const piece of pieces) {
    const { text, stop } = strings.push(piece);
    given.push(text);
    if (stop !== undefined) return { given, stop };
  }
  given.push(strings.finish());
  return { given, stop: undefined };
}

test('text is held back while it may become a stop string', () => {
  expect(through(['END'], ['a', 'E', 'N', 'x', 'EN', 'EN', 'D', 'more'])).toEqual({
    given: ['a', '', '', 'ENx', '', 'EN', ''],
    stop: 'END',
  });
  expect(through(['END'], ['aE', 'N'])).toEqual({ given: ['a', '', 'EN'], stop: undefined });
  expect(through([], ['a', 'b'])).toEqual({ given: ['a', 'b', ''], stop: undefined });
});

test('the stop string that is complete first counts, and of those that end together the longest', () => {
  expect(through(['cd', 'bc'], ['abcd'])).toEqual({ given: ['a'], stop: 'bc' });
  expect(through(['bc', 'b'], ['abcd'])).toEqual({ given: ['a'], stop: 'b' });
  expect(through(['bc', 'abc'], ['abcd'])).toEqual({ given: [''], stop: 'abc' });
  expect(through(['aab'], ['aaaab'])).toEqual({ given: ['aa'], stop: 'aab' });
});

test('however a text is cut, what comes through is what stands before the first stop string, as early as it can', () => {
  const letters = fc.stringMatching(/^[ab]{1,4}$/);
  fc.assert(
    fc.property(
      fc.array(letters, { minLength: 1, maxLength: 3 }),
      fc.array(letters, { maxLength: 12 }),
      (stops, pieces) => {
        const text = pieces.join('');
        const found = stops.map((each) => [text.indexOf(each), each.length] as const).filter(([from]) => from >= 0);
        const end = Math.min(...found.map(([from, length]) => from + length));
        const at = Math.min(...found.filter(([from, length]) => from + length === end).map(([from]) => from));
        const { given, stop } = through(stops, pieces);
        expect(given.join('')).toBe(text.slice(0, at));
        expect(stop === undefined).toBe(at === Number.POSITIVE_INFINITY);
        // what is held back is the beginning of a stop string
        let seen = '';
        for (const [i, piece] of pieces.entries()) {
          seen += piece;
          const held = seen.slice(given.slice(0, i + 1).join('').length);
          if (i < given.length - 1) expect(held === '' || stops.some((each) => each.startsWith(held))).toBe(true);
        }
      },
    ),
    runs(200),
  );
});
