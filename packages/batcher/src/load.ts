export type { Random } from './load/random.ts';
export { seededRandom } from './load/random.ts';
export type { LoadReport, ServiceLevel, Spread } from './load/report.ts';
export { formatReport, LoadRecorder } from './load/report.ts';
export type { RunLoadOptions } from './load/run.ts';
export { runLoad } from './load/run.ts';
export type { LoadSequence, SimulateOptions } from './load/simulate.ts';
export { simulate } from './load/simulate.ts';
export { staticBatches } from './load/static-batches.ts';
export type { Arrivals, Distribution, LoadRequest, WorkloadOptions } from './load/workload.ts';
export {
  allAtOnce,
  bursty,
  closedLoop,
  empirical,
  fixed,
  logNormal,
  poisson,
  uniform,
  workload,
} from './load/workload.ts';
