import { anyCharacter, type CharacterSet, characterSet, complement, union } from './character-set.ts';
import { GrammarError, grammarLimit } from './errors.ts';
import { characters, choice, type Expression, empty, many, repeat, sequence } from './expression.ts';

const MOST_CHARACTERS = 10_000;
const MOST_REPETITIONS = 100_000;

const digits = characterSet(['0', '9']);
const word = characterSet(['a', 'z'], ['A', 'Z'], ['0', '9'], '_');
const space = characterSet(
  '\t',
  '\n',
  '\v',
  '\f',
  '\r',
  ' ',
  '\u00a0',
  '\u1680',
  ['\u2000', '\u200a'],
  '\u2028',
  '\u2029',
  '\u202f',
  '\u205f',
  '\u3000',
  '\ufeff',
);
const lineEnds = characterSet('\n', '\r', '\u2028', '\u2029');
const classes: Readonly<Record<string, CharacterSet>> = {
  d: digits,
  D: complement(digits),
  w: word,
  W: complement(word),
  s: space,
  S: complement(space),
};
const controls: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t', f: '\f', v: '\v', 0: '\0' };

/**
 * The texts that a regular expression of JavaScript's syntax (flag `u`) matches: as a whole, or where `anywhere` is set with
 * any text around what is not anchored by `^` and `$`. Lazy quantifiers match the same texts.
 *
 * @throws GrammarError for what it does not know, by name: assertions other than `^` at the beginning and `$` at the end,
 *   back references, properties of characters; `ERR_GRAMMAR_LIMIT` beyond 10,000 characters or 100,000 repetitions, multiplied
 */
export function regexExpression(
  pattern: string,
  { anywhere = false }: { readonly anywhere?: boolean } = {},
): Expression {
  const reader = new RegexReader(pattern);
  const options = reader.read();
  if (!anywhere) return choice(...options.map(({ body }) => body));
  const around = many(characters(anyCharacter));
  return choice(
    ...options.map(({ body, begins, ends }) => sequence(...(begins ? [] : [around]), body, ...(ends ? [] : [around]))),
  );
}

interface Alternative {
  readonly body: Expression;
  readonly begins: boolean;
  readonly ends: boolean;
}

class RegexReader {
  readonly #pattern: string;
  readonly #characters: readonly string[];
  #at = 0;
  #depth = 0;

