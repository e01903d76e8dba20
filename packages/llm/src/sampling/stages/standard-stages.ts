import { epsilonCutoff, etaCutoff, typical } from './cutoffs.ts';
import type { LogitStage } from './logit-stage.ts';
import { occurrencePenalties, repetitionPenalty } from './penalties.ts';
import { allowedTokens, badWords, logitBias, noRepeatNgram } from './tokens.ts';
import { minP, temperature, topK, topP } from './truncation.ts';

type StageName =
  | 'logitBias'
  | 'repetitionPenalty'
  | 'occurrencePenalties'
  | 'noRepeatNgram'
  | 'badWords'
  | 'allowedTokens'
  | 'temperature'
  | 'topK'
  | 'topP'
  | 'minP'
  | 'typical'
  | 'epsilonCutoff'
  | 'etaCutoff';

/** The stages that `sampler()` has options for, by name, in the order of transformers. */
export const stages: Readonly<Record<StageName, LogitStage>> = Object.freeze({
  logitBias,
  repetitionPenalty,
  occurrencePenalties,
  noRepeatNgram,
  badWords,
  allowedTokens,
  temperature,
  topK,
  topP,
  minP,
  typical,
  epsilonCutoff,
  etaCutoff,
});

/** All of them in their order: what an engine has unless it is given others. */
export const standardStages: readonly LogitStage[] = Object.freeze(Object.values(stages));
