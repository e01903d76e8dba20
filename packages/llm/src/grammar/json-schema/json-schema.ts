import { GrammarError, grammarLimit } from '../errors.ts';
import { choice, type Expression, type Grammar, nothing, rule, text } from '../expression.ts';
import { accepts } from './accepts.ts';
import { arrayExpression } from './arrays.ts';
import { jsonRules, jsonString } from './json-text.ts';
import { type AnySchema, checkSchema, type JsonType, type Schema } from './keywords.ts';
import { merge, NoValue } from './merge.ts';
import { multiples } from './multiples.ts';
import { integerRange, numberRange } from './number-ranges.ts';
import { objectExpression } from './objects.ts';
import { oneAtMost } from './one-at-most.ts';
import { stringValue } from './strings.ts';

/** Options of `jsonSchema`. */
export interface JsonSchemaOptions {
  /** Lets a space, or a new line with up to 40 spaces, stand after brackets, commas and colons and before what closes; true by default. */
  readonly whitespace?: boolean;
}

/** What an expression is made with. */
export interface SchemaContext {
  /** The expression of a schema. */
  of(schema: AnySchema): Expression;
  /** A rule for an expression that is made once. */
  named(name: string, make: () => Expression): Expression;
  /** A name that no rule has. */
  fresh(kind: string): string;
  accepts(schema: AnySchema, value: unknown): boolean;
}

/** Where references lead to. */
interface Definitions {
  readonly $defs?: unknown;
  readonly definitions?: unknown;
}

const MOST_MERGES = 20_000;

/**
 * The JSON texts of values that fit a schema. Properties stand in the order of the schema, further ones last; numbers have at
 * most 15 digits before the point. Texts that fit and are not in it are those: other orders and spellings, never a value that
 * does not fit.
 *
 * @throws GrammarError for what is not supported, by the keyword's name, and where no value fits; `ERR_GRAMMAR_LIMIT`
 */
export function jsonSchemaGrammar(schema: unknown, { whitespace = true }: JsonSchemaOptions = {}): Grammar {
  const reader = new SchemaReader(checkSchema(schema));
  const rules = new Map<string, Expression>([...jsonRules(whitespace), ...reader.read()]);
  return { rules, start: '#' };
}

class SchemaReader implements SchemaContext {
  readonly #root: AnySchema;
  readonly #rules = new Map<string, Expression>();
  #names = 0;
  #merges = 0;

  constructor(root: AnySchema) {
    this.#root = root;
  }

  read(): ReadonlyMap<string, Expression> {
    this.#ref('#');
    return this.#rules;
  }

  of(schema: AnySchema): Expression {
    if (schema === true) return rule('any');
    if (schema === false) return nothing;
    if (schema.$ref !== undefined && Object.keys(schema).length === 1) return this.#ref(schema.$ref);
    try {
      return this.#values(this.#resolved(schema, 0));
    } catch (error) {
      if (error instanceof NoValue) return nothing;
      throw error;
    }
  }

