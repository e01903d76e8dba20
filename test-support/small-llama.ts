import { attention, rotary, rotaryTable } from '@heddle/attention';
import { type Device, embedding, f32ToF16, linear, rmsNorm, silu, type Tensor, type Variable } from '@heddle/tensor';
import { openSafetensors } from '@heddle/tensor/safetensors';
import type { TestContext } from 'vitest';
import { needShared } from './shared.ts';

/** What a language model is fed: i32 `[B, L]`; positions and segments where rows are packed. */
interface LlamaInputs {
  readonly tokens: Tensor;
  readonly positions?: Tensor;
  readonly segments?: Tensor;
}

/** How a linear layer is computed: `x` times the transpose of the weight of that name. */
export type Project = (name: string, x: Tensor, weight: Tensor) => Tensor;

/** Runs blocks one after the other, or as a step of training asks for. */
interface Blocks {
  blocks(x: Tensor, blocks: readonly ((x: Tensor) => Tensor)[]): Tensor;
}

/** A small Llama of random weights, which PyTorch trained too: for tests of training. */
export interface SmallLlama {
  readonly parameters: Readonly<Record<string, Variable>>;
  /** f32 `[B, L, V]`. */
  forward(inputs: LlamaInputs, context?: Blocks): Tensor;
  dispose(): void;
}

export interface SmallLlamaOptions {
  /** Of the linear layers; norms and embeddings are f32. */
  readonly dtype?: 'f32' | 'f16';
  readonly project?: Project;
  /** Repeats the two layers: so many have weights of their own. */
  readonly layers?: number;
  readonly frozen?: boolean;
}

const [layerCount, heads, headDim, epsilon] = [2, 4, 16, 1e-6];

/** The Llama of `../shared/fixtures/models/llama-mqa`; where that is missing the test is skipped. */
export async function smallLlama(
  device: Device,
  context: Pick<TestContext, 'skip'>,
  options: SmallLlamaOptions = {},
): Promise<SmallLlama> {
  const file = await openSafetensors(await needShared(context, 'fixtures/models/llama-mqa/model.safetensors'));
  const weights = new Map<string, { readonly data: Float32Array; readonly shape: readonly number[] }>();
  for (const name of file.names())
    weights.set(name, { data: new Float32Array((await file.read(name)).buffer), shape: file.info(name).shape });
  return llamaOf(device, weights, options);
}

/** A Llama with the given weights, by the names that Hugging Face gives them. */
export function llamaOf(
  device: Device,
  weights: ReadonlyMap<string, { readonly data: Float32Array; readonly shape: readonly number[] }>,
  { dtype = 'f32', project, layers = layerCount, frozen = false }: SmallLlamaOptions = {},
): SmallLlama {
  const parameters: Record<string, Variable> = {};
  const add = (name: string, { data, shape }: { readonly data: Float32Array; readonly shape: readonly number[] }) => {
    const half = shape.length === 2 && !name.includes('embed_tokens');
    parameters[name] = device.variable(half && dtype === 'f16' ? f32ToF16(data) : data, {
      shape,
      name,
      frozen,
      dtype: half ? dtype : 'f32',
    });
  };
  for (const [name, weight] of weights) {
    const layer = /^model\.layers\.(\d+)\.(.*)$/.exec(name);
    if (!layer) add(name, weight);
    else for (let i = Number(layer[1]); i < layers; i += layerCount) add(`model.layers.${i}.${layer[2]}`, weight);
  }
  const table = rotaryTable(device, { theta: 10_000, dim: headDim, scaling: { kind: 'default' } }, 256);
  const weight = (name: string) => parameters[`${name}.weight`]!;
  const norm = (name: string, x: Tensor) => rmsNorm(x, weight(name), epsilon);
  const apply = (name: string, x: Tensor) => {
    const input = x.cast(dtype);
    return (
      project
        ? project(`${name}.weight`, input, weight(name))
        : linear(input, weight(name), undefined, { dtype: 'f32' })
    ).cast('f32');
  };
  return {
    parameters,
    forward({ tokens, positions, segments }, context) {
      const [B, L] = tokens.shape as [number, number];
      const places = positions ?? device.arange(L).expand([B, L]);
      const block = (i: number) => (x: Tensor) => {
        const name = `model.layers.${i}`;
        const normed = norm(`${name}.input_layernorm`, x);
        const project = (which: string, count: number) =>
          apply(`${name}.self_attn.${which}`, normed).reshape([B, L, count, headDim]);
        const q = rotary(project('q_proj', heads), places, table).cast(dtype);
        const k = rotary(project('k_proj', 1), places, table).cast(dtype);
        const v = project('v_proj', 1).cast(dtype);
        const mixed = attention(q, k, v, { causal: true, ...(segments && { segments }) }).reshape([
          B,
          L,
          heads * headDim,
        ]);
        const h = x.add(apply(`${name}.self_attn.o_proj`, mixed));
        const fed = norm(`${name}.post_attention_layernorm`, h);
        const gated = silu(apply(`${name}.mlp.gate_proj`, fed)).mul(apply(`${name}.mlp.up_proj`, fed));
        return h.add(apply(`${name}.mlp.down_proj`, gated));
      };
      const blocks = Array.from({ length: layers }, (_, i) => block(i));
      const embedded = embedding(parameters['model.embed_tokens.weight']!, tokens);
      const x = context ? context.blocks(embedded, blocks) : blocks.reduce((hidden, run) => run(hidden), embedded);
      return apply('lm_head', norm('model.norm', x));
    },
    dispose() {
      for (const variable of [...Object.values(parameters), table.cos, table.sin]) variable.dispose();
    },
  };
}

/** Tokens and targets of each step of the run that PyTorch took with it, and what it noted. */
export async function smallLlamaRun(context: Pick<TestContext, 'skip'>, path = 'training/llama-mqa.run.safetensors') {
  const file = await openSafetensors(await needShared(context, `fixtures/${path}`));
  const [steps, rows, width] = file.info('batches').shape as [number, number, number];
  const values = new Int32Array((await file.read('batches')).buffer);
  const cut = (step: number, start: number, first: number, count: number) => ({
    data: Int32Array.from({ length: count * (width - 1) }, (_, i) => {
      const [row, column] = [first + Math.floor(i / (width - 1)), i % (width - 1)];
      return values[(step * rows + row) * width + column + start]!;
    }),
    shape: [count, width - 1],
  });
  /** Rows of a step's batch, all by default. */
  const batch = (step: number, first = 0, count = rows) => ({
    tokens: cut(step, 0, first, count),
    targets: cut(step, 1, first, count),
  });
  const losses = new Float32Array((await file.read('loss')).buffer);
  return { steps, rows, batch, losses };
}
