export type { AdmissionOptions } from './serve/admission.ts';
export type { Fault } from './serve/fault.ts';
export type { GuardOptions } from './serve/guard.ts';
export { adapterModel } from './serve/models/adapter-model.ts';
export { localEmbeddingModel, localRankingModel } from './serve/models/local-embedding.ts';
export { localModel } from './serve/models/local-model.ts';
export { type PromptNormalizer, standardNormalizers, withoutLines } from './serve/models/normalizers.ts';
export {
  type ModelShelf,
  type OnDemandOptions,
  type OnDemandSource,
  onDemand,
  type ShelvedModel,
} from './serve/models/on-demand.ts';
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
} from './serve/models/served-model.ts';
export type { WorkerEvents, WorkerModelOptions } from './serve/models/worker-messages.ts';
export { type WorkerModel, workerModel } from './serve/models/worker-model.ts';
export { type PageFile, type PageFiles, readPage } from './serve/page.ts';
export { createServer } from './serve/server.ts';
export type { HeddleServer } from './serve/server-of.ts';
export type { LogEntry, ServerOptions } from './serve/server-options.ts';
