import type { TokenStream } from '@heddle/batcher';
import type { ChatMessage, GenerationRequest, TextModel, Tokenizer } from '@heddle/llm';

/** A model whose answers are written beforehand, with what was asked of it: characters are tokens, `~` is the end. */
export interface ScriptedModel extends TextModel {
  readonly requests: GenerationRequest[];
  /** How many generations were left before their end. */
  readonly left: number;
}

const end = '~'.codePointAt(0)!;
const textOf = (ids: readonly number[], skip: boolean | undefined) =>
  String.fromCodePoint(...ids.filter((id) => !(skip && id === end)));

const tokenizer: Tokenizer = {
  vocabularySize: 0x110000,
  bosTokenId: undefined,
  eosTokenId: end,
  encode: (text) => [...text].map((character) => character.codePointAt(0)!),
  decode: (ids, { skipSpecialTokens } = {}) => textOf(ids, skipSpecialTokens),
  stream: ({ skipSpecialTokens } = {}) => ({ push: (id) => textOf([id], skipSpecialTokens), finish: () => '' }),
  tokenBytes: () => [],
  chatTemplateNames: ['default'],
  chatTemplateText: () => '',
  applyChatTemplate: (messages: readonly ChatMessage[], { addGenerationPrompt } = {}) =>
    messages.map(({ role, content }) => `<${role}>${content}~`).join('') + (addGenerationPrompt ? '<assistant>' : ''),
};

/**
 * @param answers by request; an error fails it after what came before
 * @param generation what its authors suggest
 */
export function scriptedModel(
  answers: readonly (string | readonly [string, Error])[],
  generation: Partial<TextModel['config']['generation']> = {},
): ScriptedModel {
  const requests: GenerationRequest[] = [];
  let left = 0;
  const cuts = { typicalP: undefined, epsilonCutoff: undefined, etaCutoff: undefined };
  const none = { temperature: undefined, topK: undefined, topP: undefined, minP: undefined, ...cuts };
  const lengths = { repetitionPenalty: undefined, noRepeatNgramSize: undefined, maxNewTokens: undefined };
  return {
    requests,
    get left() {
      return left;
    },
    tokenizer,
    requireTokenizer: () => tokenizer,
    grammars: () => {
      throw new Error('a scripted model follows no format');
    },
    config: {
      vocabularySize: tokenizer.vocabularySize,
      bosTokenId: undefined,
      eosTokenIds: [end],
      generation: { sample: false, maxLength: undefined, ...none, ...lengths, ...generation },
    },
    engine: {
      size: { maxSequences: 4, maxSequenceTokens: 400, cacheTokens: 400, cacheBytes: 0 },
      generate(request, { signal } = {}) {
        signal?.throwIfAborted();
        const answer = answers[requests.length % answers.length]!;
        requests.push(request);
        const [text, error] = typeof answer === 'string' ? [answer] : answer;
        let settle: (reason: 'stop' | 'length' | 'aborted' | 'error') => void = () => {};
        const ended = new Promise<'stop' | 'length' | 'aborted' | 'error'>((resolve) => {
          settle = resolve;
        });
        async function* tokens(): AsyncGenerator<number, undefined> {
          let reason: Parameters<typeof settle>[0] = 'aborted';
          try {
            for (const token of tokenizer.encode(text).slice(0, request.maxTokens)) {
              await new Promise(setImmediate);
              signal?.throwIfAborted();
              yield token;
              reason = 'aborted';
              if (!request.stopTokens?.includes(token)) continue;
              reason = 'stop';
              return undefined;
            }
            if (error) {
              reason = 'error';
              throw error;
            }
            reason = 'length';
            return undefined;
          } finally {
            if (reason === 'aborted') left++;
            settle(reason);
          }
        }
        return Object.assign(tokens(), {
          ended: ended.then((reason) => ({ reason, newTokens: 0 })),
        }) as unknown as TokenStream;
      },
    },
    dispose: async () => {},
    [Symbol.asyncDispose]: async () => {},
  };
}
