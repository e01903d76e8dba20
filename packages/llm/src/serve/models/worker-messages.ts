import type { OpenTextModelOptions } from '../../text/text-model.ts';
import type { Fault } from '../fault.ts';
import type {
  Embedded,
  EmbedRequest,
  ModelKind,
  Ranked,
  RankRequest,
  ServedPart,
  ServedRequest,
  ServedStats,
  ServedText,
} from './served-model.ts';

/** What is told of a process that ended. */
export interface WorkerEvents {
  /** A process that had been ready ended, and another is started. */
  readonly onRestart?: (error: unknown) => void;
  /** What a cache in a folder could not do: a disk that is full, a file that is damaged. */
  readonly onNote?: (note: string) => void;
  /** The process's module, for bundlers that put it elsewhere, and for tests. */
  readonly worker?: URL;
}

/** What a worker opens: data, and a module for what is none. */
export interface WorkerModelOptions extends Pick<OpenTextModelOptions, 'dtype' | 'activations'> {
  /** What the model does: generate text, embed texts or rank documents. Default 'text'. */
  readonly kind?: ModelKind;
  readonly device?: Extract<OpenTextModelOptions['device'], string>;
  readonly maxSequences?: number;
  readonly maxSequenceTokens?: number;
  readonly maxBatchTokens?: number;
  readonly cacheBytes?: number;
  readonly stepsInFlight?: number;
  /** Whether keys share the device equally, whatever each asks for. */
  readonly fairShare?: boolean;
  /** Folders of adapters in PEFT's format by the names that requests have (`adapterModel`). */
  readonly adapters?: Readonly<Record<string, string>>;
  /**
   * A folder that keeps what prompts begin with, so that it need not be computed again after a restart. Several models and processes
   * may share one; it holds nothing that another model would take for its own.
   */
  readonly cacheFolder?: string;
  /** Bytes that it may take. Default without bound. */
  readonly cacheFolderBytes?: number;
  /**
   * A module whose default export gives further options of `openTextModel`: an attention, a cache, a scheduler, stages, `answers` of
   * one's own.
   */
  readonly components?: string;
}

/** What a worker is started with. */
export interface WorkerStart {
  readonly source: string;
  readonly options: WorkerModelOptions;
}

/** To the worker. */
export type ToWorker =
  | { readonly kind: 'generate'; readonly id: number; readonly request: ServedRequest }
  | { readonly kind: 'abort'; readonly id: number }
  | { readonly kind: 'tokens'; readonly id: number; readonly of: ServedText }
  | { readonly kind: 'text'; readonly id: number; readonly tokens: readonly number[] }
  | { readonly kind: 'embed'; readonly id: number; readonly request: EmbedRequest }
  | { readonly kind: 'rank'; readonly id: number; readonly request: RankRequest }
  | { readonly kind: 'stats'; readonly id: number }
  | { readonly kind: 'stop' };

/** From the worker. */
export type FromWorker =
  /** The model could not be opened; then the worker ends. */
  | {
      readonly kind: 'failed';
      readonly error: unknown;
      readonly message: string;
      /** Of an error of Heddle's. */
      readonly code?: string;
    }
  | {
      readonly kind: 'ready';
      readonly maxSequenceTokens: number;
      readonly notes: readonly string[];
      /** What it takes of its device. */
      readonly memoryBytes: number;
    }
  | { readonly kind: 'note'; readonly note: string }
  | { readonly kind: 'parts'; readonly of: readonly (readonly [id: number, parts: readonly ServedPart[]])[] }
  | { readonly kind: 'end'; readonly id: number }
  | {
      readonly kind: 'value';
      readonly id: number;
      readonly value: readonly number[] | string | ServedStats | Embedded | Ranked;
    }
  | { readonly kind: 'fault'; readonly id: number; readonly fault: Fault; readonly error: string };
