import { characterSet } from '../character-set.ts';
import {
  characters,
  choice,
  type Expression,
  empty,
  nothing,
  optional,
  repeat,
  sequence,
  text,
} from '../expression.ts';

/** Bounds of a number; absent where there is none. */
export interface Bounds {
  readonly min?: Bound | undefined;
  readonly max?: Bound | undefined;
}
interface Bound {
  readonly value: number;
  /** Whether the bound itself is out. */
  readonly out: boolean;
}

/** Digits of a number without sign. */
interface Decimal {
  readonly whole: string;
  /** Without zeros at its end. */
  readonly fraction: string;
}

const MOST_DIGITS = 15;
const digit = (first = 0, last = 9): Expression =>
  first > last ? nothing : characters(characterSet([`${first}`, `${last}`]));
const digits = (min: number, max: number): Expression => repeat(digit(), min, Math.max(min, max));

/** Whole numbers within bounds, of at most 15 digits where there is none above (or as many as the other bound has, and one). */
export function integerRange({ min, max }: Bounds): Expression {
  const low = min && Math.ceil(min.value) + (min.out && Number.isInteger(min.value) ? 1 : 0);
  const high = max && Math.floor(max.value) - (max.out && Number.isInteger(max.value) ? 1 : 0);
  const options: Expression[] = [];
  if (high === undefined || high >= 0) options.push(naturals(Math.max(low ?? 0, 0), high));
  if (low === undefined || low < 0)
    options.push(
      sequence(text('-'), naturals(Math.max(high === undefined ? 1 : -high, 1), low === undefined ? undefined : -low)),
    );
  return choice(...options);
}

/** Whole numbers from `low`, at least 0, to `high`. */
function naturals(low: number, high: number | undefined): Expression {
  if (high !== undefined && low > high) return nothing;
  const first = decimal(low).whole;
  const last = high === undefined ? '9'.repeat(Math.max(MOST_DIGITS, first.length + 1)) : decimal(high).whole;
  const options: Expression[] = [];
  if (first === '0') options.push(text('0'));
  for (let length = first.length; length <= last.length; length++) {
    const from = length === first.length && first !== '0' ? first : `1${'0'.repeat(length - 1)}`;
    const to = length === last.length ? last : '9'.repeat(length);
    if (from <= to) options.push(between(from, to));
  }
  return choice(...options);
}

/** Digits of equal number, from one to the other. */
function between(from: string, to: string): Expression {
  if (from.length === 0) return empty;
  const [first, last] = [Number(from[0]), Number(to[0])];
  const rest = from.length - 1;
  if (/^0*$/.test(from) && /^9*$/.test(to)) return digits(from.length, from.length);
  if (first === last) return sequence(text(from[0]!), between(from.slice(1), to.slice(1)));
  return choice(
    sequence(text(from[0]!), between(from.slice(1), '9'.repeat(rest))),
    ...(first + 1 < last ? [sequence(digit(first + 1, last - 1), digits(rest, rest))] : []),
    sequence(text(to[0]!), between('0'.repeat(rest), to.slice(1))),
  );
}

/** Decimal numbers within bounds, without exponent. */
export function numberRange({ min, max }: Bounds): Expression {
  const zero = { value: 0, out: false };
  const options: Expression[] = [];
  if (!max || max.value > 0 || (max.value === 0 && !max.out)) {
    const low = min && min.value >= 0 ? min : zero;
    options.push(positives(low, max));
  }
  if (!min || min.value < 0) {
    const low = max && max.value < 0 ? { value: -max.value, out: max.out } : zero;
    const bound = min && { value: -min.value, out: min.out };
    if (!(max && max.value <= 0 && max.out && low === zero)) options.push(sequence(text('-'), positives(low, bound)));
    else options.push(sequence(text('-'), positives({ value: 0, out: true }, bound)));
  }
  return choice(...options);
}

/** Decimals from `min`, at least 0, to `max`. */
function positives(min: Bound, max: Bound | undefined): Expression {
  if (max && (min.value > max.value || (min.value === max.value && (min.out || max.out)))) return nothing;
  const low = decimal(min.value);
  const high = max && decimal(max.value);
  const places = Math.max(1, 14 - (high ?? low).whole.length, low.fraction.length, high?.fraction.length ?? 0);
  if (high && low.whole === high.whole)
    return sequence(
      text(low.whole),
      fraction({ digits: low.fraction, out: min.out }, { digits: high.fraction, out: max!.out }, places),
    );
  const wholeAfter = naturals(Number(low.whole) + 1, high && Number(high.whole) - 1);
  return choice(
    sequence(text(low.whole), fraction({ digits: low.fraction, out: min.out }, undefined, places)),
    sequence(wholeAfter, fraction(undefined, undefined, places)),
    ...(high
      ? [sequence(text(high.whole), fraction(undefined, { digits: high.fraction, out: max!.out }, places))]
      : []),
  );
}

interface Digits {
  readonly digits: string;
  readonly out: boolean;
}

/** A point and digits, or nothing: fractions between two, of at most so many digits. */
function fraction(low: Digits | undefined, high: Digits | undefined, places: number): Expression {
  const none = !(low && (low.digits !== '' || low.out)) && !(high && high.digits === '' && high.out);
  const some = sequence(text('.'), fractionDigits(low, high, places, true));
  return none ? optional(some) : some;
}

/** Digits after the point, at least one where `needed`. Zeros may stand at the end. */
function fractionDigits(
  low: Digits | undefined,
  high: Digits | undefined,
  places: number,
  needed: boolean,
): Expression {
  if (!low && !high) return digits(needed ? 1 : 0, places);
  const options: Expression[] = [];
  // it may end here where what is left of the bounds lets a 0 be
  const zeroFits = !(low && (low.digits !== '' || low.out)) && !(high && high.digits === '' && high.out);
  if (!needed && zeroFits) options.push(empty);
  if (places > 0) {
    const [from, to] = [Number(low?.digits[0] ?? 0), Number(high ? (high.digits[0] ?? 0) : 9)];
    for (let value = from; value <= to; value++) {
      const restLow = low && value === from ? { digits: low.digits.slice(1), out: low.out } : undefined;
      const restHigh = high && value === to ? { digits: high.digits.slice(1), out: high.out } : undefined;
      const free = restLow && restLow.digits === '' && !restLow.out ? undefined : restLow;
      options.push(sequence(text(`${value}`), fractionDigits(free, restHigh, places - 1, false)));
    }
  }
  return choice(...options);
}

/** A number of at least 0 as digits. */
export function decimal(value: number): Decimal {
  const [mantissa, exponent = '0'] = String(value).split('e');
  const [whole, fractionDigitsOf = ''] = mantissa!.split('.');
  const shift = Number(exponent);
  const all = whole! + fractionDigitsOf;
  const point = whole!.length + shift;
  const padded = point <= 0 ? '0'.repeat(1 - point) + all : all.padEnd(point, '0');
  const at = Math.max(point, 1);
  return { whole: padded.slice(0, at).replace(/^0+(?=\d)/, ''), fraction: padded.slice(at).replace(/0+$/, '') };
}
