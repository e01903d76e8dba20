import { GrammarError } from '../errors.ts';
import type { AnySchema, JsonType, Schema } from './keywords.ts';

/**
 * One schema for the values that fit both. `$ref` and `allOf` have been resolved before.
 * @throws GrammarError where two keywords cannot be made one: patterns, formats, divisors
 */
export function merge(a: AnySchema, b: AnySchema): AnySchema {
  if (a === false || b === false) return false;
  if (a === true) return b;
  if (b === true) return a;
  const merged: Record<string, unknown> = { ...a };
  for (const [keyword, content] of Object.entries(b) as [keyof Schema, never][]) {
    const mine = a[keyword];
    merged[keyword] = mine === undefined ? content : both(keyword, mine as never, content);
  }
  return withProperties(withItems(merged as Schema, a, b), a, b);
}

/** What keywords that both schemas have become. */
function both(keyword: keyof Schema, a: never, b: never): unknown {
  switch (keyword) {
    case 'minimum':
    case 'exclusiveMinimum':
    case 'minLength':
    case 'minItems':
    case 'minProperties':
      return Math.max(a, b);
    case 'maximum':
    case 'exclusiveMaximum':
    case 'maxLength':
    case 'maxItems':
    case 'maxProperties':
      return Math.min(a, b);
    case 'type':
      return commonTypes(a, b);
    case 'enum':
      return (a as unknown[]).filter((each) => (b as unknown[]).some((other) => same(each, other)));
    case 'required':
      return [...new Set([...(a as string[]), ...(b as string[])])];
    case 'anyOf':
      return (a as AnySchema[]).flatMap((one) => (b as AnySchema[]).map((other) => ({ allOf: [one, other] })));
    case 'propertyNames':
      return { allOf: [a, b] };
    case 'prefixItems':
    case 'items':
    case 'properties':
    case 'additionalProperties':
      return b;
    case 'patternProperties':
    case 'multipleOf':
    case 'pattern':
    case 'format':
    case 'const':
      if (same(a, b)) return a;
      if (keyword === 'const') throw new NoValue();
      throw new GrammarError(
        `schema: '${keyword}' of two schemas that must both fit is not supported: ${JSON.stringify(a)} and ${JSON.stringify(b)}`,
      );
    default:
      throw new GrammarError(`schema: '${keyword}' of two schemas that must both fit is not supported`);
  }
}

/** Two schemas that no value fits. */
export class NoValue extends Error {}

function commonTypes(a: JsonType | readonly JsonType[], b: JsonType | readonly JsonType[]): JsonType[] {
  const [mine, others] = [[a].flat() as JsonType[], [b].flat() as JsonType[]];
  const has = (types: JsonType[], type: JsonType) =>
    types.includes(type) || (type === 'integer' && types.includes('number'));
  return [...new Set([...mine, ...others])].filter((type) => has(mine, type) && has(others, type));
}

/** Properties that only one of them names fit what the other says of further ones. */
function withProperties(merged: Schema, a: Schema, b: Schema): Schema {
  if (!a.properties && !b.properties && !(a.additionalProperties !== undefined && b.additionalProperties !== undefined))
    return merged;
  const properties = Object.create(null) as Record<string, AnySchema>;
  const of = (schema: Schema, name: string) => {
    const own = schema.properties;
    if (own && Object.hasOwn(own, name)) return own[name]!;
    const patterns = Object.entries(schema.patternProperties ?? {}).filter(([pattern]) =>
      new RegExp(pattern, 'u').test(name),
    );
    return patterns.length > 0 ? patterns.map(([, each]) => each).reduce(allOf) : (schema.additionalProperties ?? true);
  };
  for (const name of [...Object.keys(a.properties ?? {}), ...Object.keys(b.properties ?? {})])
    properties[name] = allOf(of(a, name), of(b, name));
  const [mine, others] = [a.additionalProperties, b.additionalProperties];
  if (mine !== undefined && others !== undefined)
    return { ...merged, properties, additionalProperties: allOf(mine, others) };
  return { ...merged, properties };
}

function withItems(merged: Schema, a: Schema, b: Schema): Schema {
  const length = Math.max(a.prefixItems?.length ?? 0, b.prefixItems?.length ?? 0);
  const of = ({ prefixItems, items }: Schema, at: number): AnySchema => prefixItems?.[at] ?? items ?? true;
  const prefixItems = Array.from({ length }, (_, at) => allOf(of(a, at), of(b, at)));
  const items = a.items !== undefined && b.items !== undefined ? allOf(a.items, b.items) : (a.items ?? b.items);
  return { ...merged, ...(length > 0 && { prefixItems }), ...(items !== undefined && { items }) };
}

/** A schema for the values that fit both. */
export function allOf(a: AnySchema, b: AnySchema): AnySchema {
  if (a === true || b === false) return b;
  return b === true || a === false ? a : { allOf: [a, b] };
}

/** Whether two JSON values are equal; the order of properties does not matter. */
export function same(a: unknown, b: unknown): boolean {
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return a === b;
  if (Array.isArray(a) !== Array.isArray(b)) return false;
  const [mine, others] = [Object.keys(a), Object.keys(b)];
  return (
    mine.length === others.length &&
    mine.every(
      (key) => Object.hasOwn(b, key) && same((a as Record<string, unknown>)[key], (b as Record<string, unknown>)[key]),
    )
  );
}
