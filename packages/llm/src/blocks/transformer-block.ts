import { type AttentionType, keyValueHeads } from '@heddle/attention';
import { ArgumentError, calledAs, checkArguments, checkOptions } from '@heddle/tensor';
import { describe } from '../describe.ts';
import type { ActivationName } from '../models/decoder/layout.ts';

/** What a feed-forward computes: down(activation(up(x))), or with a gate down(activation(gate(x)) * up(x)). */
export type BlockActivation = ActivationName | 'swiglu' | 'geglu' | 'reglu';

/**
 * How positions come in: queries and keys are rotated ('rotary') or scores fall with the distance ('alibi'), layer by layer; rows of
 * a table are added to the embeddings of a model that has a block with 'learned' or 'sinusoidal'; or not at all.
 */
export type BlockPositions = 'rotary' | 'learned' | 'sinusoidal' | 'alibi' | 'none';

/** Options of `transformerBlock`. */
export interface TransformerBlockOptions {
  /** Key-value heads: 'mha' as many as query heads, 'mqa' one, 'gqa' a quarter of the query heads, 'gqa-N' N. Default 'mha'. */
  readonly attention?: AttentionType;
  /** Default 'layer'. */
  readonly norm?: 'layer' | 'rms';
  /** Whether a part takes the norm of x, x + f(norm(x)), or leaves one, norm(x + f(x)). Default 'pre'. */
  readonly normPosition?: 'pre' | 'post';
  /** Default 'gelu'. */
  readonly activation?: BlockActivation;
  /** Default 'learned'. */
  readonly positions?: BlockPositions;
  /** How likely a value is left out of what attention and feed-forward add, in [0, 1), in training. Default 0. */
  readonly dropout?: number;
  /** Whether linear layers and layer norms have biases. Default true. */
  readonly bias?: boolean;
  /** H. By default the model's. */
  readonly heads?: number;
  /** F. By default the model's. */
  readonly feedForwardWidth?: number;
  /** By default 1e-5 of layer norms, 1e-6 of RMS norms. */
  readonly epsilon?: number;
  /** Base of rotary angles. Default 10,000. */
  readonly rotaryBase?: number;
}

type Defaulted = 'heads' | 'feedForwardWidth';

/** A block as `createModel` takes it. */
export type TransformerBlock = Readonly<Required<Omit<TransformerBlockOptions, Defaulted>>> &
  Pick<TransformerBlockOptions, Defaulted>;

const choices = {
  norm: ['layer', 'rms'],
  normPosition: ['pre', 'post'],
  activation: ['gelu', 'gelu-tanh', 'relu', 'silu', 'swiglu', 'geglu', 'reglu'],
  positions: ['rotary', 'learned', 'sinusoidal', 'alibi', 'none'],
} as const;

/**
 * A layer of a transformer by what it is made of: attention and a feed-forward, each added to what it takes. Blocks are plain values:
 * a model may have any mix of them.
 *
 * ```ts
 * const gpt2 = transformerBlock({ activation: 'gelu-tanh' });
 * const llama = transformerBlock({ norm: 'rms', activation: 'swiglu', positions: 'rotary', bias: false });
 * const model = await createModel(
 *   { vocabularySize: 4096, width: 256, heads: 8, blocks: [gpt2, llama, { ...llama, attention: 'gqa' }] },
 *   { device },
 * );
 * ```
 * @throws ArgumentError for a part that there is not
 */
export function transformerBlock(options: TransformerBlockOptions = {}): TransformerBlock {
  checkArguments('transformerBlock', 'object', { options });
  const { norm = 'layer', heads, feedForwardWidth } = options;
  const block: TransformerBlock = {
    attention: 'mha',
    norm,
    normPosition: 'pre',
    activation: 'gelu',
    positions: 'learned',
    dropout: 0,
    bias: true,
    epsilon: norm === 'layer' ? 1e-5 : 1e-6,
    rotaryBase: 10_000,
    ...Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)),
    ...(heads !== undefined && { heads }),
    ...(feedForwardWidth !== undefined && { feedForwardWidth }),
  };
  checkBlock(block);
  return Object.freeze(block);
}

/** @throws ArgumentError for what is no block */
export function checkBlock(block: TransformerBlock): void {
  const fail = (rule: string, got: unknown): never => {
    throw new ArgumentError(`transformerBlock: ${rule}, got ${describe(got)}`);
  };
  if (typeof block !== 'object' || block === null) fail('a block is an object of options', block);
  checkOptions('transformerBlock', block, [
    ...['attention', 'norm', 'normPosition', 'activation', 'positions', 'dropout', 'bias'],
    ...['heads', 'feedForwardWidth', 'epsilon', 'rotaryBase'],
  ]);
  for (const [name, allowed] of Object.entries(choices)) {
    const value = block[name as keyof typeof choices];
    if (!(allowed as readonly unknown[]).includes(value)) fail(`${name} takes ${allowed.join(', ')}`, value);
  }
  const { attention, dropout, bias, heads, feedForwardWidth, epsilon, rotaryBase } = block;
  calledAs('transformerBlock: attention', () =>
    keyValueHeads(attention, heads ?? 2 ** 20 * Number(/^gqa-([1-9]\d{0,8})$/.exec(attention)?.[1] ?? 1)),
  );
  if (!(typeof dropout === 'number' && dropout >= 0 && dropout < 1)) fail('dropout must be in [0, 1)', dropout);
  if (typeof bias !== 'boolean') fail('bias must be true or false', bias);
  for (const [name, value] of Object.entries({ heads, feedForwardWidth }))
    if (value !== undefined && !(Number.isSafeInteger(value) && value > 0))
      fail(`${name} must be a positive integer`, value);
  if (!(typeof epsilon === 'number' && epsilon >= 0 && epsilon < Number.POSITIVE_INFINITY))
    fail('epsilon must be a number from 0', epsilon);
  if (!(typeof rotaryBase === 'number' && rotaryBase > 0 && rotaryBase < Number.POSITIVE_INFINITY))
    fail('rotaryBase must be a positive number', rotaryBase);
}
