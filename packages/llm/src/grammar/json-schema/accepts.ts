import { formatPattern } from './formats.ts';
import type { AnySchema, JsonType, Schema } from './keywords.ts';
import { same } from './merge.ts';

type Resolve = (ref: string) => AnySchema;

/** Whether a value fits a schema. `resolve` gives what a `$ref` stands for. */
export function accepts(schema: AnySchema, value: unknown, resolve: Resolve): boolean {
  if (typeof schema === 'boolean') return schema;
  const fits = (each: AnySchema) => accepts(each, value, resolve);
  if (schema.type !== undefined && ![schema.type].flat().some((type) => isOfType(value, type as JsonType)))
    return false;
  if (schema.enum && !schema.enum.some((each) => same(each, value))) return false;
  if ('const' in schema && !same(schema.const, value)) return false;
  if (schema.$ref !== undefined && !fits(resolve(schema.$ref))) return false;
  if (schema.allOf && !schema.allOf.every(fits)) return false;
  if (schema.anyOf && !schema.anyOf.some(fits)) return false;
  if (schema.oneOf && schema.oneOf.filter(fits).length !== 1) return false;
  if (typeof value === 'number') return numberFits(schema, value);
  if (typeof value === 'string') return stringFits(schema, value);
  if (Array.isArray(value)) return arrayFits(schema, value, resolve);
  return typeof value !== 'object' || value === null || objectFits(schema, value as Record<string, unknown>, resolve);
}

export function isOfType(value: unknown, type: JsonType): boolean {
  if (type === 'null') return value === null;
  if (type === 'array') return Array.isArray(value);
  if (type === 'object') return typeof value === 'object' && value !== null && !Array.isArray(value);
  if (type === 'integer') return Number.isInteger(value);
  return typeof value === type;
}

function numberFits(
  { minimum, maximum, exclusiveMinimum, exclusiveMaximum, multipleOf }: Schema,
  value: number,
): boolean {
  if (minimum !== undefined && value < minimum) return false;
  if (maximum !== undefined && value > maximum) return false;
  if (exclusiveMinimum !== undefined && value <= exclusiveMinimum) return false;
  if (exclusiveMaximum !== undefined && value >= exclusiveMaximum) return false;
  return multipleOf === undefined || Number.isInteger(value / multipleOf);
}

function stringFits(
  { minLength = 0, maxLength = Number.POSITIVE_INFINITY, pattern, format }: Schema,
  value: string,
): boolean {
  const length = [...value].length;
  if (length < minLength || length > maxLength) return false;
  if (pattern !== undefined && !new RegExp(pattern, 'u').test(value)) return false;
  return format === undefined || new RegExp(`^(?:${formatPattern(format)})$`, 'u').test(value);
}

function arrayFits(schema: Schema, value: readonly unknown[], resolve: Resolve): boolean {
  const { prefixItems = [], items = true, minItems = 0, maxItems = Number.POSITIVE_INFINITY } = schema;
  if (value.length < minItems || value.length > maxItems) return false;
  return value.every((each, at) => accepts(prefixItems[at] ?? items, each, resolve));
}

function objectFits(schema: Schema, value: Readonly<Record<string, unknown>>, resolve: Resolve): boolean {
  const { properties = {}, patternProperties = {}, additionalProperties = true, required = [] } = schema;
  const { minProperties = 0, maxProperties = Number.POSITIVE_INFINITY, propertyNames = true } = schema;
  const names = Object.keys(value);
  if (names.length < minProperties || names.length > maxProperties) return false;
  if (!required.every((name) => Object.hasOwn(value, name))) return false;
  return names.every((name) => {
    const named = Object.hasOwn(properties, name) ? [properties[name]!] : [];
    const matched = Object.entries(patternProperties).filter(([pattern]) => new RegExp(pattern, 'u').test(name));
    const schemas = [...named, ...matched.map(([, each]) => each)];
    if (schemas.length === 0) schemas.push(additionalProperties);
    return accepts(propertyNames, name, resolve) && schemas.every((each) => accepts(each, value[name], resolve));
  });
}
