import { cast, where } from '@heddle/tensor';
import type { LogitStage } from './logit-stage.ts';

export const repetitionPenalty: LogitStage = {
  name: 'repetition penalty',
  parameters: { repetitionPenalty: 1 },
  needs: ['counts'],
  record(logits, { parameters: { repetitionPenalty: penalty }, occurred }) {
    const lowered = where(logits.less(0), logits.mul(penalty!), logits.div(penalty!));
    return where(occurred, lowered, logits);
  },
};

/** Presence and frequency: what was generated, once and for each time. */
export const occurrencePenalties: LogitStage = {
  name: 'occurrence penalties',
  parameters: { presencePenalty: 0, frequencyPenalty: 0 },
  needs: ['counts'],
  record(logits, { parameters: { presencePenalty: presence, frequencyPenalty: frequency }, generated }) {
    const count = cast(generated, 'f32');
    return logits.sub(presence!.mul(count.minimum(1))).sub(frequency!.mul(count));
  },
};
