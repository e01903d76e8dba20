import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { runs } from '../../../../test-support/properties.ts';
import { automaton } from './automaton.ts';
import { characterSet, complement } from './character-set.ts';
import { parseEbnf } from './ebnf.ts';
import type { GrammarError } from './errors.ts';
import { choices, ebnf, regex } from './output-format.ts';
import { compiled, textOf, vocabulary } from './testing/vocabulary.ts';
import { utf8Ranges } from './utf8-ranges.ts';

const bytesOf = (text: string) => [...new TextEncoder().encode(text)];
const tokenOf = (byte: number) => vocabulary.findIndex((bytes) => bytes?.length === 1 && bytes[0] === byte);

/** Whether a grammar takes a text, byte by byte, and lets it end. */
function takes(grammar: string, text: string): boolean {
  const matcher = compiled(ebnf(grammar)).matcher();
  try {
    for (const byte of bytesOf(text)) matcher.accept(tokenOf(byte));
  } catch {
    return false;
  }
  return matcher.complete;
}

function failure(act: () => unknown): GrammarError {
  try {
    act();
  } catch (error) {
    return error as GrammarError;
  }
  throw new Error('it did not fail');
}

describe('characters as bytes', () => {
  it('a set takes the UTF-8 of its characters, and nothing else', () => {
    const code = fc.oneof(
      fc.integer({ min: 0, max: 0x10ffff }),
      fc.constantFrom(0x7f, 0x80, 0x7ff, 0x800, 0xffff, 0x10000),
    );
    fc.assert(
      fc.property(fc.array(fc.tuple(code, code), { minLength: 1, maxLength: 3 }), fc.array(code), (pairs, codes) => {
        const ranges = pairs.map(([a, b]) => [Math.min(a, b), Math.max(a, b)] as [number, number]);
        const set = complement(complement(ranges.sort(([a], [b]) => a - b)));
        const sequences = utf8Ranges(set);
        for (const each of [...codes, ...ranges.flat()]) {
          if (each >= 0xd800 && each <= 0xdfff) continue;
          const bytes = bytesOf(String.fromCodePoint(each));
          const matches = sequences.filter(
            (sequence) =>
              sequence.length === bytes.length &&
              sequence.every(([first, last], i) => bytes[i]! >= first && bytes[i]! <= last),
          );
          expect(matches.length).toBe(set.some(([first, last]) => each >= first && each <= last) ? 1 : 0);
        }
      }),
      runs(100),
    );
  });

  it('broken UTF-8 is never taken: lone bytes, long forms, surrogates, beyond the last character', () => {
    const any = compiled(ebnf('root ::= [^x]*'));
    for (const bytes of [
      [0x80],
      [0xc0, 0x80],
      [0xc1],
      [0xe0, 0x80],
      [0xed, 0xa0],
      [0xf0, 0x80],
      [0xf4, 0x90],
      [0xf5],
      [0xff],
    ]) {
      const matcher = any.matcher();
      expect(() => bytes.map((byte) => matcher.accept(tokenOf(byte))), `${bytes}`).toThrow(/may not come/);
    }
  });
});

describe('what may come next', () => {
  const grammars = [
    'root ::= value\nvalue ::= "[" (value ("," value)*)? "]" | [0-9]+ | "\\"" [^"]* "\\""',
    'root ::= ("a" | "ab" | "abc")+ ("c" root)?',
    'root ::= item{2,4} "."\nitem ::= [a-z]+ " "\n',
    'root ::= "the " ("cat" | "dog" | "") tail\ntail ::= "" | "s" | "s " tail',
    'root ::= "é" [à-ÿ]* | "日本"',
  ];
  it.each(grammars)('is what can be accepted, at every place: %s', (grammar) => {
    let seed = 1;
    const random = () => {
      seed = (seed * 48271) % 2147483647;
      return seed / 2147483647;
    };
    const of = compiled(ebnf(grammar));
    for (let text = 0; text < 2; text++) {
      const matcher = of.matcher();
      for (let i = 0; i < 8; i++) {
        const mask = new Uint32Array(Math.ceil(vocabulary.length / 32));
        matcher.addAllowed(mask);
        const allowed: number[] = [];
        const first = Math.floor(random() * 5);
        for (const [id, bytes] of vocabulary.entries()) {
          if (id % 5 !== first && !((mask[id >> 5]! >>> (id & 31)) & 1)) continue;
          let accepted = false;
          try {
            if (bytes) {
              matcher.accept(id);
              accepted = true;
              matcher.truncate(matcher.length - 1);
            }
          } catch {}
          expect(((mask[id >> 5]! >>> (id & 31)) & 1) === 1, `token ${id}`).toBe(accepted);
          if (accepted) allowed.push(id);
        }
        if (allowed.length === 0) {
          expect(matcher.complete).toBe(true);
          break;
        }
        matcher.accept(allowed[Math.floor(random() * allowed.length)]!);
      }
    }
  });

  it('truncating gives back what was there', () => {
    const matcher = compiled(ebnf('root ::= "a" "b"{3} | "c"')).matcher();
    const masks: Uint32Array[] = [];
    const now = () => {
      const mask = new Uint32Array(Math.ceil(vocabulary.length / 32));
      matcher.addAllowed(mask);
      return mask;
    };
    for (const byte of bytesOf('abbb')) {
      masks.push(now());
      matcher.accept(tokenOf(byte));
    }
    expect(matcher.complete).toBe(true);
    for (let length = 3; length >= 0; length--) {
      matcher.truncate(length);
      expect(now()).toEqual(masks[length]);
    }
    expect(() => matcher.truncate(1)).toThrow(/cannot go back to 1/);
  });

  it('deep nesting costs no more a token than shallow nesting', () => {
    const matcher = compiled(ebnf('root ::= "(" root ")" | ""')).matcher();
    const open = tokenOf('('.charCodeAt(0));
    for (let i = 0; i < 3000; i++) matcher.accept(open);
    const close = tokenOf(')'.charCodeAt(0));
    for (let i = 0; i < 3000; i++) {
      expect(matcher.complete).toBe(false);
      matcher.accept(close);
    }
    expect(matcher.complete).toBe(true);
  });
});

