import type { Tensor } from '@heddle/tensor';

/** What an engine can keep of each running request on the device, for stages that need it. */
export type LaneStateName = 'counts' | 'history' | 'bias' | 'words' | 'allowed';

/**
 * A change of logits before a token is drawn, recorded for all rows of a step at once. A stage is a value: it holds nothing, and
 * what differs between requests comes in its parameters.
 */
export interface LogitStage {
  readonly name: string;
  /** Its parameters, of which each row has a value, with the value that changes nothing. */
  readonly parameters: Readonly<Record<string, number>>;
  /** What of the requests it looks at. By default the logits alone. */
  readonly needs?: readonly LaneStateName[];
  /**
   * Records the stage: f32 `[R, V]` to f32 `[R, V]`, in which -Infinity takes a token out. Rows whose parameters change nothing
   * must come out as they are, but for what all their logits may have in common.
   */
  record(logits: Tensor, rows: SampleRows): Tensor;
}

/** What a stage sees of the rows of a step. State that is not among its `needs` throws an `ArgumentError`. */
export interface SampleRows {
  /** By name: f32 `[R, 1]`. */
  readonly parameters: Readonly<Record<string, Tensor>>;
  /** How often each token was generated, i32 `[R, V]`. Needs 'counts'. */
  readonly generated: Tensor;
  /** Whether each token has occurred, in the prompt too, bool `[R, V]`. Needs 'counts'. */
  readonly occurred: Tensor;
  /** Prompt and generated tokens, i32 `[R, C]`, of which the first `lengths` are there. Needs 'history'. */
  readonly history: Tensor;
  /** i32 `[R, 1]`. Needs 'history'. */
  readonly lengths: Tensor;
  /** What is added to logits, f32 `[R, V]`. Needs 'bias'. */
  readonly bias: Tensor;
  /** Words of several tokens, i32 `[R, W, L]`, ending at the end of the last axis, with -1 before. Needs 'words'. */
  readonly words: Tensor;
  /** Bits of tokens that are allowed, u32 `[R, V / 32]`: bit `id % 32` of word `id / 32`. Needs 'allowed'. */
  readonly allowed: Tensor;
}
