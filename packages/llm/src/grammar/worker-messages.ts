import type { OutputFormat } from './output-format.ts';

/** The bytes of each token, one after the other. */
export interface PackedVocabulary {
  readonly bytes: Uint8Array;
  /** Where those of each token begin; one entry more than tokens. Tokens without bytes are no text. */
  readonly offsets: Uint32Array;
}

/** What a sequence did since it was last asked for. */
export interface SequenceStep {
  readonly sequence: number;
  /** Tokens that are left of it before `accept`. */
  readonly length: number;
  readonly accept: readonly number[];
}

export type WorkerRequest =
  | { readonly kind: 'vocabulary'; readonly vocabulary: PackedVocabulary }
  | {
      readonly kind: 'open';
      readonly sequence: number;
      readonly key: string;
      readonly format: OutputFormat;
      readonly tokens: readonly number[];
    }
  | { readonly kind: 'step'; readonly steps: readonly SequenceStep[] }
  | { readonly kind: 'close'; readonly sequence: number };

/** Which tokens may come next in a sequence. */
export interface Next {
  /** A bit for each token, 32 a word. */
  readonly mask: Uint32Array;
  /** Whether the text may end here. */
  readonly complete: boolean;
}
/** Why there is none. */
export interface Refusal {
  readonly message: string;
  readonly code: string;
}
export interface WorkerAnswer {
  /** Of each step: what may come next, or why it cannot be told. */
  readonly next?: readonly (Next | Refusal)[];
  /** Why the request was not done. */
  readonly refusal?: Refusal;
}
