/** Estimates, from when requests finish, how long a number of them will take. */
export interface FinishRate {
  finished(now: number): void;
  /** Milliseconds, rounded up, for `count` requests to finish; a second where nothing is known yet. */
  timeFor(count: number): number;
}

const UNKNOWN_MS = 1000;
/** Weight of the newest interval: about the last twenty requests count. */
const SMOOTHING = 0.1;

export function finishRate(): FinishRate {
  let last: number | undefined;
  let intervalMs: number | undefined;
  return {
    finished(now) {
      if (last !== undefined) intervalMs = (intervalMs ?? now - last) * (1 - SMOOTHING) + (now - last) * SMOOTHING;
      last = now;
    },
    timeFor: (count) =>
      intervalMs === undefined ? UNKNOWN_MS : Math.max(1, Math.ceil(intervalMs * Math.max(1, count))),
  };
}
