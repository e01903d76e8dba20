import { ArgumentError, type CompiledFunction, compile, reshape, type Tensor } from '@heddle/tensor';
import { describe } from '../describe.ts';
import type { CausalLm } from './causal-lm.ts';

/** Most rows of one call, the bound of B. */
const maxRows = 256;

interface StepInputs {
  readonly tokens: Tensor;
  readonly positions: Tensor;
  readonly segments: Tensor;
  /** Only where the model looks at it. */
  readonly sequenceLengths?: Tensor;
}
type Step = CompiledFunction<[StepInputs], Tensor>;

const isList = (row: unknown): boolean => Array.isArray(row) || ArrayBuffer.isView(row);

/** Logits of whole, possibly left-padded rows: one plan that packs them, so that padding is never attended to. */
export class RowLogits {
  readonly #model: CausalLm;
  #step: Step | undefined;

  constructor(model: CausalLm) {
    this.#model = model;
  }

  async compute(rows: readonly (readonly number[])[], attentionMask?: readonly (readonly number[])[]): Promise<Tensor> {
    const { config } = this.#model;
    if (!Array.isArray(rows) || !rows.every(isList))
      throw new ArgumentError(
        `logits: takes a list of rows of token ids, got ${Array.isArray(rows) ? `a list of ${describe(rows[0])}` : describe(rows)}`,
      );
    const length = rows[0]?.length ?? 0;
    if (rows.length === 0 || length === 0 || rows.some((row) => row.length !== length))
      throw new ArgumentError(`logits: takes rows of one length, got lengths [${rows.map((row) => row.length)}]`);
    if (rows.length > maxRows) throw new ArgumentError(`logits: takes at most ${maxRows} rows, got ${rows.length}`);
    if (length > config.maxPositions)
      throw new ArgumentError(`logits: the model has ${config.maxPositions} positions, got rows of ${length} tokens`);
    if (attentionMask && (attentionMask.length !== rows.length || attentionMask.some((row) => row.length !== length)))
      throw new ArgumentError(`logits: attentionMask must be ${rows.length} rows of ${length}`);
    const odd = attentionMask?.flat().find((value) => value !== 0 && value !== 1);
    if (odd !== undefined) throw new ArgumentError(`logits: attentionMask must be of 0 and 1, got ${String(odd)}`);
    checkTokens('logits', rows.flat(), config.vocabularySize);
    const { positions, segments, sequenceLengths } = layout(rows.length, length, attentionMask);
    const shaped = (data: Int32Array) => ({ data, shape: [rows.length, length] });
    this.#step ??= this.#compile();
    const output = await this.#step({
      tokens: shaped(Int32Array.from(rows.flat())),
      positions: shaped(positions),
      segments: shaped(segments),
      ...(this.#model.lengthScaling && { sequenceLengths: shaped(sequenceLengths) }),
    });
    return output.clone();
  }

  dispose(): void {
    this.#step?.dispose();
  }

  #compile(): Step {
    const spec = { shape: ['B', 'L'], dtype: 'i32' } as const;
    const model = this.#model;
    return compile(
      ({ tokens, positions, segments, sequenceLengths }: StepInputs) => {
        const [B, L] = tokens.shape;
        const packed = {
          tokens: tokens.flatten(),
          positions: positions.flatten(),
          segments: segments.flatten(),
          ...(sequenceLengths && { sequenceLengths: sequenceLengths.flatten() }),
        };
        const { logits } = model.forward(packed);
        return reshape(logits, [B!, L!, logits.shape.at(-1)!]);
      },
      {
        device: model.device,
        inputs: [
          { tokens: spec, positions: spec, segments: spec, ...(model.lengthScaling && { sequenceLengths: spec }) },
        ],
        symbols: { B: maxRows, L: model.config.maxPositions },
        name: 'row logits',
      },
    );
  }
}

/** Positions that count only what the mask keeps, the row of each token, -1 at padding, and how many its row keeps. */
function layout(
  rows: number,
  length: number,
  mask: readonly (readonly number[])[] | undefined,
): { positions: Int32Array; segments: Int32Array; sequenceLengths: Int32Array } {
  const positions = new Int32Array(rows * length);
  const segments = new Int32Array(rows * length);
  const sequenceLengths = new Int32Array(rows * length);
  for (let row = 0; row < rows; row++) {
    let position = 0;
    for (let i = 0; i < length; i++) {
      const kept = !mask || mask[row]![i] !== 0;
      segments[row * length + i] = kept ? row : -1;
      positions[row * length + i] = kept ? position++ : 0;
    }
    sequenceLengths.fill(position, row * length, (row + 1) * length);
  }
  return { positions, segments, sequenceLengths };
}

/** @throws ArgumentError naming the first id that is none of the vocabulary */
export function checkTokens(operation: string, tokens: readonly number[], vocabularySize: number): void {
  for (const token of tokens)
    if (!Number.isInteger(token) || token < 0 || token >= vocabularySize)
      throw new ArgumentError(`${operation}: token ids must lie in [0, ${vocabularySize - 1}], got ${token}`);
}
