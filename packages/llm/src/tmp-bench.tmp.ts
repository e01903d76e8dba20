import { openOnnx } from '@heddle/tensor/onnx';
import * as ort from 'onnxruntime-node';
import { openEngine } from './engine/default-engine.ts';
import { loadModel } from './load-model.ts';

let sess = 0,
  n = 0,
  last: any,
  lastFeeds: any;
const wrap = (s: any) => ({
  inputNames: s.inputNames,
  async run(f: any) {
    last = s;
    lastFeeds = f;
    const t = performance.now();
    const r = await s.run(f);
    sess += performance.now() - t;
    n++;
    return r;
  },
  release: () => s.release(),
});
const runtime: any = {
  ...ort,
  InferenceSession: {
    create: async (m: any, o: any) => {
      (globalThis as any).model = m;
      return wrap(
        await (ort.InferenceSession as any).create(m, {
          ...o,
          ...(process.argv[2] ? JSON.parse(process.argv[2]) : {}),
        }),
      );
    },
  },
};
for (const threads of [1]) {
  const device = await openOnnx({ threads, runtime });
  const model = await loadModel('/work/shared/models/stories260K', { device } as never);
  const engine = openEngine(model, { maxSequences: 1, maxSequenceTokens: 256 });
  await engine.prepare(5);
  const speeds: string[] = [];
  for (let run = 0; run < 8; run++) {
    let first = 0;
    sess = 0;
    n = 0;
    for await (const t of engine.generate({ tokens: [1, 403, 407, 261, 378], maxTokens: 240 } as never)) {
      if (!first) {
        first = performance.now();
        sess = 0;
        n = 0;
      }
    }
    const us = ((performance.now() - first) / 239) * 1000;
    speeds.push(`${us.toFixed(0)}us/tok of which session ${((sess / n) * 1000).toFixed(0)}`);
  }
  console.log(threads, speeds.join('\n'));
  const f = { ...lastFeeds };
  console.log(
    'inputs',
    Object.entries(f)
      .map(([k, v]: any) => k + ':' + v.type + '[' + v.dims + ']')
      .join(' '),
    'outputs',
    last.outputNames.length,
  );
  for (let k = 0; k < 3; k++) {
    const t = performance.now();
    for (let i = 0; i < 500; i++) await last.run(f);
    console.log('bare', (((performance.now() - t) / 500) * 1000).toFixed(0), 'us');
  }
  await engine.dispose();
  await model.dispose();
  await device.dispose();
}
