import { ArgumentError } from '@heddle/tensor';
import type { OutputFormat } from '../../grammar/output-format.ts';
import type { Tokenizer } from '../../tokenizer.ts';
import type { AnswerFormat, AnswerPlan } from './answer-format.ts';
import { templateFacts } from './standard-formats.ts';
import { type AnswerOptions, checkReasoning, toolsOf } from './tool-options.ts';

/** A model as far as its answers go. */
interface AnsweringModel {
  readonly answers?: AnswerFormat | undefined;
  requireTokenizer(): Tokenizer;
}

/** An answer of a conversation, with how it is to be read. */
export interface AnswerRequest {
  readonly format: AnswerFormat;
  readonly plan: AnswerPlan;
  /** Most tokens of reasoning. */
  readonly budget: number | undefined;
}

/**
 * How the answer of a conversation is bounded and read; nothing for models that have no way to answer.
 * @param prompt text of the conversation
 * @throws ArgumentError
 */
export function answerRequest(
  operation: string,
  model: AnsweringModel,
  prompt: string,
  settings: AnswerOptions & { readonly format?: OutputFormat },
): AnswerRequest | undefined {
  const { tools, mustCall } = toolsOf(operation, settings);
  checkReasoning(operation, settings.reasoning);
  const { answers: format } = model;
  if (!format) {
    if (tools.length > 0) throw new ArgumentError(`${operation}: this model has no way to call tools (answers)`);
    return undefined;
  }
  const reasons = settings.reasoning?.enabled !== false && format.reasons(templateFacts(model.requireTokenizer()));
  const plan = {
    tools,
    mustCall,
    severalCalls: settings.parallelToolCalls ?? true,
    format: settings.format,
    mayReason: reasons,
    reasoningIsOpen: format.opensReasoning(prompt),
  };
  return { format, plan, budget: settings.reasoning?.budget };
}

/** @throws ArgumentError for what only conversations have */
export function withoutAnswer(operation: string, settings: AnswerOptions): void {
  for (const name of ['tools', 'toolChoice', 'parallelToolCalls', 'reasoning'] as const)
    if (settings[name] !== undefined)
      throw new ArgumentError(`${operation}: ${name} needs messages, got it with a prompt`);
}
