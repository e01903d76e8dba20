import type { Answer, NumberedPart } from './answers.ts';
import type { Fault } from './fault.ts';
import type { ServedRequest } from './models/served-model.ts';
import type { FieldNames } from './named-fields.ts';

/** What an endpoint makes of a body: generations to run, and how their answers are written. */
export interface Job {
  readonly model: string;
  readonly requests: readonly ServedRequest[];
  readonly stream: boolean;
  /** What the body calls what the library may refuse. */
  readonly names: FieldNames;
  /** The body of a whole response. */
  whole(answers: readonly Answer[]): object;
  /** The events of a streamed one. */
  events(parts: AsyncIterable<NumberedPart>): AsyncGenerator<string, undefined>;
  /** The event of a failure in the middle of a stream. */
  failed(fault: Fault): string;
}
