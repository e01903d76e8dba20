import { ArgumentError, checkArguments } from '@heddle/tensor';
import { describe } from '../../describe.ts';
import type { ChatMessage } from '../../tokenizer/chat-template.ts';
import type { ServedModel, ServedText } from './served-model.ts';

/**
 * Changes messages before a model reads them, so that what differs from turn to turn, and says nothing to a model, does not end the
 * prefix that the cache has.
 */
export interface PromptNormalizer {
  readonly name: string;
  /** The messages as the model is to read them. Called for each prompt. */
  normalize(messages: readonly ChatMessage[]): readonly ChatMessage[];
}

/**
 * Leaves lines that match out of system messages, with the empty lines after them.
 * @param pattern is matched against each line by itself
 * @throws ArgumentError for what is no pattern
 * @example createServer(models, { normalizers: [...standardNormalizers, withoutLines('clock', /^Current time: /)] })
 */
export function withoutLines(name: string, pattern: RegExp): PromptNormalizer {
  checkArguments('withoutLines', 'text', { name });
  if (!(pattern instanceof RegExp))
    throw new ArgumentError(`withoutLines: takes a regular expression, got ${describe(pattern)}`);
  // one with a place of its own would match every other line
  const each = new RegExp(pattern.source, pattern.flags.replace(/[gy]/g, ''));
  const kept = (text: string): string => {
    const lines = text.split('\n');
    if (!lines.some((line) => each.test(line))) return text;
    const rest: string[] = [];
    let left = false;
    for (const line of lines) {
      if (each.test(line)) left = true;
      else if (!left || line.trim() !== '') {
        rest.push(line);
        left = false;
      }
    }
    return rest.join('\n');
  };
  return {
    name,
    normalize: (messages) =>
      messages.map((message) =>
        message.role === 'system' && typeof message.content === 'string'
          ? { ...message, content: kept(message.content) }
          : message,
      ),
  };
}

/** What every server does unless it is told otherwise: the header that an agent puts before its system prompt, new each turn, is no prompt. */
export const standardNormalizers: readonly PromptNormalizer[] = [
  withoutLines('billing header', /^x-anthropic-billing-header:/i),
];

/** A model whose messages are normalised first. */
export function normalized(model: ServedModel, normalizers: readonly PromptNormalizer[]): ServedModel {
  if (normalizers.length === 0) return model;
  const prepare = <T extends ServedText>(of: T): T => {
    if (!('messages' in of) || !of.messages) return of;
    const messages = normalizers.reduce<readonly ChatMessage[]>((all, each) => each.normalize(all), of.messages);
    return { ...of, messages };
  };
  return new Proxy(model, {
    get(target, name) {
      if (name === 'generate')
        return (request: Parameters<ServedModel['generate']>[0], signal: AbortSignal) =>
          target.generate(prepare(request), signal);
      if (name === 'tokens') return (of: ServedText) => target.tokens(prepare(of));
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}
