import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Plugin } from 'vite';

const folder = new URL('./onnx-web/', import.meta.url);
const module = 'onnxruntime-web/wasm';

/** Whether `npm ci --prefix test-support/onnx-web` was run. */
export const onnxWebInstalled: boolean = existsSync(new URL('node_modules/onnxruntime-web', folder));

/** What a test without it says. */
export const onnxWebMissing = 'npm ci --prefix test-support/onnx-web installs ONNX Runtime for browsers';

/** `onnxruntime-web`, 150 MB that a clone does without, is found in test-support/onnx-web. */
export function onnxWeb(): Plugin {
  return {
    name: 'heddle:onnx-web',
    enforce: 'pre',
    resolveId(source, _importer, options) {
      if (source !== module) return null;
      if (!onnxWebInstalled) return { id: source, external: true };
      return this.resolve(source, fileURLToPath(new URL('package.json', folder)), { ...options, skipSelf: true });
    },
  };
}
