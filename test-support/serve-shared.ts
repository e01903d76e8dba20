import { createReadStream, statSync } from 'node:fs';
import { resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Plugin } from 'vite';

/** Serves the files of `../shared` to browser tests under `/shared/`, with a plain 404 for what is not there. */
export function serveShared(): Plugin {
  const root = fileURLToPath(new URL('../../shared', import.meta.url));
  return {
    name: 'heddle:serve-shared',
    configureServer(server) {
      server.middlewares.use('/shared/', (request, response) => {
        const path = resolve(root, `.${decodeURIComponent(new URL(request.url ?? '/', 'http://localhost').pathname)}`);
        const file = path.startsWith(root + sep) ? statSync(path, { throwIfNoEntry: false }) : undefined;
        if (!file?.isFile()) {
          response.writeHead(404).end();
          return;
        }
        response.writeHead(200, { 'content-type': 'application/octet-stream', 'content-length': file.size });
        createReadStream(path).pipe(response);
      });
    },
  };
}
