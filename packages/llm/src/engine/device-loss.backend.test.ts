import { isHeddleError } from '@heddle/tensor';
import { expect } from 'vitest';
import { onWebGpu, openOwnWebGpu, requestGpuDevice } from '../../../../test-support/own-webgpu.ts';
import { test } from '../../../../test-support/suite.ts';
import { tinyLlama } from '../../../../test-support/tiny-llama.ts';
import { loadModel, openEngine } from '../index.ts';

onWebGpu('a device that is lost while tokens flow', () => {
  test.each([1, 2])(
    'ends every request with a typed error, %i steps in flight, and the engine says so',
    async (stepsInFlight) => {
      const raw = await requestGpuDevice();
      const lost = await openOwnWebGpu({ device: raw });
      const model = await loadModel(tinyLlama(), { device: lost });
      const engine = openEngine(model, { maxSequences: 2, stepsInFlight });
      const request = { tokens: [1, 2, 3], maxTokens: 24 };
      // two run, the third waits for its turn
      const streams = [engine.generate(request), engine.generate(request), engine.generate(request)];
      for (let token = 0; token < 3; token++) await streams[0]!.next();
      raw.destroy();
      for (const stream of streams) {
        const failure = (async () => {
          for await (const _ of stream);
        })();
        await expect(failure).rejects.toMatchObject({ code: 'ERR_DEVICE_LOST' });
        expect(await stream.ended).toMatchObject({ reason: 'error' });
      }
      let thrown: unknown;
      try {
        engine.generate(request);
      } catch (error) {
        thrown = error;
      }
      expect(isHeddleError(thrown, 'ERR_DEVICE_LOST')).toBe(true);
      await engine.dispose();
      await model.dispose();
      await lost.dispose();
    },
  );
});
