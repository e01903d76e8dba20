import {
  ArgumentError,
  argmax,
  checkArguments,
  concat,
  type Device,
  type Dim,
  randomGumbel,
  reshape,
  type Tensor,
  where,
} from '@heddle/tensor';
import type { Sampler } from '../sampler.ts';
import { drawKey } from './draw.ts';
import { type LaneSizes, LaneStates } from './lane-states.ts';
import { type DeviceSampling, greedyPlan, type SampleInputs, type SamplePlan, unusable } from './sample-plan.ts';
import type { LaneStateName, LogitStage } from './stages/logit-stage.ts';
import { standardStages } from './stages/standard-stages.ts';
import { minP, temperature, topK, topP } from './stages/truncation.ts';

/** Sampling on the device, with masks of tokens. */
export interface StageSampling extends DeviceSampling {
  allow(lane: number, mask: Uint32Array, drafts?: number): void;
}

/** What stages a plan has beyond those of the plan before: from those that all ask for to those that keep much. */
const plans: readonly { readonly name: string; has(stage: LogitStage): boolean }[] = [
  { name: 'draw', has: (stage) => stage === temperature },
  { name: 'truncated draw', has: (stage) => stage === topK || stage === topP || stage === minP },
  { name: 'penalties', has: ({ needs = [] }) => needs.length > 0 && needs.every((need) => need === 'counts') },
  { name: 'cut-offs', has: ({ needs = [] }) => needs.length === 0 },
  { name: 'all stages', has: () => true },
];

/**
 * Chooses tokens on the device by stages: what each changes of the logits, in order, then the largest of them with noise of the
 * request's own. Requests with different settings go through one plan together, the smallest of a few that has all stages that
 * act on one of them. Owned by the caller, which disposes of it.
 * @param stages by default all that `sampler()` has options for, in the order of transformers
 * @throws ArgumentError for two stages with a parameter of one name
 */
export function stageSampling(
  device: Device,
  sizes: LaneSizes,
  stages: readonly LogitStage[] = standardStages,
): StageSampling {
  checkArguments('stageSampling', 'device', { device });
  checkArguments('stageSampling', 'object', { sizes });
  checkArguments('stageSampling', 'list', { stages });
  const known = parametersOf(stages);
  const states = new LaneStates(device, sizes);
  const levels = stages.map((stage) => plans.findIndex((plan) => plan.has(stage)));
  const levelOf = new WeakMap<Sampler, number>();
  let failure: unknown;
  const running = (work: Promise<void>) => {
    work.catch((error) => {
      failure ??= error;
    });
  };

  /** The plan that a sampler needs, by what it sets. */
  const find = ({ settings, takesMostLikely }: Sampler): number => {
    if (takesMostLikely) return 0;
    const set = Object.keys(settings!.parameters);
    const unknown = set.find((name) => !known.has(name));
    if (unknown !== undefined)
      throw new ArgumentError(
        `sampling: no stage of the engine has the parameter ${unknown}; they have ${[...known.keys()].join(', ')}`,
      );
    const acting = levels.filter((_, i) => Object.keys(stages[i]!.parameters).some((name) => set.includes(name)));
    // a row of temperature 0 draws nothing, but needs the plan that knows that
    return 1 + Math.max(0, ...acting);
  };

  /** What is kept of a request: what the stages that act on it look at. */
  const needsOf = ({ settings }: Sampler): Set<LaneStateName> => {
    const acts = ({ parameters }: LogitStage) => Object.keys(parameters).some((name) => name in settings!.parameters);
    return new Set(stages.filter(acts).flatMap(({ needs = [] }) => needs));
  };

  return {
    plans: [
      greedyPlan,
      ...plans.map(({ name }, level) =>
        stagePlan(
          name,
          stages.filter((_, i) => levels[i]! <= level),
          states,
          () => {
            const sent = states.send();
            if (sent) running(sent);
            return failure;
          },
        ),
      ),
    ],
    planOf(sampler) {
      if (!sampler.takesMostLikely && !sampler.settings) return undefined;
      let level = levelOf.get(sampler);
      if (level === undefined) {
        level = find(sampler);
        levelOf.set(sampler, level);
      }
      return level;
    },
    begin(lane, sampler, tokens, promptTokens = tokens.length) {
      if (!sampler.settings) return;
      const needs = needsOf(sampler);
      if (needs.size === 0) return;
      running(states.begin(lane, sampler.settings, { tokens, generated: tokens.length - promptTokens, needs }));
    },
    allow: (lane, mask, drafts = 0) => states.allow(lane, mask, drafts),
    [Symbol.dispose]: () => states.dispose(),
  };
}

