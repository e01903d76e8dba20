import { describe, expect, test } from 'vitest';
import { needShared, needSharedJson, readShared } from './shared.ts';

describe('files beside the repository', () => {
  const folder = 'models/stories260K';

  test('are read whole', async (context) => {
    const bytes = await needShared(context, `${folder}/model.safetensors`);
    const header = Number(new DataView(bytes.buffer).getBigUint64(0, true));
    expect(JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + header)))).toHaveProperty('__metadata__');
    expect(await needSharedJson(context, `${folder}/config.json`)).toHaveProperty('model_type', 'llama');
  });

  test('are undefined where they are missing', async () => {
    expect(await readShared('models/no-such-model/config.json')).toBeUndefined();
  });
});
