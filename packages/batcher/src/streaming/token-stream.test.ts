import { afterEach, describe, expect, it, vi } from 'vitest';
import { nextTurn } from './next-turn.ts';
import { BufferedTokenStream } from './token-stream.ts';

function make(highWaterMark = 4) {
  const calls: string[] = [];
  const controls = {
    pause: () => calls.push('pause'),
    resume: () => calls.push('resume'),
    abort: () => calls.push('abort'),
  };
  return { stream: new BufferedTokenStream('a', highWaterMark, controls), calls };
}

const done = { done: true, value: undefined };

describe('a token stream', () => {
  it('gives waiting readers their tokens in order', async () => {
    const { stream, calls } = make(1);
    const reads = [stream.next(), stream.next(), stream.next()];
    stream.push(1);
    stream.push(2);
    stream.end({ reason: 'stop', newTokens: 2 });
    expect(await Promise.all(reads)).toEqual([{ done: false, value: 1 }, { done: false, value: 2 }, done]);
    expect(calls).toEqual([]);
  });

  it('asks for a pause at the high-water mark, and to go on at half of it', async () => {
    const { stream, calls } = make(4);
    for (const token of [1, 2, 3]) stream.push(token);
    expect(calls).toEqual([]);
    stream.push(4);
    expect(calls).toEqual(['pause']);
    stream.push(5);
    expect(calls).toEqual(['pause']);
    for (const token of [1, 2]) expect(await stream.next()).toEqual({ done: false, value: token });
    expect(calls).toEqual(['pause']);
    await stream.next();
    expect(calls).toEqual(['pause', 'resume']);
  });

  it('hands out what was generated before it tells of the end', async () => {
    const { stream } = make();
    stream.push(7);
    stream.end({ reason: 'error', newTokens: 1, error: new Error('broken') });
    expect(await stream.next()).toEqual({ done: false, value: 7 });
    await expect(stream.next()).rejects.toThrow('broken');
    expect(await stream.next()).toEqual(done);
    expect(await stream.ended).toMatchObject({ reason: 'error', newTokens: 1 });
  });

  it('is cut for its reader at once, once, and aborts its request', async () => {
    const { stream, calls } = make();
    stream.push(7);
    stream.cut(new Error('gone'));
    stream.cut(new Error('again'));
    stream.push(8);
    await expect(stream.next()).rejects.toThrow('gone');
    expect(await stream.next()).toEqual(done);
    expect(calls).toEqual(['abort']);
    stream.end({ reason: 'aborted', newTokens: 2 });
    expect(await stream.ended).toEqual({ reason: 'aborted', newTokens: 2 });
  });

  it('rejects a waiting reader when it is cut', async () => {
    const { stream } = make();
    const read = stream.next();
    stream.cut('gone');
    await expect(read).rejects.toBe('gone');
    expect(await stream.next()).toEqual(done);
  });

  it('may be left twice, and after its end, without aborting anything then', async () => {
    const { stream, calls } = make();
    expect(await stream.return()).toEqual(done);
    expect(await stream.return()).toEqual(done);
    expect(calls).toEqual(['abort']);
    const ended = make();
    ended.stream.end({ reason: 'length', newTokens: 0 });
    await ended.stream.return();
    expect(ended.calls).toEqual([]);
  });
});

describe('the next turn', () => {
  afterEach(() => {
    vi.unstubAllGlobals();
  });

  it('comes after timers that are due, with setImmediate and without', async () => {
    for (const setImmediate of [globalThis.setImmediate, undefined]) {
      vi.stubGlobal('setImmediate', setImmediate);
      let fired = false;
      setTimeout(() => {
        fired = true;
      }, 0);
      for (let turns = 0; turns < 10_000 && !fired; turns++) await nextTurn();
      expect(fired).toBe(true);
    }
  });
});
