import { GrammarError } from './errors.ts';
import type { Expression, Grammar } from './expression.ts';

/**
 * @returns names of the rules that no text can be all of
 * @throws GrammarError for a rule that is not there, that begins with itself, or a start that no text can be all of
 */
export function checkRules({ rules, start }: Grammar): ReadonlySet<string> {
  for (const [name, of] of [['', { kind: 'rule', name: start }] as const, ...rules])
    for (const called of rulesOf(of))
      if (!rules.has(called))
        throw new GrammarError(`grammar: rule '${called}' is not there${name && `, '${name}' asks for it`}`);
  const endless = new Set(rules.keys());
  grow(rules, (name, of) => endless.has(name) && ends(of, endless) && endless.delete(name));
  if (endless.has(start)) throw new GrammarError(`grammar: no text can be all of rule '${start}'`);
  const circle = leftCircle(rules);
  if (circle) throw new GrammarError(`grammar: rule '${circle}' begins with itself; write it as a repetition: (…)*`);
  return endless;
}

/** Names of the rules that can be empty. */
function emptyRules(rules: Grammar['rules']): ReadonlySet<string> {
  const found = new Set<string>();
  grow(rules, (name, of) => !found.has(name) && canBeEmpty(of, found) && found.add(name));
  return found;
}

/** Looks at all rules until nothing changes. */
function grow(rules: Grammar['rules'], change: (name: string, of: Expression) => unknown): void {
  for (let again = true; again; ) {
    again = false;
    for (const [name, of] of rules) if (change(name, of)) again = true;
  }
}

function canBeEmpty(of: Expression, known: ReadonlySet<string>): boolean {
  switch (of.kind) {
    case 'text':
      return of.text === '';
    case 'characters':
      return false;
    case 'sequence':
      return of.parts.every((part) => canBeEmpty(part, known));
    case 'choice':
      return of.options.some((part) => canBeEmpty(part, known));
    case 'repeat':
      return of.min === 0 || canBeEmpty(of.of, known);
    case 'rule':
      return known.has(of.name);
  }
}

/** Whether some text is all of it, where rules in `endless` have none. */
export function ends(of: Expression, endless: ReadonlySet<string>): boolean {
  switch (of.kind) {
    case 'text':
      return true;
    case 'characters':
      return of.set.length > 0;
    case 'sequence':
      return of.parts.every((part) => ends(part, endless));
    case 'choice':
      return of.options.some((part) => ends(part, endless));
    case 'repeat':
      return of.min === 0 || ends(of.of, endless);
    case 'rule':
      return !endless.has(of.name);
  }
}

/** Rules that a text of `of` may begin with. */
function* firstRules(of: Expression, empties: ReadonlySet<string>): Generator<string> {
  if (of.kind === 'rule') yield of.name;
  if (of.kind === 'choice') for (const part of of.options) yield* firstRules(part, empties);
  if (of.kind === 'repeat') yield* firstRules(of.of, empties);
  if (of.kind !== 'sequence') return;
  for (const part of of.parts) {
    yield* firstRules(part, empties);
    if (!canBeEmpty(part, empties)) return;
  }
}

/** A rule that can begin with itself. */
function leftCircle(rules: Grammar['rules']): string | undefined {
  const empties = emptyRules(rules);
  const first = new Map([...rules].map(([name, of]) => [name, new Set(firstRules(of, empties))]));
  const done = new Set<string>();
  for (const root of rules.keys()) {
    if (done.has(root)) continue;
    const open = new Set([root]);
    const path = [{ name: root, rest: [...first.get(root)!] }];
    for (let at = path.at(-1); at; at = path.at(-1)) {
      const next = at.rest.pop();
      if (next === undefined) {
        open.delete(at.name);
        done.add(at.name);
        path.pop();
      } else if (open.has(next)) return next;
      else if (!done.has(next)) {
        open.add(next);
        path.push({ name: next, rest: [...first.get(next)!] });
      }
    }
  }
  return undefined;
}

function* rulesOf(of: Expression): Generator<string> {
  if (of.kind === 'rule') yield of.name;
  if (of.kind === 'sequence') for (const part of of.parts) yield* rulesOf(part);
  if (of.kind === 'choice') for (const part of of.options) yield* rulesOf(part);
  if (of.kind === 'repeat') yield* rulesOf(of.of);
}
