import { anyCharacter } from '../character-set.ts';
import { GrammarError } from '../errors.ts';
import { characters, type Expression, nothing, repeat } from '../expression.ts';
import { regexExpression } from '../regex.ts';
import { formatPattern } from './formats.ts';
import type { Schema } from './keywords.ts';

/**
 * What the value of a string is.
 * @throws GrammarError where a pattern and a length, or a pattern and a format, must both fit, unless the pattern sees to it
 */
export function stringValue({
  minLength = 0,
  maxLength = Number.POSITIVE_INFINITY,
  pattern,
  format,
}: Schema): Expression {
  if (minLength > maxLength) return nothing;
  if (pattern === undefined && format === undefined) return repeat(characters(anyCharacter), minLength, maxLength);
  if (pattern !== undefined && format !== undefined)
    throw new GrammarError(
      `schema: 'pattern' beside 'format' is not supported, got ${JSON.stringify(pattern)} and '${format}'`,
    );
  const value =
    pattern === undefined ? regexExpression(formatPattern(format!)) : regexExpression(pattern, { anywhere: true });
  const [shortest, longest] = lengths(value);
  if (shortest >= minLength && longest <= maxLength) return value;
  if (longest < minLength || shortest > maxLength) return nothing;
  const name = pattern === undefined ? `'format' ${format}` : `'pattern' ${JSON.stringify(pattern)}`;
  throw new GrammarError(
    `schema: ${name} has ${shortest} to ${longest} characters, and a 'minLength' or 'maxLength' within that is not supported: count in the pattern, as in ^[a-z]{2,8}$`,
  );
}

/** The least and most characters of an expression without rules. */
function lengths(of: Expression): [shortest: number, longest: number] {
  switch (of.kind) {
    case 'text':
      return [[...of.text].length, [...of.text].length];
    case 'sequence':
      return of.parts.map(lengths).reduce(([a, b], [c, d]) => [a + c, b + d], [0, 0]);
    case 'choice':
      return of.options
        .map(lengths)
        .reduce(([a, b], [c, d]) => [Math.min(a, c), Math.max(b, d)], [Number.POSITIVE_INFINITY, 0]);
    case 'repeat': {
      const [shortest, longest] = lengths(of.of);
      return [shortest * of.min, longest === 0 ? 0 : longest * of.max];
    }
    default:
      return [1, 1];
  }
}
