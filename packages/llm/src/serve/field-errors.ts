import type { z } from 'zod';

type Issue = z.core.$ZodIssue;

/** What is wrong with a value: the field, and a sentence on it. */
export interface FieldError {
  /** As `messages.0.content`; empty for the value as a whole. */
  readonly param: string;
  readonly message: string;
}

/** For `safeParse`: a message stays empty where the schema has none of its own. */
export const wordless: z.core.$ZodErrorMap = () => '';

/** What is wrong with a value that was parsed with `wordless`: the field, what it takes, what came. */
export function fieldError(issue: Issue, value: unknown): FieldError {
  const complaint = complaintOf(issue);
  const param = complaint.path.map(String).join('.');
  const wrong = complaint.path.reduce<unknown>(
    (of, key) => (of as Record<PropertyKey, unknown> | null | undefined)?.[key],
    value,
  );
  const said = complaint.takes === undefined ? complaint.rule : `takes ${complaint.takes}, got ${came(wrong)}`;
  return { param, message: `${param === '' ? 'The body' : param}: ${said}.`.replace(/\s+/g, ' ').slice(0, 500) };
}

/** A rule that is broken, and where: what is taken there, or a rule in words of its own. */
type Complaint = { readonly path: readonly PropertyKey[] } & (
  | { readonly takes: string }
  | { readonly takes?: never; readonly rule: string }
);

function complaintOf(issue: Issue): Complaint {
  const { path, message } = issue;
  if (message.startsWith('takes ')) return { path, takes: message.slice('takes '.length) };
  if (message !== '') return { path, rule: message };
  if (issue.code === 'invalid_key') return within(path, complaintOf(issue.issues[0]!));
  if (issue.code !== 'invalid_union') return { path, takes: expectation(issue) };
  // of values that another field tells apart
  if (issue.errors.length === 0)
    return { path, takes: oneOf((issue as { options?: readonly unknown[] }).options ?? []) };
  const alternatives = issue.errors.flatMap((errors) => (errors[0] ? [complaintOf(errors[0])] : []));
  // the one that came furthest was meant; of several all are
  const depth = Math.max(...alternatives.map((each) => each.path.length));
  const meant = alternatives.filter((each) => each.path.length === depth);
  const taken = [...new Set(meant.flatMap(({ takes }) => takes ?? []))];
  return within(path, taken.length > 0 ? { path: meant[0]!.path, takes: joined(taken) } : meant[0]!);
}

const within = (path: readonly PropertyKey[], complaint: Complaint): Complaint => ({
  ...complaint,
  path: [...path, ...complaint.path],
});

const kinds: Readonly<Record<string, string>> = {
  string: 'a text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'an object',
  record: 'an object',
};

/** What a field takes, by the rule that was broken. */
function expectation(issue: Issue): string {
  switch (issue.code) {
    case 'invalid_type':
      return kinds[issue.expected] ?? `a value of type ${issue.expected}`;
    case 'invalid_value':
      return oneOf(issue.values);
    case 'too_small':
      return bounded(issue.origin, issue.minimum, issue.inclusive ? 'at least' : 'above');
    case 'too_big':
      return bounded(issue.origin, issue.maximum, issue.inclusive ? 'at most' : 'below');
    default:
      return 'another value';
  }
}

function bounded(origin: string, bound: number | bigint, how: string): string {
  if (origin === 'string') return bound === 1 ? 'a text that is not empty' : `a text of ${how} ${bound} characters`;
  // beyond what is told apart from its neighbours
  if (Math.abs(Number(bound)) === Number.MAX_SAFE_INTEGER) return 'a whole number';
  if (origin === 'array') return bound === 1 ? 'a list that is not empty' : `a list of ${how} ${bound}`;
  return `${kinds[origin] ?? 'a number'} of ${how} ${bound}`.replace('of above', 'above').replace('of below', 'below');
}

const oneOf = (values: readonly unknown[]): string =>
  joined(
    values
      .filter((value) => value !== undefined)
      .map((value) => (typeof value === 'string' ? `'${value}'` : String(value))),
  );

function joined(choices: readonly string[]): string {
  const last = choices.at(-1) ?? '';
  return choices.length < 2 ? last : `${choices.slice(0, -1).join(', ')} or ${last}`;
}

const longest = 60;

/** What came, in a few words. */
function came(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (Array.isArray(value)) return value.length === 0 ? 'an empty list' : `a list of ${value.length}`;
  if (typeof value === 'object' && value !== null) return 'an object';
  if (typeof value !== 'string') return String(value);
  return value.length > longest ? `a text of ${value.length} characters` : `'${value}'`;
}
