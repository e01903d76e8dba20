import { z } from 'zod';
import { FaultError } from './fault.ts';
import { fieldError, wordless } from './field-errors.ts';

/** The value as a schema has it. @throws FaultError 400 that names the field */
export function checked<T extends z.ZodType>(schema: T, value: unknown): z.infer<T> {
  const result = schema.safeParse(value, { error: wordless });
  if (result.success) return result.data;
  const { param, message } = fieldError(result.error.issues[0]!, value);
  throw new FaultError({ status: 400, message, code: 'invalid_value', ...(param !== '' && { param }) });
}

/** Schemas of fields, each of the field's type. */
export type Shape<T> = { readonly [K in keyof T]: z.ZodType<T[K]> };

/** Fields that may be absent; `null` is as if they were. */
export type Absent<T> = { readonly [K in keyof T]: T[K] | null | undefined };

/** Settings that several APIs call the same. */
type Drawing = Absent<Record<'temperature' | 'top_p' | 'top_k' | 'min_p' | 'seed', number>>;
export const drawing: Shape<Drawing> = {
  temperature: z.number().min(0).max(100).nullish(),
  top_p: z.number().gt(0).max(1).nullish(),
  top_k: z.int().min(0).nullish(),
  min_p: z.number().min(0).max(1).nullish(),
  seed: z.int().min(0).nullish(),
};

/** Without what is absent. */
export function present<T extends object>(of: T): { [K in keyof T]?: NonNullable<T[K]> } {
  return Object.fromEntries(Object.entries(of).filter(([, value]) => value !== undefined && value !== null)) as {
    [K in keyof T]?: NonNullable<T[K]>;
  };
}

/** The `user`, `metadata` and so on of clients are taken and not looked at; a field that would change the answer is refused. */
export function refusedFields(names: Readonly<Record<string, string>>): Record<string, z.ZodType> {
  return Object.fromEntries(
    Object.entries(names).map(([name, why]) => [
      name,
      z
        .any()
        .optional()
        .refine((value) => value === undefined || value === null || (Array.isArray(value) && value.length === 0), why),
    ]),
  );
}
