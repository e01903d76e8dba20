import { characterSet, complement } from './character-set.ts';
import { GrammarError } from './errors.ts';
import {
  characters,
  choice,
  type Expression,
  type Grammar,
  mapExpression,
  repeat,
  rule,
  sequence,
  text,
} from './expression.ts';
import type { CombinedFormat, OutputFormat } from './output-format.ts';

/** The grammar of formats one after the other, of one of some, or of one several times. */
export function combinedGrammar(format: CombinedFormat, grammarOf: (format: OutputFormat) => Grammar): Grammar {
  const rules = new Map<string, Expression>();
  let parts = 0;
  /** The rules of a format under names of their own. */
  const part = (of: OutputFormat): Expression => {
    const grammar = grammarOf(of);
    const name = (own: string) => `part ${number}: ${own}`;
    const number = parts++;
    for (const [own, expression] of grammar.rules)
      rules.set(
        name(own),
        mapExpression(expression, (each) => (each.kind === 'rule' ? rule(name(each.name)) : each)),
      );
    return rule(name(grammar.start));
  };
  switch (format.kind) {
    case 'sequence':
      rules.set('root', sequence(...format.parts.map(part)));
      break;
    case 'any-of':
      if (format.options.length === 0) throw new GrammarError('anyFormat: takes at least one format, got none');
      rules.set('root', choice(...format.options.map(part)));
      break;
    case 'repeated': {
      const { min = 0, max = Number.POSITIVE_INFINITY, between = '' } = format;
      const of = part(format.of);
      if (min === 0 && max === 0) rules.set('root', sequence());
      else {
        const several = sequence(of, repeat(sequence(text(between), of), Math.max(0, min - 1), max - 1));
        rules.set('root', repeat(several, Math.min(min, 1), 1));
      }
      break;
    }
    case 'text-until':
      return textUntil(format.end);
  }
  return { rules, start: 'root' };
}

/** Any text in which `end` stands at its end only: a state for each beginning of it that the text so far ends with. */
function textUntil(end: string): Grammar {
  const letters = [...end];
  if (letters.length === 0) throw new GrammarError('textUntil: an end has at least one character, got none');
  const alphabet = [...new Set(letters)];
  const others = characters(complement(characterSet(...alphabet)));
  const rules = new Map<string, Expression>();
  const name = (state: number) => `read ${state}`;
  for (let state = 0; state < letters.length; state++) {
    const next = (letter: string): Expression => {
      let read = [...letters.slice(0, state), letter];
      while (!read.every((each, i) => each === letters[i])) read = read.slice(1);
      return read.length === letters.length ? sequence() : rule(name(read.length));
    };
    rules.set(
      name(state),
      choice(...alphabet.map((letter) => sequence(text(letter), next(letter))), sequence(others, rule(name(0)))),
    );
  }
  return { rules, start: name(0) };
}
