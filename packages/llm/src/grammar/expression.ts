import type { CharacterSet } from './character-set.ts';

/** What a text may be. */
export type Expression =
  | { readonly kind: 'text'; readonly text: string }
  /** One character. */
  | { readonly kind: 'characters'; readonly set: CharacterSet }
  | { readonly kind: 'sequence'; readonly parts: readonly Expression[] }
  | { readonly kind: 'choice'; readonly options: readonly Expression[] }
  | { readonly kind: 'repeat'; readonly of: Expression; readonly min: number; readonly max: number }
  /** What the grammar's rule of this name may be. */
  | { readonly kind: 'rule'; readonly name: string };

/** Expressions with names, which may refer to each other. */
export interface Grammar {
  readonly rules: ReadonlyMap<string, Expression>;
  readonly start: string;
}

export const text = (of: string): Expression => ({ kind: 'text', text: of });
export const characters = (set: CharacterSet): Expression => ({ kind: 'characters', set });
export const rule = (name: string): Expression => ({ kind: 'rule', name });
export const empty: Expression = { kind: 'sequence', parts: [] };
/** No text at all. */
export const nothing: Expression = { kind: 'choice', options: [] };

export function sequence(...parts: readonly Expression[]): Expression {
  return parts.length === 1 ? parts[0]! : { kind: 'sequence', parts };
}
export function choice(...options: readonly Expression[]): Expression {
  return options.length === 1 ? options[0]! : { kind: 'choice', options };
}
export function repeat(of: Expression, min: number, max: number = Number.POSITIVE_INFINITY): Expression {
  return min === 1 && max === 1 ? of : { kind: 'repeat', of, min, max };
}
export const optional = (of: Expression): Expression => repeat(of, 0, 1);
export const many = (of: Expression): Expression => repeat(of, 0);
/** A copy in which every part is what `change` makes of it, the parts of a part first. */
export function mapExpression(of: Expression, change: (part: Expression) => Expression): Expression {
  switch (of.kind) {
    case 'sequence':
      return change(sequence(...of.parts.map((part) => mapExpression(part, change))));
    case 'choice':
      return change(choice(...of.options.map((part) => mapExpression(part, change))));
    case 'repeat':
      return change(repeat(mapExpression(of.of, change), of.min, of.max));
    default:
      return change(of);
  }
}
