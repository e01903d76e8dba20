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
  proportional: parseProportional,
};

/** The heads that a rotary embedding turns, and what their family has where the configuration is silent. */
export interface RotatedHead {
  readonly headDim: number;
  readonly maxPositions: number;
  /** The base of the family. Default 10000. */
  readonly theta?: number;
  /** How much of a head is rotated. Default 1. */
  readonly share?: number;
  /** Where the older generation of fields has the base of these layers. Default `rope_theta`. */
  readonly thetaField?: string;
  /** The kind of layers, where `rope_parameters` has an object for each. */
  readonly layerType?: string;
  /** The scaling where the configuration has no fields of it at all. Default none. */
  readonly usual?: RotaryScaling;
  /** Whether the older generation scales these layers. Default true. */
  readonly scaled?: boolean;
  /** Whether heads are always rotated as a whole. */
  readonly whole?: boolean;
  /** Older names of longrope. */
  readonly longRopeNames?: readonly string[];
}

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
export function parseRotary(config: JsonFields, head: RotatedHead): ParsedRotary {
  const { headDim, maxPositions } = head;
  const fields = rotaryFields(config, head);
  const theta =
    fields?.optionalNumber('rope_theta', { above: 0 }) ??
    config.optionalNumber(head.thetaField ?? 'rope_theta', { above: 0 }) ??
    head.theta;
  const [inner, outer] = [fields, config].map((of) => of?.optionalNumber('partial_rotary_factor', { above: 0 }));
  const share = inner ?? outer ?? head.share ?? 1;
  const whole = fields?.value('rope_type') === 'proportional';
  const dim = whole ? headDim : Math.trunc(headDim * share);
  if (dim < 2 || dim > headDim || dim % 2 !== 0) {
    const where = fields?.has('partial_rotary_factor') ? fields : config;
    where.fail('partial_rotary_factor', `a share that rotates an even part of a head of ${headDim}`, share);
  }
  if (share !== 1 && head.whole && !whole)
    config.fail('partial_rotary_factor', '1: models of this family rotate whole heads', share);
  const scaling = parseScaling(config, fields, dim, head);
  const reach = scaling.kind === 'dynamic' ? Math.floor(maxPositions * Math.max(1, scaling.factor)) : maxPositions;
  return { spec: { theta: theta ?? defaultTheta, dim, scaling }, maxPositions: reach };
}

function rotaryFields(config: JsonFields, { layerType, scaled = true }: RotatedHead): JsonFields | undefined {
  const scaling = config.optionalObject('rope_scaling');
  if (scaling && scaled) return scaling;
  const parameters = config.optionalObject('rope_parameters');
  if (layerType !== undefined && parameters?.has(layerType)) return parameters.optionalObject(layerType);
  return parameters;
}

function parseScaling(
  config: JsonFields,
  fields: JsonFields | undefined,
  dim: number,
  { maxPositions, longRopeNames = [], usual = { kind: 'default' } }: RotatedHead,
): RotaryScaling {
  if (!fields) {
    config.value('original_max_position_embeddings'); // without scaling it changes nothing
    return usual;
  }
  const older = fields.optionalString('type');
  const [field, stated] = fields.has('rope_type')
    ? ['rope_type', fields.optionalString('rope_type')!]
    : ['type', older ?? 'default'];
  const kind = longRopeNames.includes(stated) ? 'longrope' : stated;
  if (!Object.hasOwn(parsers, kind)) fields.fail(field, `one of ${Object.keys(parsers).join(', ')}`);
  const original = (of: JsonFields) => of.optionalInteger('original_max_position_embeddings', { min: 1 });
  const [inner, outer] = [original(fields), original(config)];
  const originalMaxPositions = outer ?? inner ?? maxPositions;
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

function parseProportional(fields: JsonFields): RotaryScaling {
  return {
    kind: 'proportional',
    share: fields.optionalNumber('partial_rotary_factor', { above: 0, max: 1 }) ?? 1,
    factor: fields.optionalNumber('factor', { above: 0 }) ?? 1,
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
