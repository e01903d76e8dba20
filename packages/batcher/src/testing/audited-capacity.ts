import { checkArgument, having, number } from '../checks.ts';
import type { Capacity } from '../scheduling/capacity.ts';
import type { SequenceRequest } from '../scheduling/scheduler.ts';
import { must } from './audit-error.ts';

/** A capacity whose rules are checked, with what it knows of who is open. */
export interface AuditedCapacity<R extends SequenceRequest = SequenceRequest> extends Capacity<R> {
  /** Tokens reserved by open sequences, by id. */
  readonly open: ReadonlyMap<string, number>;
  /** Requests that were answered 'pending', and neither opened nor withdrawn since, by id. */
  readonly pending: ReadonlySet<string>;
}

/**
 * The same capacity, with every call checked: opened before it is grown or closed, closed once, withdrawn only while
 * pending, never asked for more than a request needs.
 *
 * @throws BatcherError ERR_ARGUMENT; its calls AuditError naming the rule that was broken
 */
export function auditedCapacity<R extends SequenceRequest>(capacity: Capacity<R>): AuditedCapacity<R> {
  checkArgument('auditedCapacity', 'capacity', capacity, having('admit', 'reserve', 'release'));
  checkArgument('auditedCapacity', 'capacity.maxSequenceTokens', capacity.maxSequenceTokens, number);
  const open = new Map<string, number>();
  const pending = new Set<string>();
  const roomOf = ({ promptTokens, maxTokens }: R) => promptTokens + Math.max(1, maxTokens) - 1;
  return {
    open,
    pending,
    maxSequenceTokens: capacity.maxSequenceTokens,
    admit(request, tokens, length, parent) {
      must(!open.has(request.id), 'a sequence is opened once', request.id);
      must(length >= request.promptTokens && tokens >= length, 'room is asked for what is known', { tokens, length });
      must(tokens <= roomOf(request), `'${request.id}' needs room for ${roomOf(request)} tokens`, tokens);
      must(parent === undefined || open.has(parent.id), 'a parent is open', parent?.id);
      const found = capacity.admit(request, tokens, length, parent);
      if (typeof found === 'number') {
        must(Number.isInteger(found) && found >= 0 && found <= length, 'cached tokens are among the known', found);
        open.set(request.id, tokens);
        pending.delete(request.id);
      } else if (found === 'pending') pending.add(request.id);
      return found;
    },
    reserve(request, tokens) {
      must(open.has(request.id), 'only an open sequence grows', request.id);
      must(tokens <= roomOf(request), `'${request.id}' needs room for ${roomOf(request)} tokens`, tokens);
      const granted = capacity.reserve(request, tokens);
      if (granted) open.set(request.id, Math.max(tokens, open.get(request.id)!));
      return granted;
    },
    release(request, why) {
      must(open.delete(request.id), 'only an open sequence is closed', request.id);
      capacity.release(request, why);
    },
    withdraw(request) {
      must(pending.delete(request.id), 'only a pending request is withdrawn', request.id);
      capacity.withdraw?.(request);
    },
    ...(capacity.cachedTokens && { cachedTokens: (request: R) => capacity.cachedTokens!(request) }),
  };
}
