/** A set of Unicode code points: ranges `[first, last]`, ascending, that neither overlap nor touch. Surrogates are in none. */
export type CharacterSet = readonly (readonly [first: number, last: number])[];

const SURROGATES: CharacterSet = [[0xd800, 0xdfff]];
const LAST = 0x10ffff;

/** Of characters and ranges: `characterSet('a', ['0', '9'])`. */
export function characterSet(...members: readonly (string | readonly [first: string, last: string])[]): CharacterSet {
  return union(
    members.map((member) => {
      const [first, last] = typeof member === 'string' ? [member, member] : member;
      return [first.codePointAt(0)!, last.codePointAt(0)!];
    }),
  );
}

/** What is in any of the ranges. */
export function union(...sets: readonly CharacterSet[]): CharacterSet {
  const ranges = sets.flat().sort(([a], [b]) => a - b);
  const joined: [number, number][] = [];
  for (const [first, last] of ranges) {
    const before = joined.at(-1);
    if (before && first <= before[1] + 1) before[1] = Math.max(before[1], last);
    else joined.push([first, last]);
  }
  return joined;
}

/** Every character that is not in the set. */
export function complement(set: CharacterSet): CharacterSet {
  const others: [number, number][] = [];
  let next = 0;
  for (const [first, last] of union(set, SURROGATES)) {
    if (first > next) others.push([next, first - 1]);
    next = last + 1;
  }
  if (next <= LAST) others.push([next, LAST]);
  return others;
}

/** What is in both. */
export function intersection(a: CharacterSet, b: CharacterSet): CharacterSet {
  return complement(union(complement(a), complement(b)));
}

export const anyCharacter: CharacterSet = complement([]);
