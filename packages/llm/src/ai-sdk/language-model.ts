import type {
  LanguageModelV3,
  LanguageModelV3CallOptions,
  LanguageModelV3Content,
  LanguageModelV3FinishReason,
  LanguageModelV3StreamPart,
  LanguageModelV3Usage,
  SharedV3Warning,
} from '@ai-sdk/provider';
import { json, jsonSchema } from '../grammar/output-format.ts';
import type { Tool, ToolChoice } from '../text/answers/answer-format.ts';
import { streamText } from '../text/generate-text.ts';
import type { TextModel } from '../text/text-model.ts';
import type { TextOptions } from '../text/text-options.ts';
import type { TextFinish, TextPart, TextUsage } from '../text/text-result.ts';
import type { TextStream } from '../text/text-stream.ts';
import { messagesOf } from './messages.ts';

/** A model of this process as the AI SDK calls one. */
export function languageModel(modelId: string, model: TextModel): LanguageModelV3 {
  return {
    specificationVersion: 'v3',
    provider: 'heddle',
    modelId,
    supportedUrls: {},
    async doGenerate(options) {
      const { asked, warnings } = textOptions(model, options);
      const { text, reasoning, toolCalls, finishReason, usage } = await streamText(asked).result;
      const content: LanguageModelV3Content[] = [
        ...(reasoning === '' ? [] : [{ type: 'reasoning' as const, text: reasoning }]),
        ...(text === '' ? [] : [{ type: 'text' as const, text }]),
        ...toolCalls.map(({ id, name, arguments: input }) => ({
          type: 'tool-call' as const,
          toolCallId: id,
          toolName: name,
          input,
        })),
      ];
      return { content, finishReason: finishOf(finishReason), usage: usageOf(usage), warnings };
    },
    async doStream(options) {
      const { asked, warnings } = textOptions(model, options);
      return { stream: partsOf(streamText(asked), warnings) };
    },
  };
}

/** @throws UnsupportedFunctionalityError for prompts that are not text */
function textOptions(
  model: TextModel,
  options: LanguageModelV3CallOptions,
): { readonly asked: TextOptions; readonly warnings: SharedV3Warning[] } {
  const { prompt, responseFormat, toolChoice, abortSignal, tools = [] } = options;
  const warnings: SharedV3Warning[] = [];
  const functions = tools.flatMap((tool): Tool[] => {
    if (tool.type === 'function')
      return [
        { name: tool.name, parameters: tool.inputSchema, ...(tool.description && { description: tool.description }) },
      ];
    warnings.push({ type: 'unsupported', feature: `tool ${tool.name} of a provider` });
    return [];
  });
  const choice: ToolChoice | undefined =
    toolChoice && (toolChoice.type === 'tool' ? { name: toolChoice.toolName } : toolChoice.type);
  const own = (options.providerOptions?.['heddle'] ?? {}) as Partial<TextOptions>;
  const given = {
    maxTokens: options.maxOutputTokens,
    temperature: options.temperature,
    topP: options.topP,
    topK: options.topK,
    presencePenalty: options.presencePenalty,
    frequencyPenalty: options.frequencyPenalty,
    seed: options.seed,
    stop: options.stopSequences,
    signal: abortSignal,
    tools: functions.length > 0 ? functions : undefined,
    toolChoice: functions.length > 0 ? choice : undefined,
    format:
      responseFormat?.type === 'json'
        ? responseFormat.schema
          ? jsonSchema(responseFormat.schema)
          : json()
        : undefined,
  };
  const defined = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
  return { asked: { model, messages: messagesOf(prompt), ...defined, ...own }, warnings };
}

function finishOf(reason: TextFinish): LanguageModelV3FinishReason {
  return { unified: reason === 'aborted' ? 'other' : reason, raw: reason };
}

function usageOf({ inputTokens, cachedTokens, outputTokens, reasoningTokens }: TextUsage): LanguageModelV3Usage {
  return {
    inputTokens: {
      total: inputTokens,
      noCache: inputTokens - cachedTokens,
      cacheRead: cachedTokens,
      cacheWrite: undefined,
    },
    outputTokens: { total: outputTokens, text: outputTokens - reasoningTokens, reasoning: reasoningTokens },
  };
}

function partsOf(stream: TextStream, warnings: SharedV3Warning[]): ReadableStream<LanguageModelV3StreamPart> {
  stream.result.catch(() => {}); // the parts tell
  const parts = written(stream.fullStream, warnings);
  return new ReadableStream({
    async pull(controller) {
      try {
        const next = await parts.next();
        if (next.done) controller.close();
        else controller.enqueue(next.value);
      } catch (error) {
        controller.enqueue({ type: 'error', error });
        controller.close();
      }
    },
    async cancel() {
      await parts.return(undefined);
    },
  });
}

/** Parts with a beginning and an end for each run of text, reasoning and each call. */
async function* written(
  parts: AsyncIterable<TextPart>,
  warnings: SharedV3Warning[],
): AsyncGenerator<LanguageModelV3StreamPart, undefined> {
  let open: { readonly kind: 'text' | 'reasoning'; readonly id: string } | undefined;
  let call: { readonly id: string; readonly name: string; input: string } | undefined;
  let runs = 0;
  const close = (): LanguageModelV3StreamPart[] => {
    const ended: LanguageModelV3StreamPart[] = open ? [{ type: `${open.kind}-end`, id: open.id }] : [];
    if (call)
      ended.push(
        { type: 'tool-input-end', id: call.id },
        { type: 'tool-call', toolCallId: call.id, toolName: call.name, input: call.input },
      );
    open = undefined;
    call = undefined;
    return ended;
  };
  yield { type: 'stream-start', warnings };
  for await (const part of parts) {
    switch (part.type) {
      case 'text':
      case 'reasoning': {
        if (part.text === '') break;
        if (open?.kind !== part.type) {
          yield* close();
          open = { kind: part.type, id: String(runs++) };
          yield { type: `${part.type}-start`, id: open.id };
        }
        yield { type: `${part.type}-delta`, id: open.id, delta: part.text };
        break;
      }
      case 'tool-call':
        yield* close();
        call = { id: part.id, name: part.name, input: '' };
        yield { type: 'tool-input-start', id: part.id, toolName: part.name };
        break;
      case 'tool-arguments':
        call!.input += part.text;
        yield { type: 'tool-input-delta', id: call!.id, delta: part.text };
        break;
      case 'finish':
        yield* close();
        yield { type: 'finish', finishReason: finishOf(part.finishReason), usage: usageOf(part.usage) };
    }
  }
  return undefined;
}