  named(name: string, make: () => Expression): Expression {
    if (!this.#rules.has(name)) {
      this.#rules.set(name, nothing); // before it is made: it may ask for itself
      this.#rules.set(name, make());
    }
    return rule(name);
  }
  fresh(kind: string): string {
    return `${kind} ${this.#names++}`;
  }
  accepts(schema: AnySchema, value: unknown): boolean {
    return accepts(schema, value, (ref) => this.#target(ref));
  }

  #ref(ref: string): Expression {
    return this.named(ref, () => this.of(this.#target(ref)));
  }

  #target(ref: string): AnySchema {
    if (!ref.startsWith('#')) throw new GrammarError(`schema: $ref takes '#' or '#/…' within the schema, got '${ref}'`);
    let at: unknown = this.#root;
    for (const part of decodeURIComponent(ref.slice(1)).split('/').slice(1)) {
      const name = part.replaceAll('~1', '/').replaceAll('~0', '~');
      at =
        typeof at === 'object' && at !== null && Object.hasOwn(at, name)
          ? (at as Record<string, unknown>)[name]
          : undefined;
    }
    if (typeof at === 'boolean' || (typeof at === 'object' && at !== null && !Array.isArray(at)))
      return at as AnySchema;
    throw new GrammarError(`schema: $ref '${ref}' leads to no schema`);
  }

  /** A schema without `$ref` and `allOf` at its top. */
  #resolved(schema: AnySchema, depth: number): AnySchema {
    if (typeof schema === 'boolean') return schema;
    const { $ref, allOf = [], $defs: _, definitions: __, ...own } = schema as Schema & Definitions;
    if ($ref === undefined && allOf.length === 0) return own;
    if (depth > 100 || ++this.#merges > MOST_MERGES)
      throw grammarLimit(
        `schema: takes at most 100 levels and ${MOST_MERGES} uses of $ref and allOf that are joined with other keywords, got more`,
      );
    let merged: AnySchema = Object.keys(own).length > 0 ? own : true;
    for (const each of [...($ref === undefined ? [] : [this.#target($ref)]), ...allOf])
      merged = merge(merged, this.#resolved(each, depth + 1));
    return merged;
  }

  #values(schema: AnySchema): Expression {
    if (typeof schema === 'boolean') return this.of(schema);
    const { anyOf, oneOf, ...own } = schema;
    if (oneOf) {
      if (anyOf) return choice(...anyOf.map((each) => this.of({ allOf: [{ ...own, oneOf }, each] })));
      const options = oneOf.map((each) => this.#resolved({ allOf: [own, each] }, 0));
      oneAtMost(options);
      return choice(...options.map((each) => this.of(each)));
    }
    if (anyOf) return choice(...anyOf.map((each) => this.of({ allOf: [own, each] })));
    if ('const' in schema || schema.enum) {
      const values = ('const' in schema ? [schema.const] : schema.enum!).filter((value) => this.accepts(schema, value));
      return choice(...values.map((value) => text(JSON.stringify(value))));
    }
    const types = schema.type === undefined ? everyType : [...new Set([schema.type].flat() as JsonType[])];
    if (Object.keys(schema).length === 0) return rule('any');
    return choice(
      ...types
        .filter((type) => !(type === 'integer' && types.includes('number')))
        .map((type) => this.#ofType(type, schema)),
    );
  }

  #ofType(type: JsonType, schema: Schema): Expression {
    switch (type) {
      case 'null':
        return text('null');
      case 'boolean':
        return choice(text('true'), text('false'));
      case 'integer':
      case 'number':
        return this.#number(type, schema);
      case 'string':
        return jsonString(stringValue(schema));
      case 'array':
        return arrayExpression(this, schema);
      case 'object':
        return objectExpression(this, schema);
    }
  }

  #number(type: 'integer' | 'number', schema: Schema): Expression {
    const { minimum, maximum, exclusiveMinimum, exclusiveMaximum, multipleOf } = schema;
    const bounds = {
      min: outer(minimum, exclusiveMinimum, (a, b) => a > b),
      max: outer(maximum, exclusiveMaximum, (a, b) => a < b),
    };
    if (multipleOf !== undefined) return multiples(this, multipleOf, type, bounds);
    if (type === 'integer') return bounds.min || bounds.max ? integerRange(bounds) : rule('any integer');
    return bounds.min || bounds.max ? numberRange(bounds) : rule('any number');
  }
}

const everyType: readonly JsonType[] = ['null', 'boolean', 'number', 'string', 'array', 'object'];

/** The bound that lets fewer numbers be. */
function outer(bound: number | undefined, out: number | undefined, tighter: (a: number, b: number) => boolean) {
  if (bound === undefined && out === undefined) return undefined;
  if (out !== undefined && (bound === undefined || !tighter(bound, out))) return { value: out, out: true };
  return { value: bound!, out: false };
}
