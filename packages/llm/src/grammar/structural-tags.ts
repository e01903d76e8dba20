import { characterSet, complement } from './character-set.ts';
import { GrammarError } from './errors.ts';
import {
  characters,
  choice,
  type Expression,
  empty,
  type Grammar,
  mapExpression,
  rule,
  sequence,
  text,
} from './expression.ts';
import type { OutputFormat } from './output-format.ts';

/** Text with parts of a fixed form. */
export interface StructuralTags {
  readonly tags: readonly StructuralTag[];
  /**
   * Texts after which one of the tags must follow that begin so; by default those that the tags begin with. `<function=` is one
   * of tags that begin with `<function=search>` and `<function=open>`.
   */
  readonly triggers?: readonly string[];
  /** Whether at least one tag must come; false by default. */
  readonly atLeastOne?: boolean;
  /** Whether the text ends after the first tag; false by default. */
  readonly stopAfterFirst?: boolean;
}
export interface StructuralTag {
  readonly begin: string;
  readonly content: OutputFormat;
  readonly end: string;
}

/** Free text that holds no trigger, tags between. `grammarOf` gives the grammar of a content. */
export function structuralTagGrammar(
  {
    tags,
    triggers = [...new Set(tags.map(({ begin }) => begin))],
    atLeastOne = false,
    stopAfterFirst = false,
  }: StructuralTags,
  grammarOf: (format: OutputFormat) => Grammar,
): Grammar {
  checkTriggers(tags, triggers);
  const rules = new Map<string, Expression>();
  for (const [i, { content }] of tags.entries()) {
    const grammar = grammarOf(content);
    const name = (of: string) => `tag ${i}: ${of}`;
    for (const [own, of] of grammar.rules)
      rules.set(
        name(own),
        mapExpression(of, (part) => (part.kind === 'rule' ? rule(name(part.name)) : part)),
      );
    rules.set(`tag ${i}`, rule(name(grammar.start)));
  }
  const after = (trigger: string) =>
    choice(
      ...[...tags.entries()]
        .filter(([, { begin }]) => begin.startsWith(trigger))
        .map(([i, { begin, end }]) => sequence(text(begin.slice(trigger.length)), rule(`tag ${i}`), text(end))),
    );
  const last = stopAfterFirst ? empty : rule('text ');
  addText(rules, 'text ', triggers, (trigger) => sequence(after(trigger), last), true);
  if (atLeastOne || stopAfterFirst)
    addText(rules, 'first ', triggers, (trigger) => sequence(after(trigger), last), !atLeastOne);
  return { rules, start: atLeastOne || stopAfterFirst ? 'first ' : 'text ' };
}

function checkTriggers(tags: readonly StructuralTag[], triggers: readonly string[]): void {
  if (tags.length === 0) throw new GrammarError('structuralTags: takes at least one tag, got none');
  for (const [i, trigger] of triggers.entries()) {
    if (trigger === '') throw new GrammarError('structuralTags: a trigger has at least one character, got none');
    const other = triggers.find((each, j) => j !== i && trigger.includes(each));
    if (other !== undefined)
      throw new GrammarError(`structuralTags: no trigger holds another, got '${trigger}' and '${other}'`);
  }
  for (const { begin } of tags)
    if (!triggers.some((trigger) => begin.startsWith(trigger)))
      throw new GrammarError(
        `structuralTags: each tag begins with a trigger, got '${begin}' of ${triggers.map((each) => `'${each}'`).join(', ')}`,
      );
}

/** Rules of text up to a trigger: one for each beginning of a trigger that the text so far ends with. */
function addText(
  rules: Map<string, Expression>,
  name: string,
  triggers: readonly string[],
  after: (trigger: string) => Expression,
  mayEnd: boolean,
): void {
  const beginnings = new Set(['']);
  for (const trigger of triggers)
    for (const end of [...trigger].map((_, i) => [...trigger].slice(0, i + 1).join(''))) beginnings.add(end);
  const alphabet = [...new Set(triggers.flatMap((trigger) => [...trigger]))];
  const others = characters(complement(characterSet(...alphabet)));
  for (const beginning of beginnings) {
    if (triggers.includes(beginning)) continue;
    const next = (character: string): Expression => {
      let rest = beginning + character;
      while (!beginnings.has(rest)) rest = [...rest].slice(1).join('');
      return triggers.includes(rest) ? after(rest) : rule(name + rest);
    };
    rules.set(
      name + beginning,
      choice(
        ...(mayEnd ? [empty] : []),
        ...alphabet.map((character) => sequence(text(character), next(character))),
        sequence(others, rule(name)),
      ),
    );
  }
}
