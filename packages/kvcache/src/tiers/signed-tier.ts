import { ArgumentError, checkArguments } from '@heddle/tensor';
import { checkStore, type KvTier } from './kv-tier.ts';

const tagBytes = 32;

/**
 * A tier that others can write to, too: each block carries an HMAC-SHA-256 of its name and bytes, and one that does not fit counts
 * as missing.
 * @param key a secret of 32 bytes or more
 * @throws ArgumentError for a shorter key
 */
export function signedTier(tier: KvTier, key: Uint8Array): KvTier {
  checkArguments('signedTier', 'object', { tier });
  checkStore('signedTier: tier', tier);
  checkArguments('signedTier', 'bytes', { key });
  if (key.length < tagBytes)
    throw new ArgumentError(`signedTier: key must be a secret of ${tagBytes} bytes or more, got ${key.length}`);
  const secret = crypto.subtle.importKey('raw', Uint8Array.from(key), { name: 'HMAC', hash: 'SHA-256' }, false, [
    'sign',
    'verify',
  ]);
  secret.catch(() => {}); // whoever reads or writes hears of it
  return {
    name: tier.name,
    read: async (keys) => {
      const found = await tier.read(keys);
      return Promise.all(
        found.map(async (bytes, i) => {
          if (!(bytes instanceof Uint8Array) || bytes.length < tagBytes) return undefined;
          const content = bytes.slice(0, -tagBytes);
          const tag = bytes.slice(-tagBytes);
          const fits = await crypto.subtle.verify('HMAC', await secret, tag, named(keys[i]!, content));
          return fits ? content : undefined;
        }),
      );
    },
    write: async (blocks) => {
      const signed = await Promise.all(
        blocks.map(async ({ key: name, bytes }) => {
          const tag = new Uint8Array(await crypto.subtle.sign('HMAC', await secret, named(name, bytes)));
          const all = new Uint8Array(bytes.length + tagBytes);
          all.set(bytes);
          all.set(tag, bytes.length);
          return { key: name, bytes: all };
        }),
      );
      await tier.write(signed);
    },
    delete: (keys) => tier.delete(keys),
    ...(tier.has && { has: (keys: readonly string[]) => tier.has!(keys) }),
  };
}

/** Length of the name, name, bytes: no two of them are the same bytes. */
function named(name: string, bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const text = new TextEncoder().encode(name);
  const all = new Uint8Array(4 + text.length + bytes.length);
  new DataView(all.buffer).setUint32(0, text.length, true);
  all.set(text, 4);
  all.set(bytes, 4 + text.length);
  return all;
}
