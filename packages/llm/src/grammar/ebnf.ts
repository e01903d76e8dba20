import { type CharacterSet, characterSet, complement, union } from './character-set.ts';
import { GrammarError, grammarLimit } from './errors.ts';
import { characters, choice, type Expression, type Grammar, repeat, rule, sequence, text } from './expression.ts';

const MOST_CHARACTERS = 1_000_000;
const MOST_DEPTH = 200;
const escapes: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t', '0': '\0' };

/**
 * Reads a grammar: rules `name ::= expression`, with "text" or 'text', [a-z] and [^a-z], names of rules, ( ), |, and after a
 * part * + ? {n} {n,} {n,m}. `#` begins a comment. In texts and classes stand \n \r \t \" \' \\ \] \- \^ \xHH \uHHHH
 * \UHHHHHHHH. Rules begin with another part than themselves.
 *
 * @param start the rule that a text is, by default `root`
 * @throws GrammarError with the line and column, or for rules that cannot be used
 */
export function parseEbnf(source: string, start = 'root'): Grammar {
  if (source.length > MOST_CHARACTERS)
    throw grammarLimit(`grammar: takes at most ${MOST_CHARACTERS} characters, got ${source.length}`);
  const rules = new EbnfReader(source).read();
  if (!rules.has(start))
    throw new GrammarError(
      `grammar: rule '${start}' is not there, got ${[...rules.keys()].slice(0, 8).join(', ') || 'none'}`,
    );
  return { rules, start };
}

class EbnfReader {
  readonly #source: string;
  #at = 0;
  #depth = 0;

  constructor(source: string) {
    this.#source = source;
  }

  read(): Map<string, Expression> {
    const rules = new Map<string, Expression>();
    for (this.#skip(); this.#at < this.#source.length; this.#skip()) {
      const name = this.#name() ?? this.#fail('the name of a rule is missing');
      this.#skip();
      if (!this.#takes('::=')) this.#fail("'::=' is missing");
      if (rules.has(name)) this.#fail(`rule '${name}' is there twice`);
      rules.set(name, this.#choice());
    }
    return rules;
  }

  #choice(): Expression {
    if (++this.#depth > MOST_DEPTH) throw grammarLimit(`grammar: takes parentheses ${MOST_DEPTH} deep, got more`);
    const options: Expression[] = [];
    do options.push(this.#sequence());
    while (this.#takes('|'));
    this.#depth--;
    return choice(...options);
  }

  #sequence(): Expression {
    const parts: Expression[] = [];
    for (let part = this.#part(); part; part = this.#part()) parts.push(part);
    return sequence(...parts);
  }

  #part(): Expression | undefined {
    this.#skip();
    const atom = this.#atom();
    if (!atom) return undefined;
    this.#skip();
    const bounds = this.#quantifier();
    return bounds ? repeat(atom, ...bounds) : atom;
  }

  #atom(): Expression | undefined {
    const next = this.#source[this.#at];
    if (next === '"' || next === "'") return text(this.#text(next));
    if (next === '[') return characters(this.#class());
    if (this.#takes('(')) {
      const inside = this.#choice();
      this.#skip();
      if (!this.#takes(')')) this.#fail("')' is missing");
      return inside;
    }
    const before = this.#at;
    const name = this.#name();
    if (name === undefined) return undefined;
    this.#skip();
    // the next rule begins
    if (this.#source.startsWith('::=', this.#at)) {
      this.#at = before;
      return undefined;
    }
    return rule(name);
  }

  #quantifier(): [min: number, max: number] | undefined {
    if (this.#takes('*')) return [0, Number.POSITIVE_INFINITY];
    if (this.#takes('+')) return [1, Number.POSITIVE_INFINITY];
    if (this.#takes('?')) return [0, 1];
    const counts = this.#match(/\{\s*(\d{1,7})\s*(,\s*(\d{1,7})?\s*)?\}/y);
    if (!counts) return undefined;
    const min = Number(counts[1]);
    const max = counts[2] === undefined ? min : counts[3] === undefined ? Number.POSITIVE_INFINITY : Number(counts[3]);
    if (min > max) this.#fail(`{${min},${max}} is out of order`);
    return [min, max];
  }

  #text(quote: string): string {
    let read = '';
    this.#at++;
    while (!this.#takes(quote)) read += this.#character();
    return read;
  }

  #class(): CharacterSet {
    this.#at++;
    const others = this.#takes('^');
    const members: CharacterSet[] = [];
    while (!this.#takes(']')) {
      const first = this.#character();
      if (this.#source[this.#at] !== '-' || this.#source[this.#at + 1] === ']') {
        members.push(characterSet(first));
        continue;
      }
      this.#at++;
      const last = this.#character();
      if (first.codePointAt(0)! > last.codePointAt(0)!) this.#fail('a range in […] is out of order');
      members.push(characterSet([first, last]));
    }
    return others ? complement(union(...members)) : union(...members);
  }

  #character(): string {
    if (this.#at >= this.#source.length) this.#fail('a text or […] does not end');
    const code = this.#match(/\\x([0-9a-fA-F]{2})|\\u([0-9a-fA-F]{4})|\\U([0-9a-fA-F]{8})/y);
    if (code) {
      const value = Number.parseInt((code[1] ?? code[2] ?? code[3])!, 16);
      if (value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff)) this.#fail(`${code[0]} is no character`);
      return String.fromCodePoint(value);
    }
    if (this.#takes('\\')) {
      const name = this.#source[this.#at++] ?? this.#fail('an escape is missing');
      return escapes[name] ?? (/[A-Za-z0-9]/.test(name) ? this.#fail(`\\${name} is no escape`) : name);
    }
    const character = String.fromCodePoint(this.#source.codePointAt(this.#at)!);
    this.#at += character.length;
    return character;
  }

  #name(): string | undefined {
    return this.#match(/[A-Za-z_][A-Za-z0-9_.-]*/y)?.[0];
  }
  #skip(): void {
    this.#match(/(\s+|#[^\n]*)*/y);
  }
  #takes(what: string): boolean {
    if (!this.#source.startsWith(what, this.#at)) return false;
    this.#at += what.length;
    return true;
  }
  #match(pattern: RegExp): RegExpExecArray | undefined {
    pattern.lastIndex = this.#at;
    const match = pattern.exec(this.#source) ?? undefined;
    if (match) this.#at += match[0].length;
    return match;
  }
  #fail(why: string): never {
    const lines = this.#source.slice(0, this.#at).split('\n');
    throw new GrammarError(`grammar: ${why}, at line ${lines.length}, column ${lines.at(-1)!.length + 1}`);
  }
}
