import {
  ArgumentError,
  type CompiledFunction,
  checkArguments,
  compile,
  concat,
  type Device,
  type DeviceName,
  openDevice,
  type Tensor,
} from '@heddle/tensor';
import { type LoadedModel, type LoadModelOptions, loadModel } from '../load-model.ts';
import type { ModelFiles } from '../model-files.ts';

interface Inputs {
  readonly tokens: Tensor;
  readonly positions: Tensor;
  readonly segments: Tensor;
  readonly rows: Tensor;
  readonly sequenceLengths?: Tensor;
}

/** Most documents of one pass. */
const maxRows = 32;

/** A model that says how well documents answer a query, by the logits of two tokens. */
export class RankingModel implements AsyncDisposable {
  readonly model: LoadedModel;
  /** The tokens that say no and yes. */
  readonly answers: readonly [no: number, yes: number];
  /** The longest prompt, in tokens. */
  readonly maxTokens: number;
  readonly #own: Device | undefined;
  #step: CompiledFunction<[Inputs], Tensor> | undefined;
  #disposal: Promise<void> | undefined;

  /** @internal */
  constructor(model: LoadedModel, answers: readonly [number, number], own: Device | undefined) {
    this.model = model;
    this.answers = answers;
    this.maxTokens = model.config.maxPositions;
    this.#own = own;
  }

  /** The probability of yes after each prompt, of yes and no alone. @internal */
  async probabilities(prompts: readonly (readonly number[])[], signal?: AbortSignal): Promise<number[]> {
    const found = new Array<number>(prompts.length);
    const order = [...prompts.keys()].sort((a, b) => prompts[a]!.length - prompts[b]!.length);
    for (let start = 0; start < order.length; ) {
      signal?.throwIfAborted();
      let [end, total] = [start, 0];
      while (end < order.length && end - start < maxRows) {
        const { length } = prompts[order[end]!]!;
        if (end > start && total + length > this.#mostTokens) break;
        total += length;
        end++;
      }
      const group = order.slice(start, end);
      const values = await this.#run(group.map((i) => prompts[i]!));
      for (const [row, i] of group.entries()) found[i] = 1 / (1 + Math.exp(values[2 * row]! - values[2 * row + 1]!));
      start = end;
    }
    return found;
  }

  /** Of several prompts together; one alone may be longer. */
  get #mostTokens(): number {
    return Math.min(this.maxTokens, 4096);
  }

  /** Logits of no and yes, `[B, 2]`. */
  async #run(prompts: readonly (readonly number[])[]): Promise<Float32Array> {
    const positions = prompts.flatMap(({ length }) => Array.from({ length }, (_, i) => i));
    const segments = prompts.flatMap(({ length }, b) => new Array<number>(length).fill(b));
    const lengths = prompts.flatMap(({ length }) => new Array<number>(length).fill(length));
    const rows = new Int32Array(prompts.length);
    for (let row = 0, end = 0; row < rows.length; row++) {
      end += prompts[row]!.length;
      rows[row] = end - 1;
    }
    this.#step ??= this.#compile();
    const logits = await this.#step({
      tokens: Int32Array.from(prompts.flat()),
      positions: Int32Array.from(positions),
      segments: Int32Array.from(segments),
      rows,
      ...(this.model.lengthScaling && { sequenceLengths: Int32Array.from(lengths) }),
    });
    return (await logits.data()) as Float32Array;
  }

  #compile(): CompiledFunction<[Inputs], Tensor> {
    const { model, answers } = this;
    const i32 = (size: string) => ({ shape: [size], dtype: 'i32' as const });
    const [T, R] = [i32('T'), i32('R')];
    return compile(
      (inputs: Inputs) => {
        const { logits } = model.forward(inputs);
        return concat(
          answers.map((token) => logits.slice(1, token, token + 1)),
          1,
        );
      },
      {
        device: model.device,
        inputs: [{ tokens: T, positions: T, segments: T, rows: R, ...(model.lengthScaling && { sequenceLengths: T }) }],
        symbols: { T: this.maxTokens, R: maxRows },
        name: 'ranking',
      },
    );
  }

  /** Frees what was opened for it. Idempotent. */
  dispose(): Promise<void> {
    this.#disposal ??= (async () => {
      this.#step?.dispose();
      await this.model.dispose();
      await this.#own?.dispose();
    })();
    return this.#disposal;
  }
  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }
}

/** How to open a ranking model. */
export interface OpenRankingModelOptions
  extends Pick<LoadModelOptions, 'dtype' | 'activations' | 'hub' | 'onProgress'> {
  /** A device of one's own, which stays the caller's, or the name of one to open. Default 'auto'. */
  readonly device?: DeviceName | Device;
  /** What the model answers, each a single token of it. Default no and yes. */
  readonly answers?: readonly [no: string, yes: string];
}

/**
 * Opens a model for `rank` that answers "yes" or "no", as Qwen3-Reranker does. Owned by the caller.
 * @param source a folder, the files of a model, or the name of one on a hub
 * @throws ArgumentError where an answer is no single token of the model; what `loadModel` throws; then nothing is left open
 * @example
 * const model = await openRankingModel('Qwen/Qwen3-Reranker-0.6B');
 * const [best] = await rank({ model, query: 'why is the sky blue', documents });
 */
export async function openRankingModel(
  source: string | ModelFiles,
  settings: OpenRankingModelOptions = {},
): Promise<RankingModel> {
  checkArguments('openRankingModel', 'object', { settings });
  const { device: where = 'auto', answers: [no, yes] = ['no', 'yes'], ...options } = settings;
  const device = typeof where === 'string' ? await openDevice(where) : where;
  const own = typeof where === 'string' ? device : undefined;
  let model: LoadedModel | undefined;
  try {
    model = await loadModel(source, { ...options, device });
    const tokenizer = model.requireTokenizer();
    const single = (answer: string): number => {
      const tokens = tokenizer.encode(answer, { addSpecialTokens: false });
      if (tokens.length === 1) return tokens[0]!;
      throw new ArgumentError(
        `openRankingModel: needs a model that has its answers as single tokens, got ${tokens.length} for "${answer}"`,
      );
    };
    return new RankingModel(model, [single(no), single(yes)], own);
  } catch (error) {
    await model?.dispose();
    await own?.dispose();
    throw error;
  }
}
