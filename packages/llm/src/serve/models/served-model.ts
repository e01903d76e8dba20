import type { RankedDocument } from '../../embedding/rank.ts';
import type { TextSettings } from '../../text/text-options.ts';
import type { TextPart } from '../../text/text-result.ts';
import type { ChatMessage } from '../../tokenizer/chat-template.ts';

/** What is asked of a model: data that can cross to another process. */
export interface ServedRequest extends Omit<TextSettings, 'sampler' | 'signal' | 'allowedTokens'> {
  readonly prompt?: string | readonly number[];
  readonly messages?: readonly ChatMessage[];
  /** Which of several answers to one request this is, from 0: they draw differently. */
  readonly sequence?: number;
}

/** What tokens are asked for: those of a text, or of a conversation up to where the model answers. */
export type ServedText = { readonly text: string; readonly addSpecialTokens?: boolean } | ServedRequest;

/** A token with its text. */
export interface SpelledToken {
  readonly token: number;
  readonly text: string;
  readonly logprob: number;
}

/** What comes of a generation. Log-probabilities are spelled. */
export type ServedPart = TextPart & { readonly spelled?: SpelledToken & { readonly top: readonly SpelledToken[] } };

/** Texts to embed. */
export interface EmbedRequest {
  readonly texts: readonly string[];
  /** Which of the model's prompts stands before each. */
  readonly prompt?: string;
}

/** Their vectors, in their order. */
export interface Embedded {
  readonly vectors: readonly Float32Array[];
  /** Tokens that were read, prompts included. */
  readonly tokens: number;
}

/** Documents to rank. */
export interface RankRequest {
  readonly query: string;
  readonly documents: readonly string[];
  /** What a good document does. */
  readonly instruction?: string;
}

/** The documents, the best first. */
export interface Ranked {
  readonly documents: readonly RankedDocument[];
  /** Tokens of the documents, each with the query. */
  readonly tokens: number;
}

/** What a model does: it generates text, embeds texts or ranks documents. */
export type ModelKind = 'text' | 'embedding' | 'ranking';

/** Where a model stands. */
export interface ServedStats {
  readonly running: number;
  readonly waiting: number;
  /** How much of the cache is taken, from 0 to 1. */
  readonly cacheUsage: number;
  /** What it takes of its device, in bytes. */
  readonly memoryBytes?: number;
  /** Tokens of prompts that its cache keeps, and where: on the device, with 8 bits, on the host, in a store. */
  readonly tiers?: readonly { readonly name: string; readonly tokens: number; readonly bytes: number }[];
}

/** A model as a server sees it, in this process or in another. */
export interface ServedModel {
  /** Its name in requests. */
  readonly id: string;
  /** Whether it can answer; a server is ready when all of its models are. */
  readonly ready: boolean;
  readonly maxSequenceTokens: number;
  /** What it does. Default 'text'. */
  readonly kind?: ModelKind;
  /** @throws what `faultOf` tells clients about */
  generate(request: ServedRequest, signal: AbortSignal): AsyncIterable<ServedPart>;
  /** Token ids of a text or conversation, as a request would have them. */
  tokens(of: ServedText): Promise<readonly number[]>;
  /** The text of token ids. */
  text(tokens: readonly number[]): Promise<string>;
  /** What it does and has done, for metrics. */
  stats(): Promise<ServedStats>;
  /** Of a model that embeds texts. */
  embed?(request: EmbedRequest, signal: AbortSignal): Promise<Embedded>;
  /** Of a model that ranks documents. */
  rank?(request: RankRequest, signal: AbortSignal): Promise<Ranked>;
}
