import type { ToolCall } from '../text/answers/answer-format.ts';
import type { TextFinish, TextUsage } from '../text/text-result.ts';
import type { ServedModel, ServedPart, ServedRequest } from './models/served-model.ts';

/** A part of one of the answers to a request. */
export interface NumberedPart {
  readonly index: number;
  readonly part: ServedPart;
}

/** An answer that has ended. */
export interface Answer {
  readonly text: string;
  readonly reasoning: string;
  readonly toolCalls: readonly ToolCall[];
  readonly finishReason: TextFinish;
  readonly stop: string | undefined;
  readonly usage: TextUsage;
  readonly spelled: readonly NonNullable<ServedPart['spelled']>[];
  readonly promptTokens: readonly number[];
}

/** The parts of several generations as they come. Leaving early, and one that fails, ends all of them. */
export async function* generateAll(
  model: ServedModel,
  requests: readonly ServedRequest[],
  signal: AbortSignal,
): AsyncGenerator<NumberedPart, undefined> {
  const controller = new AbortController();
  const both = AbortSignal.any([signal, controller.signal]);
  const streams = requests.map((request) => model.generate(request, both)[Symbol.asyncIterator]());
  type Next = { readonly index: number; readonly result: IteratorResult<ServedPart, unknown> };
  const pending = new Map<number, Promise<Next>>();
  const ask = (index: number) => {
    const next = streams[index]!.next().then((result) => ({ index, result }));
    next.catch(() => {}); // the race tells
    pending.set(index, next);
  };
  try {
    for (const index of streams.keys()) ask(index);
    while (pending.size > 0) {
      const { index, result } = await Promise.race(pending.values());
      pending.delete(index);
      if (result.done) continue;
      yield { index, part: result.value };
      ask(index);
    }
    return undefined;
  } finally {
    controller.abort(new Error('an answer beside it ended'));
    await Promise.allSettled([...pending.values(), ...streams.map((stream) => stream.return?.())]);
  }
}

/** All answers, when they have ended. */
export async function collect(parts: AsyncIterable<NumberedPart>, count: number): Promise<Answer[]> {
  const answers = Array.from({ length: count }, () => new Collected());
  for await (const { index, part } of parts) answers[index]!.push(part);
  return answers;
}

/** An answer while it comes. */
export class Collected implements Answer {
  text = '';
  reasoning = '';
  readonly toolCalls: { id: string; name: string; arguments: string }[] = [];
  finishReason: TextFinish = 'aborted';
  stop: string | undefined;
  usage: TextUsage = { inputTokens: 0, outputTokens: 0, totalTokens: 0, cachedTokens: 0, reasoningTokens: 0 };
  readonly spelled: NonNullable<ServedPart['spelled']>[] = [];
  promptTokens: readonly number[] = [];

  push(part: ServedPart): void {
    if (part.spelled) this.spelled.push(part.spelled);
    switch (part.type) {
      case 'start':
        this.promptTokens = part.tokens;
        break;
      case 'text':
        this.text += part.text;
        break;
      case 'reasoning':
        this.reasoning += part.text;
        break;
      case 'tool-call':
        this.toolCalls.push({ id: part.id, name: part.name, arguments: '' });
        break;
      case 'tool-arguments':
        this.toolCalls[part.index]!.arguments += part.text;
        break;
      case 'finish':
        ({ finishReason: this.finishReason, stop: this.stop, usage: this.usage } = part);
    }
  }
}
