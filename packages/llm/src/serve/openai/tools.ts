import { z } from 'zod';
import type { Tool, ToolChoice } from '../../text/answers/answer-format.ts';

export const toolName: z.ZodString = z
  .string()
  .regex(/^[\w.-]{1,128}$/, "takes 1 to 128 letters, digits, '_', '-' or '.'");

interface CalledTool {
  readonly name: string;
  readonly description?: string | null | undefined;
  readonly parameters?: Record<string, unknown> | null | undefined;
}

const called = z.object({
  name: toolName,
  description: z.string().nullish(),
  parameters: z.record(z.string(), z.any()).nullish(),
  strict: z.boolean().nullish(),
});

export const tools: z.ZodType<{ readonly function: CalledTool }[]> = z
  .array(z.object({ type: z.literal('function', { error: 'takes tools of type function only' }), function: called }))
  .max(256);

type NamedChoice = 'auto' | 'required' | 'none' | { readonly function: { readonly name: string } };

export const toolChoice: z.ZodType<NamedChoice> = z.union([
  z.enum(['auto', 'required', 'none']),
  z.object({ type: z.literal('function'), function: z.object({ name: z.string() }) }),
]);

export function toolsOf(given: readonly { readonly function: CalledTool }[]): Tool[] {
  return given.map(({ function: each }) => toolOf(each));
}

export function toolOf({ name, description, parameters }: CalledTool): Tool {
  return { name, ...(description && { description }), ...(parameters && { parameters }) };
}

export function toolChoiceOf(given: NamedChoice): ToolChoice {
  return typeof given === 'string' ? given : { name: given.function.name };
}
