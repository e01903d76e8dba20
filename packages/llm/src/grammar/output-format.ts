import { describe } from '../describe.ts';
import { combinedGrammar } from './combined-formats.ts';
import { parseEbnf } from './ebnf.ts';
import { GrammarError, grammarLimit } from './errors.ts';
import { choice, type Grammar, text } from './expression.ts';
import { type JsonSchemaOptions, jsonSchemaGrammar } from './json-schema/json-schema.ts';
import { regexExpression } from './regex.ts';
import { type StructuralTags, structuralTagGrammar } from './structural-tags.ts';

/**
 * What a text may be: plain data, made by {@link jsonSchema}, {@link json}, {@link regex}, {@link ebnf}, {@link choices},
 * {@link structuralTags}, and of other formats by {@link formatSequence}, {@link anyFormat}, {@link repeatedFormat}, {@link textUntil}.
 */
export type OutputFormat =
  | { readonly kind: 'json-schema'; readonly schema: unknown; readonly whitespace?: boolean }
  | { readonly kind: 'regex'; readonly pattern: string }
  | { readonly kind: 'ebnf'; readonly grammar: string; readonly start?: string }
  | { readonly kind: 'choices'; readonly choices: readonly string[] }
  | ({ readonly kind: 'structural-tags' } & StructuralTags)
  | CombinedFormat;

/** Formats that are made of others. */
export type CombinedFormat =
  | { readonly kind: 'sequence'; readonly parts: readonly OutputFormat[] }
  | { readonly kind: 'any-of'; readonly options: readonly OutputFormat[] }
  | {
      readonly kind: 'repeated';
      readonly of: OutputFormat;
      readonly min?: number;
      readonly max?: number;
      readonly between?: string;
    }
  | { readonly kind: 'text-until'; readonly end: string };

/**
 * A JSON text whose value fits a JSON schema (2020-12; draft 7 where it says the same otherwise). Properties come in the order
 * of the schema. Of a schema with `properties` and without `additionalProperties` no others come.
 *
 * Supported: type, enum, const; minimum, maximum, exclusiveMinimum, exclusiveMaximum, multipleOf; minLength, maxLength,
 * pattern, format; prefixItems, items, minItems, maxItems; properties, required, additionalProperties, patternProperties,
 * propertyNames, minProperties, maxProperties; anyOf, oneOf, allOf, $ref within the schema. Everything else that would
 * change which values fit is refused by its name when the request begins, and so is what cannot be kept together.
 *
 * @example jsonSchema({ type: 'object', properties: { name: { type: 'string' } }, required: ['name'] })
 */
export function jsonSchema(schema: object | boolean, options: JsonSchemaOptions = {}): OutputFormat {
  return { kind: 'json-schema', schema, ...options };
}
/** Any JSON object. */
export function json(options: JsonSchemaOptions = {}): OutputFormat {
  return jsonSchema({ type: 'object' }, options);
}
/**
 * A text that a regular expression matches as a whole: JavaScript's syntax with flag `u`, without assertions (but `^` and `$`
 * at the ends), back references and `\p`.
 */
export function regex(pattern: string | RegExp): OutputFormat {
  if (typeof pattern === 'string') return { kind: 'regex', pattern };
  if (!(pattern instanceof RegExp)) throw new GrammarError('regex: takes a text or a regular expression');
  const flags = pattern.flags.replace(/[gu]/g, '');
  if (flags !== '') throw new GrammarError(`regex: takes flags 'u' and 'g', got '${pattern.flags}'`);
  return { kind: 'regex', pattern: pattern.source };
}
/** A text of a grammar: rules `name ::= expression`, see `parseEbnf`. */
export function ebnf(grammar: string, options: { readonly start?: string } = {}): OutputFormat {
  return { kind: 'ebnf', grammar, ...options };
}
/** One of some texts. @throws GrammarError for what is no list of texts */
export function choices(of: readonly string[]): OutputFormat {
  if (!Array.isArray(of) || !of.every((each) => typeof each === 'string'))
    throw new GrammarError(
      `choices: takes a list of texts, got ${Array.isArray(of) ? 'a list of others' : describe(of)}`,
    );
  return { kind: 'choices', choices: of };
}
/** Free text in which tags have content of a format: tool calls. */
export function structuralTags(tags: StructuralTags): OutputFormat {
  return { kind: 'structural-tags', ...tags };
}
/** Texts of formats, one after the other. */
export function formatSequence(...parts: readonly OutputFormat[]): OutputFormat {
  return { kind: 'sequence', parts };
}
/** A text of any of some formats. */
export function anyFormat(...options: readonly OutputFormat[]): OutputFormat {
  return { kind: 'any-of', options };
}
/** A format several times, by default any number of times, with a text between. */
export function repeatedFormat(
  of: OutputFormat,
  counts: { readonly min?: number; readonly max?: number; readonly between?: string } = {},
): OutputFormat {
  return { kind: 'repeated', of, ...counts };
}
/** Any text, with `end` at its end and nowhere before. */
export function textUntil(end: string): OutputFormat {
  return { kind: 'text-until', end };
}

const MOST_CHOICES = 100_000;

/** @throws GrammarError for a format that is wrong, not supported or too large */
export function formatGrammar(format: OutputFormat): Grammar {
  switch (format.kind) {
    case 'json-schema':
      return jsonSchemaGrammar(format.schema, format);
    case 'regex':
      return { rules: new Map([['root', regexExpression(format.pattern)]]), start: 'root' };
    case 'ebnf':
      return parseEbnf(format.grammar, format.start);
    case 'choices':
      if (format.choices.length === 0) throw new GrammarError('choices: takes at least one text, got none');
      if (format.choices.length > MOST_CHOICES)
        throw grammarLimit(`choices: takes at most ${MOST_CHOICES} texts, got ${format.choices.length}`);
      return { rules: new Map([['root', choice(...format.choices.map(text))]]), start: 'root' };
    case 'structural-tags':
      return structuralTagGrammar(format, formatGrammar);
    case 'sequence':
    case 'any-of':
    case 'repeated':
    case 'text-until':
      return combinedGrammar(format, formatGrammar);
    default:
      throw new GrammarError(
        `format: takes what jsonSchema(), json(), regex(), ebnf(), choices() or structuralTags() gives, got ${describeFormat(format)}`,
      );
  }
}

function describeFormat(format: unknown): string {
  const kind = (format as { kind?: unknown } | null)?.kind;
  return kind === undefined ? describe(format) : `an object of kind '${String(kind)}'`;
}
