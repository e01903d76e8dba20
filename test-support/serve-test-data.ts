import { createReadStream, statSync } from 'node:fs';
import { resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Connect, Plugin } from 'vite';

/**
 * Serves files to browser tests, with a plain 404 for what is not there: those of `../shared` under `/shared/`, the models of
 * this repository under `/models/`, its tiny checkpoints under `/checkpoints/`.
 */
export function serveTestData(): Plugin {
  return {
    name: 'heddle:serve-test-data',
    configureServer(server) {
      server.middlewares.use('/shared/', filesOf(new URL('../../shared', import.meta.url)));
      server.middlewares.use('/checkpoints/', filesOf(new URL('./checkpoints', import.meta.url)));
      server.middlewares.use('/models/', filesOf(new URL('../examples/models', import.meta.url)));
    },
  };
}

function filesOf(folder: URL): Connect.NextHandleFunction {
  const root = fileURLToPath(folder);
  return (request, response) => {
    const path = resolve(root, `.${decodeURIComponent(new URL(request.url ?? '/', 'http://localhost').pathname)}`);
    const file = path.startsWith(root + sep) ? statSync(path, { throwIfNoEntry: false }) : undefined;
    if (!file?.isFile()) {
      response.writeHead(404).end();
      return;
    }
    response.writeHead(200, { 'content-type': 'application/octet-stream', 'content-length': file.size });
    createReadStream(path).pipe(response);
  };
}
