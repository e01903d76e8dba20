/** A default that a comment states of an option, or that code gives to a name. */
export interface StatedDefault {
  readonly name: string;
  /** As `normalized` gives it. */
  readonly value: string;
}

/** What can be compared: a number, with its unit where there is one; a text; a truth. */
const literal = String.raw`'[^'\n]*'|true|false|\[[\d., ]+\]|-?\d+(?:,\d{3})*(?:\.\d+)?(?:e[-+]?\d+)?`;
const units: Readonly<Record<string, number>> = { KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30, GB: 1e9, minutes: 60_000 };
/** Not what is a part of a term, or of a list. */
const stated = `(${literal})( (?:KiB|MiB|GiB|GB|minutes))?(?=[.;)]|,? ?$|, [a-z])(?!, one)`;

const member = /\/\*\*((?:(?!\*\/)[\s\S])*?)\*\/\s*(?:readonly )?(\w+)\?\s*:/g;
const ofMember = new RegExp(String.raw`\b[Dd]efault:? ${stated}|(?:^|[;,] )(${literal}) where (?:not|none is) named`);
const comment = /\/\*\*((?:(?!\*\/)[\s\S])*?)\*\//g;
/** `name` does something (default 3); `name` of it, by default 3. */
const ofName = new RegExp(String.raw`\`(\w+)\`[^\`(;]*?(?:\(default |by default )${stated}`, 'g');
/** `name` (3 where not named) */
const ofNameInBrackets = new RegExp(String.raw`\`(\w+)\` \((${literal}) where not named`, 'g');
/** @param options.name what it is. Default 3 */
const ofParameter = new RegExp(String.raw`options\.(\w+) [^@]*?\b[Dd]efault ${stated}`, 'g');

/** The defaults that the comments of a source state, where they are literals. */
export function statedDefaults(source: string): StatedDefault[] {
  const found: StatedDefault[] = [];
  for (const [, text, name] of source.matchAll(member)) {
    const [, first, unit, second] = plain(text!).match(ofMember) ?? [];
    const value = first ?? second;
    if (value !== undefined) found.push({ name: name!, value: normalized(value, unit) });
  }
  for (const [, text] of source.matchAll(comment))
    for (const pattern of [ofName, ofNameInBrackets, ofParameter])
      for (const [, name, value, unit] of plain(text!).matchAll(pattern))
        found.push({ name: name!, value: normalized(value!, unit) });
  return found;
}

const plain = (text: string): string => text.replace(/\s*\n\s*\*\s*/g, ' ').trim();

const product = String.raw`\d[\d_]*(?:\.\d+)?(?:e[-+]?\d+)?(?: (?:\*\*|\*) \d[\d_]*)*`;
const given = String.raw`(?:Math\.(?:min|max)\()?('[^'\n]*'|true|false|\[[\d., ]+\]|-?${product})`;
/** In a pattern or among parameters, as what stands in for undefined, or of an attribute that is told so. */
const codes = [
  new RegExp(String.raw`\b(\w+): \[[\w, ]+\] = ${given}`, 'g'),
  new RegExp(String.raw`\b(\w+)(?:: \w+)? = ${given}(?=\s*[,})])`, 'g'),
  new RegExp(String.raw`\b(\w+)\)? \?\? ${given}(?=\s*[;,)}\]]|\n)`, 'g'),
];

const property = new RegExp(String.raw`^\s*(\w+): ${given},$`, 'gm');

/** The literals that a source takes where none was given. */
export function givenDefaults(source: string): StatedDefault[] {
  return literals(source, codes);
}

/** What checks of options call arguments that may be anything. */
const kinds: readonly string[] = ["'anything'"];

/** The literals of a source's tables, a line each. */
export function tabledDefaults(source: string): StatedDefault[] {
  return literals(source, [property]).filter(({ value }) => !kinds.includes(value));
}

function literals(source: string, patterns: readonly RegExp[]): StatedDefault[] {
  const code = source.replace(comment, '').replace(/\/\/.*/g, '');
  return patterns.flatMap((pattern) =>
    [...code.matchAll(pattern)].map(([, name, value]) => ({ name: name!, value: normalized(value!) })),
  );
}

/** Numbers that are equal, and texts, are written alike. */
function normalized(value: string, unit = ''): string {
  if (!/^-?\d/.test(value)) return value;
  const factors = value.split(' * ').map((factor) => {
    const [base, power = '1'] = factor.split(' ** ');
    return Number(base!.replace(/[_,]/g, '')) ** Number(power);
  });
  return String(factors.reduce((all, factor) => all * factor, units[unit.trim()] ?? 1));
}
