import { expect, test } from 'vitest';
import { DeviceHealth } from '../health.ts';
import { Staging } from './staging.ts';

/** A queue and buffers in memory of the host; `done` ends the work that was submitted. */
function fakeDevice() {
  type Fake = { memory: Uint8Array; mapped: boolean };
  const waiting: (() => void)[] = [];
  const counts = { made: 0, writes: 0, submits: 0 };
  const device = {
    lost: new Promise(() => {}),
    addEventListener: () => {},
    createBuffer: ({ size }: { size: number }) => {
      counts.made++;
      const fake: Fake = { memory: new Uint8Array(size), mapped: true };
      return Object.assign(fake, {
        getMappedRange: () => fake.memory.buffer,
        unmap: () => {
          fake.mapped = false;
        },
        mapAsync: () =>
          new Promise<void>((resolve) =>
            waiting.push(() => {
              fake.mapped = true;
              resolve();
            }),
          ),
        destroy: () => {},
      });
    },
    createCommandEncoder: () => {
      const copies: (() => void)[] = [];
      return {
        copyBufferToBuffer: (from: Fake, start: number, to: Fake, at: number, size: number) => {
          expect(from.mapped).toBe(false);
          copies.push(() => to.memory.set(from.memory.subarray(start, start + size), at));
        },
        finish: () => copies,
      };
    },
    queue: {
      submit: (commands: (() => void)[][]) => {
        counts.submits++;
        for (const copy of commands.flat()) copy();
      },
      writeBuffer: (to: Fake, at: number, bytes: Uint8Array) => {
        counts.writes++;
        to.memory.set(bytes, at);
      },
    },
  };
  const done = async () => {
    for (const resolve of waiting.splice(0)) resolve();
    await Promise.resolve();
    await Promise.resolve();
  };
  return { device: device as unknown as GPUDevice, counts, done };
}

test('pieces are used again, and what finds none free goes through the queue', async () => {
  const { device, counts, done } = fakeDevice();
  const staging = new Staging(device, new DeviceHealth(device, true), 8, 2);
  const memory = new Uint8Array(40);
  const target = { memory, mapped: false } as unknown as GPUBuffer;
  const bytes = (from: number, length: number) => Uint8Array.from({ length }, (_, i) => from + i);
  staging.write(target, 4, [bytes(1, 4), bytes(5, 8)]); // 8 in one piece, 4 in another
  expect([...memory.subarray(0, 20)]).toEqual([0, 0, 0, 0, ...bytes(1, 12), 0, 0, 0, 0]);
  expect(counts).toEqual({ made: 2, writes: 0, submits: 1 });
  staging.write(target, 16, [bytes(20, 4)]); // both are being copied from
  expect([...memory.subarray(16, 24)]).toEqual([20, 21, 22, 23, 0, 0, 0, 0]);
  expect(counts).toEqual({ made: 2, writes: 1, submits: 1 });
  await done();
  staging.write(target, 16, [bytes(30, 20), bytes(60, 4)]); // 16 in the pieces, the rest behind
  expect([...memory.subarray(16)]).toEqual([...bytes(30, 20), ...bytes(60, 4)]);
  expect(counts).toEqual({ made: 2, writes: 3, submits: 2 });
  expect(staging.pooled).toBe(16);
  await done();
  staging.dispose();
  expect(staging.pooled).toBe(0);
});
