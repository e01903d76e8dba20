import { GrammarError } from '../errors.ts';
import { isOfType } from './accepts.ts';
import type { AnySchema, JsonType, Schema } from './keywords.ts';
import { same } from './merge.ts';

/**
 * Checks that no value fits two of the schemas: their types differ, or a property that they require, or the values that they list.
 * @throws GrammarError that names two which may have a value in common
 */
export function oneAtMost(options: readonly AnySchema[]): void {
  for (const [i, a] of options.entries())
    for (const [j, b] of options.slice(0, i).entries())
      if (!apart(a, b))
        throw new GrammarError(
          `schema: 'oneOf' takes schemas that no value fits two of, by type, by 'const' or 'enum', or by those of a required property; got ${j} and ${i}, which may; 'anyOf' takes them`,
        );
}

function apart(a: AnySchema, b: AnySchema): boolean {
  if (a === false || b === false) return true;
  if (a === true || b === true) return false;
  const [mine, others] = [listed(a), listed(b)];
  if (mine && others) return !mine.some((value) => others.some((other) => same(value, other)));
  if (mine) return mine.every((value) => !types(b).some((type) => isOfType(value, type)));
  if (others) return apart(b, a);
  const common = types(a).filter(
    (type) => types(b).includes(type) || (type === 'integer' && types(b).includes('number')),
  );
  const numbers = common.length > 0 || !(types(a).includes('number') && types(b).includes('integer'));
  if (common.length === 0 && numbers) return true;
  return common.every((type) => type === 'object') && numbers && objectsApart(a, b);
}

function objectsApart(a: Schema, b: Schema): boolean {
  return (a.required ?? []).some((name) => {
    const [mine, others] = [property(a, name), property(b, name)];
    return (b.required ?? []).includes(name) && mine !== undefined && others !== undefined && apart(mine, others);
  });
}

function property({ properties = {} }: Schema, name: string): AnySchema | undefined {
  if (!Object.hasOwn(properties, name)) return undefined;
  const found = properties[name]!;
  // as merging leaves it
  if (typeof found === 'boolean' || !found.allOf || Object.keys(found).length > 1) return found;
  return found.allOf.find((each) => typeof each !== 'boolean') ?? true;
}

function listed(schema: Schema): readonly unknown[] | undefined {
  return 'const' in schema ? [schema.const] : schema.enum;
}
function types({ type }: Schema): readonly JsonType[] {
  return type === undefined
    ? ['null', 'boolean', 'number', 'string', 'array', 'object']
    : ([type].flat() as JsonType[]);
}
