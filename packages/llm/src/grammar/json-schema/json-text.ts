import { anyCharacter, type CharacterSet, characterSet, complement, intersection } from '../character-set.ts';
import {
  characters,
  choice,
  type Expression,
  many,
  mapExpression,
  optional,
  repeat,
  rule,
  sequence,
  text,
} from '../expression.ts';

/** Characters that JSON writes as they are. */
const plain = complement(
  [...characterSet('"'), ...characterSet('\\'), [0, 0x1f]].sort(([a], [b]) => a - b) as CharacterSet,
);

/** A JSON string whose value is what `of` may be. Characters are written in one way each. */
export function jsonString(of: Expression): Expression {
  const inside = mapExpression(of, (part) => {
    if (part.kind === 'characters') return jsonCharacter(part.set);
    return part.kind === 'text' ? text(JSON.stringify(part.text).slice(1, -1)) : part;
  });
  return sequence(text('"'), inside, text('"'));
}

/** One character of a set as it stands in a JSON string. */
function jsonCharacter(set: CharacterSet): Expression {
  const escaped: Expression[] = [];
  for (const [first, last] of intersection(set, complement(plain)))
    for (let code = first; code <= last; code++)
      escaped.push(text(JSON.stringify(String.fromCodePoint(code)).slice(1, -1)));
  return choice(characters(intersection(set, plain)), ...escaped);
}

/** A space, or a new line and at most 40 spaces; or nothing. */
const whitespace = optional(choice(text(' '), sequence(text('\n'), repeat(text(' '), 0, 40))));

/** Rules that every JSON grammar has: `space` and what any value is. */
export function jsonRules(anyWhitespace: boolean): [name: string, of: Expression][] {
  const digit = characters(characterSet(['0', '9']));
  const integer = choice(text('0'), sequence(characters(characterSet(['1', '9'])), repeat(digit, 0, 14)));
  const exponent = sequence(
    characters(characterSet('e', 'E')),
    optional(characters(characterSet('+', '-'))),
    repeat(digit, 1, 2),
  );
  const pair = sequence(rule('any string'), text(':'), space, rule('any'));
  const list = (open: string, of: Expression, close: string) => {
    const some = sequence(of, many(sequence(text(','), space, of)), space);
    return sequence(text(open), space, optional(some), text(close));
  };
  return [
    ['space', anyWhitespace ? whitespace : sequence()],
    ['any string', jsonString(many(characters(anyCharacter)))],
    ['any integer', sequence(optional(text('-')), integer)],
    [
      'any number',
      sequence(rule('any integer'), optional(sequence(text('.'), repeat(digit, 1, 15))), optional(exponent)),
    ],
    ['any object', list('{', pair, '}')],
    ['any array', list('[', rule('any'), ']')],
    ['any', choice(...['null', 'true', 'false'].map(text), ...anyNames.map((name) => rule(`any ${name}`)))],
  ];
}
const anyNames = ['string', 'number', 'object', 'array'];

export const space: Expression = rule('space');