describe('grammars in EBNF', () => {
  it.each([
    ['root ::= "a" | "b" c # a comment\n c ::= [0-9]{2}', ['a', 'b12'], ['b1', 'ab', '']],
    ["root ::= 'it''s'? ", ['it', 'its'], ['it s']],
    ['root ::= [^\\]\\-a]+', ['bc', 'é'], ['a', ']', '-', '']],
    ['root ::= "\\x41\\u00e9\\U0001F600\\n"', ['Aé😀\n'], ['A']],
    ['root ::= (("a" | "") "b")* "c"', ['c', 'abbc', 'bababc'], ['ac']],
    ['root ::= list\nlist ::= "x" | "x" "," list', ['x', 'x,x,x'], ['x,']],
    ['root ::= "a"{0} "b"{1,} "c"{0,2}', ['b', 'bbcc'], ['a', 'bccc']],
  ] as const)('%s', (grammar, good, bad) => {
    for (const text of good) expect(takes(grammar, text), text).toBe(true);
    for (const text of bad) expect(takes(grammar, text), text).toBe(false);
  });

  it.each([
    ['root ::= other', "rule 'other' is not there, 'root' asks for it"],
    ['a ::= "x"', "rule 'root' is not there, got a"],
    ['root ::= root "a" | "b"', "rule 'root' begins with itself"],
    ['root ::= a? b | "y"\na ::= "x"\nb ::= root', 'begins with itself'],
    ['root ::= "a" root', "no text can be all of rule 'root'"],
    ['root ::= ("a"', "')' is missing, at line 1, column 14"],
    ['root ::= "a', 'a text or […] does not end'],
    ['root ::= [z-a]', 'a range in […] is out of order'],
    ['root ::= "\\ud800"', '\\ud800 is no character'],
    ['root ::= "a"{3,1}', '{3,1} is out of order'],
    ['root ::= "a"\nroot ::= "b"', "rule 'root' is there twice"],
  ])('refuses %s', (grammar, message) => {
    const error = failure(() => compiled(ebnf(grammar)));
    expect([error.name, error.code]).toEqual(['GrammarError', 'ERR_GRAMMAR']);
    expect(error.message).toContain(message);
  });

  it.each([
    ['parentheses', `root ::= ${'('.repeat(500)}"a"${')'.repeat(500)}`],
    ['states', 'root ::= (([a-z]{1000}){1000}){1000}'],
    ['characters', `root ::= "${'a'.repeat(1_000_001)}"`],
  ])('refuses too many %s', (_, grammar) => {
    expect(failure(() => compiled(ebnf(grammar))).code).toBe('ERR_GRAMMAR_LIMIT');
  });

  it('what no text can be is left out of a choice', () => {
    expect(takes('root ::= "a" | never\nnever ::= "b" never', 'a')).toBe(true);
    expect(takes('root ::= ("c" never)* "a"\nnever ::= "b" never', 'a')).toBe(true);
    const { states } = automaton(parseEbnf('root ::= "a" | never\nnever ::= "b" never'));
    expect(states.flatMap(({ rules }) => rules)).toEqual([]);
  });
});

describe('choices', () => {
  it('are the texts themselves', () => {
    const matcher = compiled(choices(['yes', 'yes, but', 'no'])).matcher();
    const mask = new Uint32Array(Math.ceil(vocabulary.length / 32));
    matcher.addAllowed(mask);
    const first = [...vocabulary.keys()].filter((id) => (mask[id >> 5]! >>> (id & 31)) & 1).map((id) => textOf([id]));
    expect(first.every((text) => ['yes, but', 'no'].some((each) => each.startsWith(text)))).toBe(true);
    expect(first.length).toBeGreaterThan(1);
  });
  it('takes characters that a regular expression would read otherwise', () => {
    expect(() => compiled(choices(['(a|b)*', '\\']))).not.toThrow();
    expect(() => compiled(choices([]))).toThrow(/at least one/);
    expect(characterSet('a')).toEqual([[97, 97]]);
    expect(() => compiled(regex(/a/i))).toThrow(/flags/);
  });
});
