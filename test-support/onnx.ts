import { type OnnxOptions, openOnnx } from '@heddle/tensor/onnx';
import { afterEach, beforeEach, describe } from 'vitest';
import { OnnxExecutor } from '../packages/tensor/src/executors/onnx/executor.ts';
import type { Device } from '../packages/tensor/src/graph/device.ts';
import { attempt } from './backend.ts';

const required = process.env['REQUIRE_BACKENDS']?.split(',').includes('onnx') ?? false;

/** A device of ONNX Runtime with its executor. */
export interface OnnxDevice {
  readonly device: Device;
  readonly executor: OnnxExecutor;
}

/**
 * Tests of what only the ONNX executor has. `open` gives a device that is disposed after the test; where ONNX Runtime does
 * not load, the tests are skipped with the reason, or fail where it is required.
 */
export function onnxOnly(title: string, body: (open: (options?: OnnxOptions) => Promise<OnnxDevice>) => void): void {
  describe(title, () => {
    let opened: Device[] = [];
    beforeEach(async (context) => {
      const { device, missing } = await attempt('onnx', () => openOnnx({ threads: 1 }));
      if (device) return device.dispose();
      if (required) throw new Error(`required back end did not open: ${missing}`);
      context.skip(missing);
    });
    afterEach(async () => {
      for (const device of opened) await device.dispose();
      opened = [];
    });
    body(async (options = {}) => {
      const device = await openOnnx({ threads: 1, ...options });
      opened.push(device);
      if (!(device.executor instanceof OnnxExecutor)) throw new Error('openOnnx opened another executor');
      return { device, executor: device.executor };
    });
  });
}
