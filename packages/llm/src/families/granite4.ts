import type { JsonFields } from '../config/json-fields.ts';
import { parseRotary } from '../config/rotary.ts';
import type {
  ExpertMatrixLayout,
  ExpertsLayout,
  GatedLayout,
  LayerLayout,
  LinearLayout,
} from '../models/decoder/layout.ts';
import type { Mamba2Layout } from '../models/decoder/recurrent-layouts.ts';
import type { Family } from './shared/family.ts';
import { type DecoderSizes, readActivation, readBias, readSizes } from './shared/sizes.ts';
import { standardLayout } from './shared/standard.ts';

/** Granite 4: layers of Mamba-2 and of attention, with the factors of Granite 3, some with experts. Source: https://arxiv.org/abs/2405.21060 */
export const granite4: Family = {
  name: 'granite4',
  architecture: 'GraniteMoeHybridForCausalLM',
  modelType: 'granitemoehybrid',
  tokens: { bosTokenId: 1, eosTokenId: 2 },
  read(config) {
    const count = config.optionalInteger('num_local_experts', { min: 0 }) ?? 8;
    const perToken = config.optionalInteger('num_experts_per_tok', { min: 0 }) ?? 2;
    if (count > 0 && !(perToken > 0 && perToken <= count))
      config.fail('num_experts_per_tok', `1 to num_local_experts ${count}`, perToken);
    for (const field of ['output_router_logits', 'router_aux_loss_coef']) config.value(field); // of training
    const stated = readSizes(config, { maxPositions: 2048 });
    const shared = config.optionalInteger('shared_intermediate_size', { min: 1 }) ?? 1024;
    const sizes = { ...stated, intermediateSize: shared };
    const positions = config.optionalString('position_embedding_type');
    if (positions !== undefined && positions !== 'rope' && positions !== 'nope')
      config.fail('position_embedding_type', 'rope, nope or null');
    const rotary = parseRotary(config, { ...sizes, whole: true });
    const factor = (name: string) => config.optionalNumber(name, { above: 0 }) ?? 1;
    const bias = readBias(config, 'attention_bias');
    const activation = readActivation(config, 'hidden_act', 'silu');
    const usual = standardLayout(
      sizes,
      () => ({
        activation,
        inputBias: bias,
        outputBias: bias,
        rotary: positions === 'rope' ? rotary.spec : undefined,
        scale: factor('attention_multiplier'),
        multiplier: factor('residual_multiplier'),
      }),
      { embeddingMultiplier: factor('embedding_multiplier'), divisor: factor('logits_scaling') },
    );
    const types = layerTypes(config, sizes.layers);
    const mamba = readMamba(config, sizes);
    const layers = usual.layers.map((layer, index): LayerLayout => {
      const name = `model.layers.${index}`;
      const linear = (site: string, inSize: number, outSize: number): LinearLayout => ({
        site: `${name}.shared_mlp.${site}`,
        inSize,
        outSize,
        bias: false,
      });
      const { hiddenSize: E, intermediateSize: F } = sizes;
      const own: GatedLayout = {
        kind: 'gated',
        activation,
        projections: { gateUp: linear('input_linear', E, 2 * F) },
        down: linear('output_linear', F, E),
      };
      const experts = () =>
        expertsOf(`${name}.block_sparse_moe`, { count, perToken, activation, own, E, F: stated.intermediateSize });
      return {
        mixer: { ...layer.mixer, part: types[index] ? layer.mixer.part : mamba(`${name}.mamba`) },
        feedForward: { ...layer.feedForward, part: count > 0 ? experts() : own },
      };
    });
    return {
      layout: { ...usual, layers },
      maxPositions: rotary.maxPositions,
      tied: config.boolean('tie_word_embeddings', false),
    };
  },
};

