import { GrammarError, grammarLimit } from '../errors.ts';

export type JsonType = 'null' | 'boolean' | 'integer' | 'number' | 'string' | 'array' | 'object';

/** A JSON schema (2020-12, and what draft 7 calls otherwise), as far as it is supported. */
export interface Schema {
  readonly type?: JsonType | readonly JsonType[];
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly exclusiveMinimum?: number;
  readonly exclusiveMaximum?: number;
  readonly multipleOf?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly pattern?: string;
  readonly format?: string;
  readonly prefixItems?: readonly AnySchema[];
  readonly items?: AnySchema;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly properties?: Readonly<Record<string, AnySchema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: AnySchema;
  readonly patternProperties?: Readonly<Record<string, AnySchema>>;
  readonly propertyNames?: AnySchema;
  readonly minProperties?: number;
  readonly maxProperties?: number;
  readonly anyOf?: readonly AnySchema[];
  readonly oneOf?: readonly AnySchema[];
  readonly allOf?: readonly AnySchema[];
  readonly $ref?: string;
}
export type AnySchema = Schema | boolean;

type Rule = (value: unknown) => string | undefined;
const expect =
  (what: string, fits: (value: unknown) => boolean): Rule =>
  (value) =>
    fits(value) ? undefined : what;
const isObject = (value: unknown): value is object =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const count = expect('a whole number of at least 0', (value) => Number.isSafeInteger(value) && (value as number) >= 0);
const number = expect('a finite number', Number.isFinite);
const string = expect('a string', (value) => typeof value === 'string');
const strings = expect('strings', (value) => Array.isArray(value) && value.every((each) => typeof each === 'string'));
const list = expect('an array', Array.isArray);
const some = expect('an array that is not empty', (value) => Array.isArray(value) && value.length > 0);
const object = expect('an object', isObject);
const schema = expect('a schema', (value) => typeof value === 'boolean' || isObject(value));
const types = ['null', 'boolean', 'integer', 'number', 'string', 'array', 'object'];
const type = expect(`one or some of ${types.join(', ')}`, (value) =>
  Array.isArray(value)
    ? value.length > 0 && value.every((each) => types.includes(each as string))
    : types.includes(value as string),
);

/** What each keyword that acts takes. */
const keywords: Readonly<Record<keyof Schema, Rule>> = {
  type,
  enum: list,
  const: () => undefined,
  minimum: number,
  maximum: number,
  exclusiveMinimum: number,
  exclusiveMaximum: number,
  multipleOf: expect('a number above 0', (value) => Number.isFinite(value) && (value as number) > 0),
  minLength: count,
  maxLength: count,
  pattern: string,
  format: string,
  prefixItems: list,
  items: schema,
  minItems: count,
  maxItems: count,
  properties: object,
  required: strings,
  additionalProperties: schema,
  patternProperties: object,
  propertyNames: schema,
  minProperties: count,
  maxProperties: count,
  anyOf: some,
  oneOf: some,
  allOf: some,
  $ref: string,
};

/** Keywords that say nothing about which values are valid. */
const annotations: ReadonlySet<string> = new Set([
  ...['$schema', '$id', '$comment', '$defs', 'definitions', 'title', 'description', 'default', 'examples', 'example'],
  ...['deprecated', 'readOnly', 'writeOnly', 'contentMediaType', 'contentEncoding'],
]);

const MOST_DEPTH = 100;
const MOST_SCHEMAS = 10_000;

/**
 * Checks a schema and all within it, and writes what draft 7 says otherwise as 2020-12 does (`items` as an array).
 * @throws GrammarError that names the keyword and where it stands
 */
export function checkSchema(root: unknown): AnySchema {
  let schemas = 0;
  const visit = (value: unknown, path: string, depth: number): AnySchema => {
    if (typeof value === 'boolean') return value;
    if (!isObject(value)) throw new GrammarError(`schema: ${path}: takes an object or a boolean, got ${shown(value)}`);
    if (depth > MOST_DEPTH)
      throw grammarLimit(`schema: ${path.slice(0, 80)}…: takes schemas ${MOST_DEPTH} deep, got more`);
    if (++schemas > MOST_SCHEMAS) throw grammarLimit(`schema: takes at most ${MOST_SCHEMAS} schemas in it, got more`);
    const checked: Record<string, unknown> = {};
    for (const [keyword, content] of Object.entries(modern(value))) {
      if (content === undefined || keyword.startsWith('x-')) continue;
      const at = `${path}/${keyword}`;
      if (keyword === '$defs' || keyword === 'definitions') {
        if (!isObject(content)) throw new GrammarError(`schema: ${at}: takes an object, got ${shown(content)}`);
        checked[keyword] = mapValues(content, (each, name) => visit(each, `${at}/${name}`, depth + 1));
        continue;
      }
      if (annotations.has(keyword)) continue;
      if (!Object.hasOwn(keywords, keyword))
        throw new GrammarError(`schema: ${at}: keyword '${keyword}' is not supported`);
      const wanted = keywords[keyword as keyof Schema](content);
      if (wanted) throw new GrammarError(`schema: ${at}: takes ${wanted}, got ${shown(content)}`);
      checked[keyword] = inside(keyword, content, (each, name) =>
        visit(each, name === '' ? at : `${at}/${name}`, depth + 1),
      );
    }
    return checked as Schema;
  };
  return visit(root, '#', 0);
}

/** A keyword's content, its schemas changed. */
function inside(keyword: string, content: unknown, change: (each: unknown, name: string) => AnySchema): unknown {
  if (['items', 'additionalProperties', 'propertyNames'].includes(keyword)) return change(content, '');
  if (['prefixItems', 'anyOf', 'oneOf', 'allOf'].includes(keyword))
    return (content as unknown[]).map((each, i) => change(each, `${i}`));
  if (['properties', 'patternProperties'].includes(keyword)) return mapValues(content as object, change);
  return content;
}

function modern(value: object): object {
  const { items, additionalItems, ...rest } = value as { items?: unknown; additionalItems?: unknown };
  if (!Array.isArray(items)) return value;
  return { ...rest, prefixItems: items, ...(additionalItems !== undefined && { items: additionalItems }) };
}

function mapValues(of: object, change: (each: unknown, name: string) => AnySchema): Record<string, AnySchema> {
  // without a prototype: a property may have any name
  const changed = Object.create(null) as Record<string, AnySchema>;
  for (const [name, each] of Object.entries(of)) changed[name] = change(each, name);
  return changed;
}

function shown(value: unknown): string {
  const json = JSON.stringify(value) ?? String(value);
  return json.length > 80 ? `${json.slice(0, 80)}…` : json;
}
