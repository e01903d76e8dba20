import { fileURLToPath } from 'node:url';
import { answerFormats, loadModel, openEngine, textModel } from '@heddle/llm';
import { createServer, type HeddleServer } from '@heddle/llm/serve';
import { openDevice } from '@heddle/tensor';

/** A server of the model that comes with the repository, with what has to end with it. */
export interface ProseServer {
  readonly app: HeddleServer;
  /** Requests that run and wait, and steps in flight. */
  busy(): number;
  /** Bytes on the device. */
  liveBytes(): number;
  /** Blocks of the cache that sequences hold. */
  heldBlocks(): number;
  dispose(): Promise<void>;
}

/** A model that may think before it answers, as if it had learned to, and one that always does. */
export async function proseServer(): Promise<ProseServer> {
  const device = await openDevice('onnx').catch(() => openDevice('reference'));
  const folder = fileURLToPath(new URL('../examples/models/prose4m', import.meta.url));
  const loaded = await loadModel(folder, { device });
  const engine = openEngine(loaded, { maxSequences: 8, maxSequenceTokens: 480 });
  const worker = new URL('../packages/llm/src/grammar/testing/start-worker.js', import.meta.url);
  const answers = { ...answerFormats.hermes, reasons: () => true };
  const grammars = { worker, milliseconds: 60_000 };
  const model = textModel(loaded, engine, { answers, grammars });
  const thinker = textModel(loaded, engine, { answers: { ...answers, opensReasoning: () => true }, grammars });
  return {
    app: createServer({ prose: model, thinker }),
    busy: () => {
      const { running, waiting, stepsInFlight } = engine.stats();
      return running + waiting + stepsInFlight;
    },
    liveBytes: () => device.memory().live,
    heldBlocks: () => engine.stats().cache.blocksUsed,
    dispose: async () => {
      await engine.dispose();
      await Promise.all([model.dispose(), thinker.dispose()]);
      await loaded.dispose();
      await device.dispose();
    },
  };
}

/** `fetch` that asks an app without a network. */
export function fetchOf(app: HeddleServer): typeof fetch {
  return async (input, init) => app.request(input instanceof Request ? input : String(input), init);
}
