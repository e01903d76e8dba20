import { FileFormatError } from '@heddle/tensor';
import type { JsonFields } from '../config/json-fields.ts';

/** How the hidden states of a text become one vector. */
export type Pooling = 'last' | 'first' | 'mean' | 'mean-sqrt' | 'weighted-mean';

/** The fields of `1_Pooling/config.json` that ask for each; older files have no others. */
const fieldOf = {
  pooling_mode_lasttoken: 'last',
  pooling_mode_cls_token: 'first',
  pooling_mode_mean_tokens: 'mean',
  pooling_mode_mean_sqrt_len_tokens: 'mean-sqrt',
  pooling_mode_weightedmean_tokens: 'weighted-mean',
} as const satisfies Record<string, Pooling>;

/** What the configuration of a pooling module asks for, in its order. @throws FileFormatError `ERR_CONFIG` */
export function readPooling(config: JsonFields): {
  readonly poolings: readonly Pooling[];
  readonly withPrompt: boolean;
} {
  if (config.boolean('pooling_mode_max_tokens', false))
    throw new FileFormatError(`${config.file}: pooling_mode_max_tokens: the largest values are not pooled, got true`, {
      code: 'ERR_CONFIG',
    });
  const order = ['first', 'mean', 'mean-sqrt', 'weighted-mean', 'last'] as const;
  const asked = new Set<Pooling>();
  for (const [field, pooling] of Object.entries(fieldOf)) if (config.boolean(field, false)) asked.add(pooling);
  if (asked.size === 0)
    throw new FileFormatError(`${config.file}: must ask for one of ${Object.keys(fieldOf).join(', ')}, got none`, {
      code: 'ERR_CONFIG',
    });
  return {
    poolings: order.filter((pooling) => asked.has(pooling)),
    withPrompt: config.boolean('include_prompt', true),
  };
}

/** The weight that each token has in a pooled vector, for texts of `length` tokens of which the first `skipped` do not count. */
export function poolingWeights(pooling: Pooling, length: number, skipped: number, into: Float32Array): void {
  const count = length - skipped;
  const total = (count * (count + 1)) / 2;
  for (let i = skipped; i < length; i++) {
    const place = i - skipped;
    into[i] = {
      last: i === length - 1 ? 1 : 0,
      first: place === 0 ? 1 : 0,
      mean: 1 / count,
      'mean-sqrt': 1 / Math.sqrt(count),
      'weighted-mean': (place + 1) / total,
    }[pooling];
  }
}