/** The neutral value of each parameter. @throws ArgumentError where two stages have one of the same name */
function parametersOf(stages: readonly LogitStage[]): Map<string, number> {
  const found = new Map<string, number>();
  for (const { name, parameters } of stages) {
    checkArguments('stageSampling', 'object', { 'parameters of a stage': parameters });
    for (const [parameter, neutral] of Object.entries(parameters)) {
      if (found.has(parameter) || parameter in drawColumns)
        throw new ArgumentError(`sampling: stage '${name}' has a parameter ${parameter}, which is there already`);
      found.set(parameter, neutral);
    }
  }
  return found;
}

/** What the draw takes beside the parameters of stages. */
const drawColumns = { key0: 'u32', key1: 'u32', draw: 'u32', heat: 'f32' } as const;

function stagePlan(
  name: string,
  stages: readonly LogitStage[],
  states: LaneStates,
  failureBefore: () => unknown,
): SamplePlan {
  const parameters = [...parametersOf(stages)];
  const needs = new Set(stages.flatMap((stage) => stage.needs ?? []));
  return {
    name,
    columns: { ...drawColumns, ...Object.fromEntries(parameters.map(([parameter]) => [parameter, 'f32' as const])) },
    drafts: needs.size > 0 ? 'ahead' : 'alone',
    fill(columns, row, { sampler: { settings, takesMostLikely }, sequence, index }) {
      // the masks of all rows go before the first of them is chosen for
      const failure = failureBefore();
      if (failure !== undefined) throw failure;
      for (const [parameter, neutral] of parameters)
        columns[parameter]![row] = settings?.parameters[parameter] ?? neutral;
      const [key0, key1] = drawKey(settings?.seed ?? 0, sequence);
      columns.key0![row] = key0;
      columns.key1![row] = key1;
      columns.draw![row] = index;
      columns.heat![row] = takesMostLikely || settings?.parameters.temperature === 0 ? 0 : 1;
    },
    record(inputs) {
      const changed = stages.reduce((logits, stage) => applied(stage, logits, inputs, states), inputs.logits);
      const tokens = unusable(inputs.logits, unusable(changed, drawn(changed, inputs)));
      return { tokens, updates: states.record(inputs.lanes, tokens, needs, inputs.ahead) };
    },
  };
}

/** @throws ArgumentError for a stage that gives something else than logits */
function applied(
  stage: LogitStage,
  logits: Tensor,
  { columns, lanes, ahead }: SampleInputs,
  states: LaneStates,
): Tensor {
  const { name, parameters, needs = [] } = stage;
  const rows = logits.shape[0] as Dim;
  const own = Object.fromEntries(
    Object.keys(parameters).map((parameter) => [parameter, reshape(columns[parameter]!, [rows, 1])]),
  );
  // the state is read where the stage asks for it
  const sees = Object.defineProperty(states.rows(lanes, needs, name, ahead), 'parameters', {
    value: own,
    enumerable: true,
  });
  const changed = stage.record(logits, sees as Parameters<LogitStage['record']>[1]);
  if (changed?.dtype === 'f32' && String(changed.shape) === String(logits.shape)) return changed;
  throw new ArgumentError(
    `sampling: stage '${name}' must give f32 [${logits.shape}], got ${changed?.dtype} [${changed?.shape}]`,
  );
}

/** The largest of each row with noise of its key, and without where the row takes the most likely token. */
function drawn(logits: Tensor, { columns: { key0, key1, draw, heat } }: SampleInputs): Tensor {
  const [rows, V] = logits.shape as [Dim, Dim];
  const column = (x: Tensor) => reshape(x, [rows, 1]);
  const noise = randomGumbel(concat([column(key0!), column(key1!)], 1), draw!, V);
  return argmax(logits.add(where(column(heat!).greater(0), noise, 0)), -1);
}
