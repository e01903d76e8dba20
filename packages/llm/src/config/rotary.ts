import type { RotaryScaling, RotarySpec } from '@heddle/attention';
import type { JsonFields } from './json-fields.ts';

/** What transformers takes for the base where a configuration names none. */
const defaultTheta = 10000;

type Parser = (fields: JsonFields, context: Context) => RotaryScaling;

interface Context {
  readonly maxPositions: number;
  /** Positions of the pretraining, which some models state outside the rotary fields. */
  readonly originalMaxPositions: number;
}

const parsers: Readonly<Record<RotaryScaling['kind'], Parser>> = {
  default: () => ({ kind: 'default' }),
  linear: (fields) => ({ kind: 'linear', factor: fields.number('factor', { above: 0 }) }),
  dynamic: (fields, { maxPositions }) => ({
    kind: 'dynamic',
    factor: fields.number('factor', { above: 0 }),
    maxPositions,
  }),
  llama3: parseLlama3,
  yarn: parseYarn,
  longrope: parseLongRope,
};

/** A rotary embedding, and how many positions it reaches. */
export interface ParsedRotary {
  readonly spec: RotarySpec;
  /** What the configuration says, times the factor of dynamic scaling, which begins there. */
  readonly maxPositions: number;
}

/**
 * Reads the rotary embedding of a configuration, in either generation of its fields: `rope_parameters` with everything
 * in it, or `rope_theta` beside `rope_scaling`. Where both are there `rope_scaling` counts, as in transformers.
 *
 * @throws FileFormatError `ERR_CONFIG`.
 */
export function parseRotary(config: JsonFields, headDim: number, maxPositions: number): ParsedRotary {
  const fields = config.optionalObject('rope_scaling') ?? config.optionalObject('rope_parameters');
  const theta = fields?.optionalNumber('rope_theta', { above: 0 }) ?? config.optionalNumber('rope_theta', { above: 0 });
  const share =
    fields?.optionalNumber('partial_rotary_factor', { above: 0 }) ??
    config.optionalNumber('partial_rotary_factor', { above: 0 }) ??
    1;
  const dim = Math.trunc(headDim * share);
  if (dim < 2 || dim > headDim || dim % 2 !== 0) {
    const where = fields?.has('partial_rotary_factor') ? fields : config;
    where.fail('partial_rotary_factor', `a share that rotates an even part of a head of ${headDim}`, share);
  }
  const scaling = parseScaling(config, fields, dim, maxPositions);
  const reach = scaling.kind === 'dynamic' ? Math.floor(maxPositions * Math.max(1, scaling.factor)) : maxPositions;
  return { spec: { theta: theta ?? defaultTheta, dim, scaling }, maxPositions: reach };
}

function parseScaling(
  config: JsonFields,
  fields: JsonFields | undefined,
  dim: number,
  maxPositions: number,
): RotaryScaling {
  if (!fields) return { kind: 'default' };
  const field = fields.has('rope_type') ? 'rope_type' : 'type';
  const kind = fields.optionalString(field) ?? 'default';
  if (!Object.hasOwn(parsers, kind)) fields.fail(field, `one of ${Object.keys(parsers).join(', ')}`);
  const originalMaxPositions =
    config.optionalInteger('original_max_position_embeddings', { min: 1 }) ??
    fields.optionalInteger('original_max_position_embeddings', { min: 1 }) ??
    maxPositions;
  const scaling = parsers[kind as RotaryScaling['kind']](fields, { maxPositions, originalMaxPositions });
  if (scaling.kind === 'dynamic' && dim < 4) fields.fail(field, `a kind that can rotate ${dim} components`);
  if (scaling.kind === 'longrope') {
    for (const [name, factors] of [
      ['short_factor', scaling.shortFactors],
      ['long_factor', scaling.longFactors],
    ] as const) {
      if (factors.length !== dim / 2) fields.fail(name, `a list of ${dim / 2} numbers`);
    }
  }
  return scaling;
}

function parseLlama3(fields: JsonFields, { originalMaxPositions }: Context): RotaryScaling {
  const lowFrequencyFactor = fields.number('low_freq_factor', { above: 0 });
  return {
    kind: 'llama3',
    factor: fields.number('factor', { above: 0 }),
    lowFrequencyFactor,
    highFrequencyFactor: fields.number('high_freq_factor', { above: lowFrequencyFactor }),
    originalMaxPositions,
  };
}

function parseYarn(fields: JsonFields, context: Context): RotaryScaling {
  return {
    kind: 'yarn',
    factor: factorOrRatio(fields, context),
    originalMaxPositions: context.originalMaxPositions,
    betaFast: numberOr(fields, 'beta_fast', 32),
    betaSlow: numberOr(fields, 'beta_slow', 1),
    truncate: fields.boolean('truncate', true),
    ...present('attentionFactor', fields.optionalNumber('attention_factor', { above: 0 })),
    ...present('mscale', fields.optionalNumber('mscale', { min: 0 })),
    ...present('mscaleAllDim', fields.optionalNumber('mscale_all_dim', { min: 0 })),
  };
}

function parseLongRope(fields: JsonFields, context: Context): RotaryScaling {
  return {
    kind: 'longrope',
    factor: factorOrRatio(fields, context),
    shortFactors: fields.positiveNumbers('short_factor'),
    longFactors: fields.positiveNumbers('long_factor'),
    originalMaxPositions: context.originalMaxPositions,
    ...present('attentionFactor', fields.optionalNumber('attention_factor', { above: 0 })),
  };
}

/** The factor, which where absent is how much longer the context is than that of the pretraining. */
function factorOrRatio(fields: JsonFields, { maxPositions, originalMaxPositions }: Context): number {
  return fields.optionalNumber('factor', { above: 0 }) ?? maxPositions / originalMaxPositions;
}

/** A positive number, with 0 counting as absent as it does in transformers. */
function numberOr(fields: JsonFields, name: string, otherwise: number): number {
  return fields.optionalNumber(name, { min: 0 }) || otherwise;
}

/** An object with the property only where there is a value, for types with exact optional properties. */
function present<K extends string, V>(name: K, value: V | undefined): { readonly [P in K]?: V } {
  return value === undefined ? {} : ({ [name]: value } as { readonly [P in K]: V });
}