  constructor(pattern: string) {
    this.#pattern = pattern;
    this.#characters = [...pattern];
    if (this.#characters.length > MOST_CHARACTERS)
      throw grammarLimit(`regex: takes at most ${MOST_CHARACTERS} characters, got ${this.#characters.length}`);
  }

  /** The alternatives at the top, each with whether it is anchored. */
  read(): Alternative[] {
    const options: Alternative[] = [];
    do {
      const begins = this.#takes('^');
      const parts = this.#parts();
      const ends = this.#takes('$');
      options.push({ body: sequence(...parts), begins, ends });
    } while (this.#takes('|'));
    if (this.#at < this.#characters.length) this.#fail(`'${this.#characters[this.#at]}' has no place here`);
    if (options.some(({ body }) => repetitions(body) > MOST_REPETITIONS))
      throw grammarLimit(
        `regex: takes at most ${MOST_REPETITIONS} repetitions, multiplied, got more in ${this.#shown}`,
      );
    return options;
  }

  #parts(): Expression[] {
    const parts: Expression[] = [];
    for (let next = this.#next; next !== undefined && !'|)$'.includes(next); next = this.#next) {
      if (next === '^') this.#fail("'^' is known at the beginning only");
      parts.push(this.#quantified(this.#atom()));
    }
    return parts;
  }

  #atom(): Expression {
    const character = this.#take();
    switch (character) {
      case '(':
        return this.#group();
      case '[':
        return characters(this.#class());
      case '.':
        return characters(complement(lineEnds));
      case '\\':
        return characters(this.#escape(false));
      case '*':
      case '+':
      case '?':
      case '{':
      case '}':
      case ']':
        return this.#fail(`'${character}' has nothing before it; write '\\${character}' for the character`);
      default:
        return characters(characterSet(character));
    }
  }

  #group(): Expression {
    if (this.#takes('?') && !this.#takes(':')) {
      if (!this.#takes('<') || this.#next === '=' || this.#next === '!')
        this.#fail('groups (?=…), (?!…), (?<=…), (?<!…) and flags are not supported');
      while (this.#take() !== '>');
    }
    if (++this.#depth > 100) throw grammarLimit('regex: takes groups in each other 100 deep, got more');
    const options: Expression[] = [];
    do options.push(sequence(...this.#parts()));
    while (this.#takes('|'));
    this.#depth--;
    if (this.#next === '$') this.#fail("'$' is known at the end only");
    if (!this.#takes(')')) this.#fail("')' is missing");
    return choice(...options);
  }

  #quantified(of: Expression): Expression {
    const bounds = this.#quantifier();
    if (!bounds) return of;
    this.#takes('?');
    if (this.#next !== undefined && '*+?{'.includes(this.#next)) this.#fail('a quantifier follows a quantifier');
    const [min, max] = bounds;
    if (min > max) this.#fail(`{${min},${max}} is out of order`);
    return max === 0 ? empty : repeat(of, min, max);
  }

  #quantifier(): [min: number, max: number] | undefined {
    if (this.#takes('*')) return [0, Number.POSITIVE_INFINITY];
    if (this.#takes('+')) return [1, Number.POSITIVE_INFINITY];
    if (this.#takes('?')) return [0, 1];
    if (!this.#takes('{')) return undefined;
    const min = this.#number();
    const max = this.#takes(',') ? (this.#next === '}' ? Number.POSITIVE_INFINITY : this.#number()) : min;
    if (!this.#takes('}')) this.#fail("'}' is missing");
    return [min, max];
  }

  #number(): number {
    let digitsRead = '';
    while (this.#next !== undefined && /[0-9]/.test(this.#next)) digitsRead += this.#take();
    if (digitsRead === '') this.#fail('a number is missing');
    return Number(digitsRead);
  }

  #class(): CharacterSet {
    const others = this.#takes('^');
    const members: CharacterSet[] = [];
    while (!this.#takes(']')) {
      const first = this.#member();
      if (this.#next !== '-' || this.#characters[this.#at + 1] === ']') {
        members.push(first);
        continue;
      }
      this.#take();
      const last = this.#member();
      if (!isOne(first) || !isOne(last) || first[0]![0] > last[0]![0]) this.#fail('a range in […] is out of order');
      members.push([[first[0]![0], last[0]![0]]]);
    }
    return others ? complement(union(...members)) : union(...members);
  }

  #member(): CharacterSet {
    const character = this.#take();
    return character === '\\' ? this.#escape(true) : characterSet(character);
  }

  #escape(inClass: boolean): CharacterSet {
    const name = this.#take();
    if (Object.hasOwn(classes, name)) return classes[name]!;
    if (Object.hasOwn(controls, name)) return characterSet(controls[name]!);
    if (inClass && name === 'b') return characterSet('\b');
    if (name === 'x') return this.#codePoint(this.#hexadecimal(2));
    if (name === 'u') return this.#codePoint(this.#takes('{') ? this.#braced() : this.#hexadecimal(4));
    if (name === 'c') return this.#codePoint(this.#take().toUpperCase().charCodeAt(0) % 32);
    if (/[1-9k]/.test(name)) return this.#fail('back references are not supported');
    if (/[pP]/.test(name)) return this.#fail(`\\${name}{…} is not supported`);
    if (/[bB]/.test(name)) return this.#fail(`\\${name} is not supported`);
    if (/[A-Za-z]/.test(name)) return this.#fail(`\\${name} is no escape`);
    return characterSet(name);
  }

  #braced(): string {
    let code = '';
    while (!this.#takes('}')) code += this.#take();
    return code;
  }
  #hexadecimal(count: number): string {
    return Array.from({ length: count }, () => this.#take()).join('');
  }
  #codePoint(code: string | number): CharacterSet {
    const value =
      typeof code === 'number' ? code : /^[0-9a-fA-F]+$/.test(code) ? Number.parseInt(code, 16) : Number.NaN;
    if (!(value <= 0x10ffff) || (value >= 0xd800 && value <= 0xdfff)) return this.#fail(`'${code}' is no character`);
    return [[value, value]];
  }

  get #next(): string | undefined {
    return this.#characters[this.#at];
  }
  #take(): string {
    const character = this.#characters[this.#at++];
    return character === undefined ? this.#fail('it ends too early') : character;
  }
  #takes(character: string): boolean {
    if (this.#next !== character) return false;
    this.#at++;
    return true;
  }
  get #shown(): string {
    return JSON.stringify(this.#pattern.length > 80 ? `${this.#pattern.slice(0, 80)}…` : this.#pattern);
  }
  #fail(why: string): never {
    throw new GrammarError(`regex: ${why}, at ${this.#at} of ${this.#shown}`);
  }
}

const isOne = (set: CharacterSet): boolean => set.length === 1 && set[0]![0] === set[0]![1];

/** How many copies of characters its bounded repetitions make. */
function repetitions(of: Expression): number {
  if (of.kind === 'sequence') return of.parts.reduce((sum, part) => sum + repetitions(part), 0);
  if (of.kind === 'choice') return of.options.reduce((sum, part) => sum + repetitions(part), 0);
  if (of.kind === 'repeat')
    return Math.max(1, of.max === Number.POSITIVE_INFINITY ? of.min + 1 : of.max) * repetitions(of.of);
  return 1;
}
