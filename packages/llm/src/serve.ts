export { adapterModel } from './serve/adapter-model.ts';
export type { AdmissionOptions } from './serve/admission.ts';
export type { Fault } from './serve/fault.ts';
export type { GuardOptions } from './serve/guard.ts';
export { localEmbeddingModel, localRankingModel } from './serve/local-embedding.ts';
export { localModel } from './serve/local-model.ts';
export { type PromptNormalizer, standardNormalizers, withoutLines } from './serve/normalizers.ts';
export {
  type ModelShelf,
  type OnDemandOptions,
  type OnDemandSource,
  onDemand,
  type ShelvedModel,
} from './serve/on-demand.ts';
export { type PageFile, type PageFiles, readPage } from './serve/page.ts';
export type {
  Embedded,
  EmbedRequest,
  ModelKind,
  Ranked,
  RankRequest,
  ServedModel,
  ServedPart,
  ServedRequest,
  ServedStats,
  ServedText,
  SpelledToken,
} from './serve/served-model.ts';
export { createServer, type HeddleServer } from './serve/server.ts';
export type { LogEntry, ServerOptions } from './serve/server-options.ts';
export type { WorkerEvents, WorkerModelOptions } from './serve/worker-messages.ts';
export { type WorkerModel, workerModel } from './serve/worker-model.ts';
