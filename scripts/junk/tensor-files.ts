import type { Device } from '@heddle/tensor';
import { npyOfTensor, writeNpy } from '@heddle/tensor/npy';
import { quantize } from '@heddle/tensor/quantized';
import { tensorsToBlob, writeSafetensors } from '@heddle/tensor/safetensors';
import type { CallsOf } from './valid-call.ts';

const entry = { dtype: 'F32', shape: [2], data: Float32Array.of(1, 2) } as const;

/** What is called of `@heddle/tensor/safetensors`. */
export async function safetensorsCalls(device: Device, folder: string): Promise<CallsOf> {
  const x = device.tensor([1, 2]);
  const blob = await tensorsToBlob({ w: x });
  const bytes = writeSafetensors({ w: entry });
  const index = JSON.stringify({ weight_map: { w: 'a.safetensors' } });
  const words = ['1.metadata:misspelt', '1.metadata.a:text'];
  return {
    specifier: '@heddle/tensor/safetensors',
    functions: {
      loadTensors: [device, blob, { like: { w: x }, dtype: 'f16' }],
      openSource: [bytes],
      openSafetensors: [bytes],
      openShardedSafetensors: [index, () => bytes, 'model'],
      safetensorsTo: ['f16', 'F32', Uint8Array.of(0, 0, 0, 0)],
      safetensorsToF32: ['F32', Uint8Array.of(0, 0, 0, 0)],
      safetensorsChunks: {
        args: [{ w: { dtype: 'F32', shape: [2], read: () => Float32Array.of(1, 2) } }, { a: 'b' }],
      },
      writeSafetensors: [{ w: entry }, { a: 'b' }],
      saveTensors: {
        args: [`${folder}/saved.safetensors`, { w: x }, { metadata: { a: 'b' }, maxShardBytes: 1e6 }],
        taken: words,
      },
      tensorsToBlob: { args: [{ w: x }, { metadata: { a: 'b' } }], taken: words },
    },
    objects: [
      {
        of: 'SafetensorsFile',
        on: async () => (await import('@heddle/tensor/safetensors')).openSafetensors(bytes),
        methods: { has: ['w'], info: ['w'], names: [], read: ['w', { offset: 0, length: 4 }], close: [] },
      },
    ],
  };
}

/** What is called of `@heddle/tensor/npy`. */
export async function npyCalls(device: Device): Promise<CallsOf> {
  const x = device.tensor([1, 2]);
  const array = await npyOfTensor(x);
  return {
    specifier: '@heddle/tensor/npy',
    functions: {
      npyOfTensor: [x],
      readNpy: [writeNpy(array)],
      tensorOfNpy: [device, { ...array }],
      writeNpy: [{ ...array }],
    },
  };
}

/** What is called of `@heddle/tensor/quantized`. */
export function quantizedCalls(): CallsOf {
  const values = new Float32Array(32);
  const blocks = quantize(values, 'q8_0');
  return {
    specifier: '@heddle/tensor/quantized',
    functions: {
      decodeBlocks: ['Q8_0', blocks, [1, 32]],
      importBlocks: ['Q8_0', blocks, [1, 32]],
      quantize: [new Uint16Array(32), 'q8_0', 'bf16'],
    },
    leftOut: { isBlockType: 'answers what anything is' },
  };
}
