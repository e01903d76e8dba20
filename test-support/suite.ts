import type { Device } from '@heddle/tensor';
import { afterAll, beforeAll, beforeEach, describe, inject, test } from 'vitest';
import { open } from '#backend';
import type { Opened } from './backend.ts';

/** The back end of the file that is tested; files of one process come one after the other. */
let opening: Promise<Opened> | undefined;
let opened: Opened | undefined;
/** Blocks of the file that are still to be tested. */
let blocks = 0;

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
    blocks++;
    beforeAll(async () => {
      opening ??= open();
      opened = await opening;
    });
    afterAll(async () => {
      if (--blocks > 0) return;
      const last = opened?.device;
      opening = opened = undefined;
      await last?.dispose();
    });
    beforeEach((context) => {
      const missing = opened?.missing;
      if (missing === undefined) return;
      if (inject('required')) throw new Error(`required back end did not open: ${missing}`);
      context.skip(missing);
    });
    body(() => {
      if (!opened?.device) throw new Error(opened?.missing ?? 'a device is there while tests run, not before');
      return opened.device;
    });
  });
}

export { test };
