import { describe, expect, test } from 'vitest';
import { describeModel } from '../families.ts';
import { blockLayout } from './block-layout.ts';
import { gpt2Names } from './block-names.ts';
import { transformerBlock } from './transformer-block.ts';

const layoutOf = (config: object) => describeModel({ label: 'config', text: JSON.stringify(config) }).config.layout;

describe('models of blocks', () => {
  test('GPT-2 is one: the same layers under the same names', () => {
    const block = transformerBlock({ activation: 'gelu-tanh' });
    const { layout } = blockLayout({
      ...{ vocabularySize: 40, width: 24, heads: 3, blocks: [block, block], maxPositions: 16, names: gpt2Names },
    });
    const family = layoutOf({ model_type: 'gpt2', vocab_size: 40, n_embd: 24, n_layer: 2, n_head: 3, n_positions: 16 });
    const scaled = layout.layers.map(({ mixer, ...layer }) => ({
      ...layer,
      mixer: { ...mixer, part: { ...mixer.part, scale: 8 ** -0.5 } },
    }));
    expect({ ...layout, layers: scaled }).toEqual(family);
  });

  test('Llama is one, with grouped queries too', () => {
    const llama = { norm: 'rms', activation: 'swiglu', positions: 'rotary', bias: false, epsilon: 1e-5 } as const;
    const block = transformerBlock({ ...llama, attention: 'gqa' });
    const { layout } = blockLayout({
      ...{ vocabularySize: 40, width: 32, heads: 4, feedForwardWidth: 48, blocks: [block, block], maxPositions: 16 },
    });
    expect(layout).toEqual(
      layoutOf({
        ...{ model_type: 'llama', vocab_size: 40, hidden_size: 32, intermediate_size: 48, num_hidden_layers: 2 },
        ...{ num_attention_heads: 4, num_key_value_heads: 1, rms_norm_eps: 1e-5, max_position_embeddings: 16 },
        ...{ attention_bias: false, mlp_bias: false, rope_theta: 10000 },
      }),
    );
  });

  test('what does not fit is refused', () => {
    const refuse = (options: object) => expect(() => transformerBlock(options));
    refuse({ attention: 'gqa-x' }).toThrow(/attentionType must be 'mha', 'mqa', 'gqa' or 'gqa-N', got 'gqa-x'/);
    refuse({ attention: 'gqa-3', heads: 4 }).toThrow(/divides the 4 heads/);
    refuse({ norm: 'batch' }).toThrow(/transformerBlock: norm takes layer, rms, got string batch/);
    refuse({ activation: 'tanh' }).toThrow(/activation takes gelu/);
    refuse({ positions: 'relative' }).toThrow(/positions takes rotary/);
    refuse({ dropout: 1 }).toThrow(/dropout must be in \[0, 1\), got number 1/);
    refuse({ bias: 1 }).toThrow(/bias must be true or false/);
    refuse({ epsilon: -1 }).toThrow(/epsilon must be a number from 0/);
    refuse({ rotaryBase: 0 }).toThrow(/rotaryBase must be a positive number/);
    refuse({ windows: 3 }).toThrow(/windows/);
    const config = { vocabularySize: 8, width: 12, heads: 2, blocks: [transformerBlock()] };
    expect(() => blockLayout({ ...config, width: 0 })).toThrow(/width must be a positive integer/);
    expect(() => blockLayout({ ...config, blocks: [] })).toThrow(/blocks must have one block or more/);
    expect(() => blockLayout({ ...config, heads: 5 })).toThrow(/width must be a multiple of the 5 heads, got 12/);
    expect(() => blockLayout({ ...config, heads: 4, blocks: [transformerBlock({ positions: 'rotary' })] })).toThrow(
      /width must be a multiple of twice the 4 heads, got 12/,
    );
    expect(() => blockLayout({ ...config, blocks: [transformerBlock({ attention: 'gqa' })] })).toThrow(
      /takes a multiple of 4 heads/,
    );
  });
});
