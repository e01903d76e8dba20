import { characterSet } from '../character-set.ts';
import { GrammarError } from '../errors.ts';
import { characters, choice, type Expression, empty, optional, repeat, rule, sequence, text } from '../expression.ts';
import type { SchemaContext } from './json-schema.ts';
import { type Bounds, decimal, integerRange } from './number-ranges.ts';

const MOST_DIVISOR = 1000;
const MOST_VALUES = 10_000;
const MOST_RULES = 12_000;

/**
 * Multiples of a number: whole ones up to 1,000 (also between two bounds, where there are at most 10,000), and 0.1, 0.01, ….
 * @throws GrammarError for others, and for bounds that let more be
 */
export function multiples(
  context: SchemaContext,
  of: number,
  type: 'integer' | 'number',
  { min, max }: Bounds,
): Expression {
  if (Number.isInteger(of)) {
    if (min && max) return choice(...listed(of, min, max).map((value) => text(String(value))));
    if (!min && !max && of <= MOST_DIVISOR) return sequence(optional(text('-')), byRemainder(context, of));
    throw new GrammarError(
      `schema: 'multipleOf' takes at most ${MOST_DIVISOR} without bounds, or a lowest and a highest number, got ${of}${min || max ? ' and one bound' : ''}`,
    );
  }
  const places = decimal(of).fraction.length;
  if (decimal(of).whole !== '0' || Number(`1e-${places}`) !== of || min || max || places > 9)
    throw new GrammarError(`schema: 'multipleOf' takes whole numbers, and 0.1, 0.01, … without bounds, got ${of}`);
  if (type === 'integer') return rule('any integer');
  // so that no more digits are asked of a number than it has
  const whole = integerRange({
    min: { value: -(10 ** (10 - places)), out: true },
    max: { value: 10 ** (10 - places), out: true },
  });
  return sequence(whole, optional(sequence(text('.'), repeat(characters(characterSet(['0', '9'])), 1, places))));
}

function listed(of: number, min: NonNullable<Bounds['min']>, max: NonNullable<Bounds['max']>): number[] {
  let first = Math.ceil(min.value / of) * of;
  if (min.out && first === min.value) first += of;
  let last = Math.floor(max.value / of) * of;
  if (max.out && last === max.value) last -= of;
  const count = (last - first) / of + 1;
  if (count > MOST_VALUES)
    throw new GrammarError(`schema: 'multipleOf' between bounds takes at most ${MOST_VALUES} numbers, got ${count}`);
  return Array.from({ length: Math.max(0, count) }, (_, i) => first + i * of + 0);
}

/** Digits from the first to the last: what a number so far leaves when it is divided, and how many digits may follow. */
function byRemainder(context: SchemaContext, of: number): Expression {
  const kind = `multiple of ${of}`;
  const after = (remainder: number, left: number): Expression => rule(`${kind}: ${remainder} ${left}`);
  const next = (remainder: number, first: number, left: number) =>
    Array.from({ length: 10 - first }, (_, i) =>
      sequence(text(`${first + i}`), after((remainder * 10 + first + i) % of, left)),
    );
  const most = Math.min(15, Math.floor(MOST_RULES / of));
  for (let left = 0; left < most; left++)
    for (let remainder = 0; remainder < of; remainder++)
      context.named(`${kind}: ${remainder} ${left}`, () =>
        choice(...(remainder === 0 ? [empty] : []), ...(left > 0 ? next(remainder, 0, left - 1) : [])),
      );
  return choice(text('0'), ...next(0, 1, most - 1));
}
