import { anyCharacter, characterSet, complement } from '../character-set.ts';
import { GrammarError } from '../errors.ts';
import { characters, choice, type Expression, empty, many, nothing, rule, sequence, text } from '../expression.ts';
import { regexExpression } from '../regex.ts';
import type { SchemaContext } from './json-schema.ts';
import { jsonString, space } from './json-text.ts';
import type { AnySchema, Schema } from './keywords.ts';
import { allOf } from './merge.ts';
import { stringValue } from './strings.ts';

interface Property {
  readonly name: string;
  readonly value: Expression;
  readonly required: boolean;
}

/** JSON objects that fit a schema: its properties in their order, then further ones. */
export function objectExpression(context: SchemaContext, schema: Schema): Expression {
  const { minProperties = 0, maxProperties = Number.POSITIVE_INFINITY } = schema;
  const properties = listedProperties(context, schema);
  const further = furtherProperty(
    context,
    schema,
    properties.map(({ name }) => name),
  );
  if (further && minProperties > 1 && minProperties > properties.filter(({ required }) => required).length)
    throw new GrammarError(
      `schema: 'minProperties' takes at most 1, or as many as are required, where names are free (one may come twice), got ${minProperties}`,
    );
  const id = context.fresh('object');
  // properties are counted no further than matters
  const most = Math.max(1, minProperties, Number.isFinite(maxProperties) ? maxProperties : 0);
  const from = (at: number, count: number): Expression =>
    context.named(`${id} ${at} ${count}`, () => {
      const pair = (key: Expression, value: Expression) =>
        sequence(...(count > 0 ? [text(','), space] : []), key, text(':'), space, value);
      const next = Math.min(count + 1, most);
      const full = count >= maxProperties;
      if (at === properties.length) {
        const end = count >= minProperties ? empty : nothing;
        return further && !full ? choice(end, sequence(pair(further.key, further.value), from(at, next))) : end;
      }
      const { name, value, required } = properties[at]!;
      const some = full ? nothing : sequence(pair(text(JSON.stringify(name)), value), from(at + 1, next));
      return required ? some : choice(some, from(at + 1, count));
    });
  return sequence(text('{'), space, from(0, 0), space, text('}'));
}

/** The properties that the schema names, then those that it only requires. */
function listedProperties(context: SchemaContext, schema: Schema): Property[] {
  const {
    properties = {},
    patternProperties = {},
    additionalProperties = true,
    propertyNames = true,
    required = [],
  } = schema;
  const names = [...new Set([...Object.keys(properties), ...required])];
  return names.map((name) => {
    const schemas: AnySchema[] = Object.hasOwn(properties, name) ? [properties[name]!] : [];
    for (const [pattern, each] of Object.entries(patternProperties))
      if (new RegExp(pattern, 'u').test(name)) schemas.push(each);
    if (schemas.length === 0) schemas.push(additionalProperties);
    if (!context.accepts(propertyNames, name)) schemas.push(false);
    const value = context.of(schemas.reduce(allOf));
    return { name, value, required: required.includes(name) };
  });
}

/** Names and values of properties that the schema does not name; undefined where there are none. */
function furtherProperty(
  context: SchemaContext,
  { patternProperties = {}, additionalProperties, propertyNames, properties }: Schema,
  names: readonly string[],
): { readonly key: Expression; readonly value: Expression } | undefined {
  const patterns = Object.entries(patternProperties);
  if (patterns.length > 1)
    throw new GrammarError(
      "schema: 'patternProperties' takes one pattern: a name may match several, and that is not supported",
    );
  if (patterns.length === 1) {
    // names outside the pattern are left out, whatever additionalProperties lets be
    const [pattern, value] = patterns[0]!;
    if (names.length > 0 || propertyNames !== undefined) return undefined;
    return { key: jsonString(regexExpression(pattern, { anywhere: true })), value: context.of(value) };
  }
  if (additionalProperties === false) return undefined;
  // a schema that lists its properties and does not speak of others gets these
  if (additionalProperties === undefined && properties !== undefined) return undefined;
  const value = context.of(additionalProperties ?? true);
  if (propertyNames === undefined) return { key: jsonString(otherThan(names)), value };
  if (names.length > 0) return undefined;
  return { key: nameExpression(propertyNames), value };
}

function nameExpression(names: AnySchema): Expression {
  if (typeof names === 'boolean') return names ? rule('any string') : nothing;
  if (names.enum)
    return choice(...names.enum.filter((name) => typeof name === 'string').map((name) => text(JSON.stringify(name))));
  const { type: _, ...rest } = names;
  for (const keyword of Object.keys(rest))
    if (!['pattern', 'minLength', 'maxLength', 'format'].includes(keyword))
      throw new GrammarError(
        `schema: 'propertyNames' takes pattern, format, minLength, maxLength or enum, got '${keyword}'`,
      );
  return jsonString(stringValue(rest));
}

/** Every text but these. */
function otherThan(names: readonly string[]): Expression {
  const any = characters(anyCharacter);
  const below = (rest: readonly string[]): Expression => {
    const firsts = [
      ...new Set(rest.filter((name) => name !== '').map((name) => String.fromCodePoint(name.codePointAt(0)!))),
    ];
    return choice(
      rest.includes('') ? nothing : empty,
      ...firsts.map((first) =>
        sequence(
          text(first),
          below(rest.filter((name) => name.startsWith(first)).map((name) => name.slice(first.length))),
        ),
      ),
      sequence(characters(complement(characterSet(...firsts))), many(any)),
    );
  };
  return below(names);
}
