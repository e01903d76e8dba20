import { ArgumentError, checkArguments } from '@heddle/tensor';

/** Which linear layers get factors, and what these are. Names as PEFT's, in camel case. */
export interface LoraOptions {
  /** Columns of the factors. */
  readonly rank: number;
  /** The product of the factors is multiplied by alpha / rank; `rank` where not named. */
  readonly alpha?: number;
  /** alpha / sqrt(rank) instead (https://arxiv.org/abs/2312.03732); false where not named. */
  readonly rankStabilized?: boolean;
  /** Part of the inputs of the factors that is left out in training; 0 where not named. */
  readonly dropout?: number;
  /**
   * The layers: names of modules or the ends of such names (`q_proj`), or a function of the whole name
   * (`model.layers.0.self_attn.q_proj`).
   */
  readonly targets: readonly string[] | ((module: string) => boolean);
  /** Of the first values of the factors; 0 where not named. */
  readonly seed?: number;
}

/** @throws ArgumentError for options that make no sense */
export function checkLoraOptions({ rank, alpha = rank, dropout = 0, targets }: LoraOptions): void {
  if (!Number.isSafeInteger(rank) || rank < 1)
    throw new ArgumentError(`createLora: rank must be a whole number from 1, got ${String(rank)}`);
  if (!(alpha > 0 && Number.isFinite(alpha)))
    throw new ArgumentError(`createLora: alpha must be positive, got ${String(alpha)}`);
  if (!(dropout >= 0 && dropout < 1))
    throw new ArgumentError(`createLora: dropout must be in [0, 1), got ${String(dropout)}`);
  if (Array.isArray(targets)) checkArguments('createLora', 'texts', { targets });
  if (typeof targets !== 'function' && (!Array.isArray(targets) || targets.length === 0))
    throw new ArgumentError('createLora: targets must be names of modules or a function of them');
}

/** Whether a module is one of the targets, as PEFT decides: by its name or the end of it. */
export function isTarget(targets: LoraOptions['targets'], module: string): boolean {
  checkArguments('isTarget', 'text', { module });
  if (typeof targets === 'function') return targets(module);
  checkArguments('isTarget', 'texts', { targets });
  return targets.some((target) => module === target || module.endsWith(`.${target}`));
}

/** The name of the module that a weight belongs to. */
export function moduleOf(weight: string): string {
  return weight.endsWith('.weight') ? weight.slice(0, -'.weight'.length) : weight;
}
