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
  return {
    specifier: '@heddle/tensor/safetensors',
    functions: {
      // the names of tensors, and of texts about them, are the caller's; a file that is none is named in its format
      loadTensors: {
        args: [device, blob, { like: { w: x }, dtype: 'f16' }],
        taken: ['1:text', '2.like:misspelt', '2.like.w:foreign'],
      },
      openSource: { args: [bytes], taken: ['0:text'] },
      openSafetensors: { args: [bytes], taken: ['0:text'] },
      openShardedSafetensors: { args: [index, () => bytes, 'model'], taken: ['0:text', '1:function'] },
      safetensorsTo: ['f16', 'F32', Uint8Array.of(0, 0, 0, 0)],
      safetensorsToF32: ['F32', Uint8Array.of(0, 0, 0, 0)],
      safetensorsChunks: {
        args: [{ w: { dtype: 'F32', shape: [2], read: () => Float32Array.of(1, 2) } }, { a: 'b' }],
        taken: ['0:[]', '0:misspelt', '0.w:misspelt', '1:misspelt'],
      },
      writeSafetensors: {
        args: [{ w: entry }, { a: 'b' }],
        taken: ['0:[]', '0:misspelt', '0.w:misspelt', '1:misspelt'],
      },
      saveTensors: {
        args: [`${folder}/saved.safetensors`, { w: x }, { metadata: { a: 'b' }, maxShardBytes: 1e6 }],
        taken: ['0:[]', '1:[]', '1.w:{}', '1.w:[]', '0.w:{}', '0.w:[]', '1.metadata:misspelt', '2.metadata:misspelt'],
      },
      tensorsToBlob: {
        args: [{ w: x }, { metadata: { a: 'b' } }],
        taken: ['0:[]', '1:[]', '1.w:{}', '1.w:[]', '0.w:{}', '0.w:[]', '1.metadata:misspelt', '2.metadata:misspelt'],
      },
    },
    objects: [
      {
        of: 'SafetensorsFile',
        on: async () => (await import('@heddle/tensor/safetensors')).openSafetensors(bytes),
        methods: {
          has: { args: ['w'], taken: ['0:*'] },
          info: { args: ['w'], named: 'safetensors' },
          names: [],
          read: {
            args: ['w', { offset: 0, length: 4 }],
            named: 'safetensors',
            taken: ['1:misspelt', '1:null', '1.offset:*', '1.length:*'],
          },
          close: [],
        },
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
      readNpy: { args: [writeNpy(array)], taken: ['0:text'] },
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
