import { type Expression, empty, nothing, optional, repeat, sequence, text } from '../expression.ts';
import type { SchemaContext } from './json-schema.ts';
import { space } from './json-text.ts';
import type { Schema } from './keywords.ts';

/** JSON arrays that fit a schema. */
export function arrayExpression(context: SchemaContext, schema: Schema): Expression {
  const { prefixItems = [], items = true, minItems = 0, maxItems = Number.POSITIVE_INFINITY } = schema;
  if (minItems > maxItems) return nothing;
  const comma = sequence(text(','), space);
  // from the last to the first: what may follow so many items
  const rest = Math.max(0, minItems - prefixItems.length);
  const most = maxItems - prefixItems.length;
  let after: Expression =
    most > 0 ? repeated(context.of(items), rest, most, prefixItems.length > 0 ? comma : undefined, comma) : empty;
  for (let at = Math.min(prefixItems.length, maxItems) - 1; at >= 0; at--) {
    const some = sequence(...(at > 0 ? [comma] : []), context.of(prefixItems[at]!), after);
    after = at >= minItems ? optional(some) : some;
  }
  return sequence(text('['), space, after, space, text(']'));
}

/** Items with a separator between, and before the first where there is one for it. */
function repeated(
  of: Expression,
  min: number,
  max: number,
  before: Expression | undefined,
  comma: Expression,
): Expression {
  if (before) return repeat(sequence(before, of), min, max);
  const some = sequence(of, repeat(sequence(comma, of), Math.max(0, min - 1), max - 1));
  return min > 0 ? some : optional(some);
}