/** Experts whose gates and inputs are one tensor, the gates first, beside the feed-forward that every row has. */
function expertsOf(
  name: string,
  parts: Pick<ExpertsLayout, 'count' | 'perToken' | 'activation'> & {
    readonly own: GatedLayout;
    readonly E: number;
    readonly F: number;
  },
): ExpertsLayout {
  const { count, perToken, activation, own, E, F } = parts;
  const half = (purpose: string, first: number): ExpertMatrixLayout => ({
    site: `${name}.${purpose}`,
    inSize: E,
    outSize: F,
    weight: { kind: 'rows', name: `${name}.input_linear.weight`, first, of: 2 },
  });
  return {
    kind: 'experts',
    router: { site: `${name}.router.layer`, inSize: E, outSize: count, bias: false },
    count,
    perToken,
    normalize: true,
    activation,
    gate: half('gate_proj', 0),
    up: half('up_proj', 1),
    down: {
      site: `${name}.down_proj`,
      inSize: F,
      outSize: E,
      weight: { kind: 'rows', name: `${name}.output_linear.weight`, first: 0, of: 1 },
    },
    shared: { part: own },
  };
}

/** Whether each layer attends: by either generation of names. */
function layerTypes(config: JsonFields, layers: number): readonly boolean[] {
  const names = ['mamba', 'linear_attention', 'attention', 'full_attention'];
  const stated =
    config.optionalChoices('layer_types', names, layers) ?? config.optionalChoices('layers_block_type', names, layers);
  return Array.from({ length: layers }, (_, i) => stated?.[i] === 'attention' || stated?.[i] === 'full_attention');
}

function readMamba(config: JsonFields, { hiddenSize: E, epsilon }: DecoderSizes): (name: string) => Mamba2Layout {
  const size = (field: string, otherwise: number) => config.optionalInteger(field, { min: 1 }) ?? otherwise;
  const heads = size('mamba_n_heads', 128);
  const inner = Math.trunc((config.optionalNumber('mamba_expand', { above: 0 }) ?? 2) * E);
  const headDim = config.value('mamba_d_head') === 'auto' ? inner / heads : size('mamba_d_head', inner / heads);
  if (headDim * heads !== inner) config.fail('mamba_d_head', `a size that makes ${heads} heads ${inner} wide`, headDim);
  const [groups, stateSize] = [size('mamba_n_groups', 1), size('mamba_d_state', 256)];
  if (heads % groups !== 0) config.fail('mamba_n_groups', `a divisor of mamba_n_heads ${heads}`, groups);
  const width = size('mamba_d_conv', 4);
  const [convolutionBias, bias] = [config.boolean('mamba_conv_bias', true), config.boolean('mamba_proj_bias', false)];
  config.value('mamba_chunk_size'); // rows that are computed at a time: it changes nothing of the result
  const stepLimits = readStepLimits(config);
  const channels = inner + 2 * groups * stateSize;
  return (name) => ({
    kind: 'mamba2',
    heads,
    headDim,
    groups,
    stateSize,
    stepLimits,
    input: { site: `${name}.in_proj`, inSize: E, outSize: inner + channels + heads, bias },
    convolution: { site: `${name}.conv1d`, channels, width, bias: convolutionBias },
    logRates: `${name}.A_log`,
    biases: `${name}.dt_bias`,
    skip: `${name}.D`,
    norm: { kind: 'rms', site: `${name}.norm`, size: inner, epsilon },
    output: { site: `${name}.out_proj`, inSize: inner, outSize: E, bias },
  });
}

/** Two numbers, of which transformers writes infinity as an object. */
function readStepLimits(config: JsonFields): readonly [number, number] {
  const stated = config.value('time_step_limit');
  if (stated === undefined) return [0, Infinity];
  const limits = (Array.isArray(stated) ? stated : []).map((limit: unknown) =>
    (limit as { __float__?: unknown } | null)?.__float__ === 'Infinity' ? Infinity : limit,
  );
  const [least, most] = limits;
  if (limits.length !== 2 || typeof least !== 'number' || typeof most !== 'number' || !(least >= 0 && least <= most))
    config.fail('time_step_limit', 'two numbers from 0, in order');
  return [least as number, most as number];
}
