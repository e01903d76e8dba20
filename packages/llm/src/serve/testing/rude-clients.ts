import { connect } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';

/** Draws numbers below a bound; the same ones for a seed. */
export type Draw = (below: number) => number;

export function drawing(seed: number): Draw {
  let state = seed >>> 0;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

/** A request as it goes over a connection. */
export function requestText(path: string, body: string, type = 'application/json'): string {
  const length = Buffer.byteLength(body);
  return `POST ${path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: ${type}\r\ncontent-length: ${length}\r\nconnection: close\r\n\r\n${body}`;
}

/** How a client behaves that does not wait for its answer. */
export type Rudeness = 'leaves at once' | 'leaves later' | 'does not read' | 'sends half' | 'closes its half';
export const rudenesses: readonly Rudeness[] = [
  'leaves at once',
  'leaves later',
  'does not read',
  'sends half',
  'closes its half',
];

/** Sends a request and goes away without its answer. Resolves when the connection is closed. */
export async function rudely(port: number, text: string, how: Rudeness, draw: Draw): Promise<void> {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  socket.on('error', () => {}); // the server may close first
  const closed = new Promise<void>((resolve) => void socket.once('close', () => resolve()));
  await new Promise<void>((resolve) => {
    socket.once('connect', () => resolve());
    socket.once('close', () => resolve());
  });
  const sent = how === 'sends half' ? text.slice(0, 1 + draw(text.length - 1)) : text;
  socket.write(sent);
  if (how === 'does not read') socket.pause();
  else socket.resume();
  if (how === 'closes its half') socket.end();
  await wait(how === 'leaves at once' ? 0 : 1 + draw(60));
  socket.destroy();
  await closed;
}
