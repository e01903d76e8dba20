import type { Device } from '@heddle/tensor';
import { afterAll, beforeEach, describe, inject, test } from 'vitest';
import { open } from '#backend';

const opened = await open();

/** Name of the back end that this run of the file is on: reference, onnx, webgpu-node or webgpu-browser. */
export const backendName: string = inject('backend');

/** Leaves a test to Node, where the same kernels run on the same software GPU: for those that compile the most of them. */
export function leaveToNode(context: { skip(reason: string): never }): void {
  if (backendName === 'webgpu-browser') context.skip('the same kernels are tested on the same software GPU in Node');
}

/**
 * Runs `body` against the project's back end. Where that does not open, every test in it is skipped with the reason,
 * or fails with it if the back end is required. The device belongs to the file: it is disposed after its last test.
 */
export function conformance(title: string, body: (device: () => Device) => void): void {
  describe(title, () => {
    beforeEach((context) => {
      if (opened.missing === undefined) return;
      if (inject('required')) throw new Error(`required back end did not open: ${opened.missing}`);
      context.skip(opened.missing);
    });
    body(() => {
      if (!opened.device) throw new Error(opened.missing);
      return opened.device;
    });
  });
}

afterAll(() => opened.device?.dispose());

export { test };
