import type { AdmissionOptions } from './admission.ts';
import type { GuardOptions } from './guard.ts';
import type { PromptNormalizer } from './models/normalizers.ts';
import type { PageFiles } from './page.ts';

/** How a server answers. */
export interface ServerOptions extends GuardOptions, AdmissionOptions {
  /** How long a request may take, in milliseconds. Default 10 minutes. */
  readonly requestTimeoutMs?: number;
  /** How long a client may take to read what was sent, in milliseconds. Default a minute. */
  readonly stallTimeoutMs?: number;
  /** What is done to the messages of every request first, in order. Default `standardNormalizers`. */
  readonly normalizers?: readonly PromptNormalizer[];
  /** The chat page at `/`, as `readPage()` gives it. Default none. */
  readonly page?: PageFiles;
  /** Told of every response; it holds nothing of prompts and answers. */
  readonly log?: (entry: LogEntry) => void;
}

/** What there is to say of a request. */
export interface LogEntry {
  readonly time: string;
  readonly requestId: string;
  readonly method: string;
  readonly path: string;
  readonly status: number;
  readonly ms: number;
  readonly model?: string;
  /** Why it failed, where that is not the client's doing. */
  readonly error?: string;
}
