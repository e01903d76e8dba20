import type { CharacterSet } from './character-set.ts';

/** Byte ranges one after the other: all characters whose UTF-8 has its bytes in them. */
export type ByteSequence = readonly (readonly [first: number, last: number])[];

/** The UTF-8 of a set of characters: sequences that no two characters share. */
export function utf8Ranges(set: CharacterSet): ByteSequence[] {
  const sequences: ByteSequence[] = [];
  for (const [first, last] of set)
    for (const [low, high] of [
      [0, 0x7f],
      [0x80, 0x7ff],
      [0x800, 0xffff],
      [0x10000, 0x10ffff],
    ] as const)
      if (first <= high && last >= low)
        sequences.push(...split(utf8(Math.max(first, low)), utf8(Math.min(last, high))));
  return sequences;
}

/** Bytes of equal length: where only the last bytes vary over all they can be, one sequence is enough. */
function split(first: readonly number[], last: readonly number[]): ByteSequence[] {
  if (first.length === 1) return [[[first[0]!, last[0]!]]];
  const [head, end] = [first[0]!, last[0]!];
  const [lowest, highest] = [first.slice(1).map(() => 0x80), first.slice(1).map(() => 0xbf)];
  const under = (from: number, to: number, rest: ByteSequence[]) =>
    rest.map((bytes) => [[from, to] as const, ...bytes]);
  if (head === end) return under(head, head, split(first.slice(1), last.slice(1)));
  const wholeFirst = first.slice(1).every((byte) => byte === 0x80);
  const wholeLast = last.slice(1).every((byte) => byte === 0xbf);
  const [from, to] = [wholeFirst ? head : head + 1, wholeLast ? end : end - 1];
  return [
    ...(wholeFirst ? [] : under(head, head, split(first.slice(1), highest))),
    ...(from <= to ? under(from, to, split(lowest, highest)) : []),
    ...(wholeLast ? [] : under(end, end, split(lowest, last.slice(1)))),
  ];
}

function utf8(character: number): number[] {
  return [...new TextEncoder().encode(String.fromCodePoint(character))];
}
