// How well a model predicts text: the bits it needs for each UTF-8 byte of the last 5% of each file, beside xz.
//   npx tsx --conditions=@heddle/source examples/bits-per-byte.ts MODEL TEXT... [DEVICE]
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { argv } from 'node:process';
import { pathToFileURL } from 'node:url';
import { type CausalLm, loadModel, type Tokenizer } from '@heddle/llm';
import { compile, crossEntropy, openDevice, type Tensor } from '@heddle/tensor';
import { exampleArguments } from './arguments.ts';

/** A file with the ends of its lines as `\n`: the part to learn from, and the last 5% of its characters, held out. */
export function splitText(path: string): { readonly name: string; readonly learned: string; readonly heldOut: string } {
  const text = readFileSync(path, 'utf8').replaceAll('\r\n', '\n');
  const end = Math.floor(text.length * 0.95);
  return { name: path.replace(/^.*[\\/]/, ''), learned: text.slice(0, end), heldOut: text.slice(end) };
}

/**
 * Bits that `model` needs for each UTF-8 byte of `text`, where it sees at least half of its context before each token. Every
 * window begins with `begin`, as in training.
 */
export async function bitsPerByte(model: CausalLm, tokenizer: Tokenizer, text: string, begin: number): Promise<number> {
  const tokens = tokenizer.encode(text, { addSpecialTokens: false });
  const [rows, length] = [8, model.config.maxPositions];
  const shape = [rows, length];
  const loss = compile(
    ({ tokens, targets }: { tokens: Tensor; targets: Tensor }) =>
      crossEntropy(model.forward({ tokens }).logits, targets),
    { device: model.device, inputs: [{ tokens: { shape, dtype: 'i32' }, targets: { shape, dtype: 'i32' } }] },
  );
  // a window predicts `length` tokens from those before them; all but the first window count only the later half
  const stride = length >> 1;
  const starts = [0];
  while (starts.at(-1)! + length < tokens.length) starts.push(starts.at(-1)! + stride);
  let nats = 0;
  for (let first = 0; first < starts.length; first += rows) {
    const inputs = new Int32Array(rows * length).fill(begin);
    const targets = new Int32Array(rows * length).fill(-100); // does not count
    let counted = 0;
    for (const [row, start] of starts.slice(first, first + rows).entries())
      for (let i = 0; i < length && start + i < tokens.length; i++) {
        if (i > 0) inputs[row * length + i] = tokens[start + i - 1]!;
        if (start > 0 && i < length - stride) continue;
        targets[row * length + i] = tokens[start + i]!;
        counted++;
      }
    const mean = await loss({ tokens: { data: inputs, shape }, targets: { data: targets, shape } });
    nats += (await mean.item()) * counted;
  }
  loss.dispose();
  return nats / Math.LN2 / Buffer.byteLength(text);
}

/** Bits that `xz -9e` needs for each UTF-8 byte of `text`. */
export function xzBitsPerByte(text: string): number {
  const input = Buffer.from(text);
  return (execFileSync('xz', ['-9e', '-c'], { input, maxBuffer: 2 ** 30 }).length * 8) / input.length;
}

/** Bits per byte of the held-out part of each file, and of all of them, as the lines of a table. */
export async function heldOutTable(model: CausalLm, tokenizer: Tokenizer, paths: readonly string[]): Promise<string[]> {
  const begin = model.config.bosTokenId ?? 0;
  const lines = [`${'held-out text'.padEnd(24)}${'bytes'.padStart(9)}${'bits per byte'.padStart(15)}`];
  let [bits, bytes] = [0, 0];
  for (const { name, heldOut } of paths.map(splitText)) {
    const found = await bitsPerByte(model, tokenizer, heldOut, begin);
    const size = Buffer.byteLength(heldOut);
    [bits, bytes] = [bits + found * size, bytes + size];
    lines.push(`${name.padEnd(24)}${String(size).padStart(9)}${found.toFixed(4).padStart(15)}`);
  }
  lines.push(`${'all'.padEnd(24)}${String(bytes).padStart(9)}${(bits / bytes).toFixed(4).padStart(15)}`);
  return lines;
}

if (import.meta.url === pathToFileURL(argv[1] ?? '').href) {
  const { args, device: name } = exampleArguments('bits-per-byte.ts MODEL TEXT...', Number.POSITIVE_INFINITY);
  const [path, ...texts] = args;
  if (path === undefined || texts.length === 0) throw new Error('bits-per-byte: name a model and at least one text');
  const device = await openDevice(name);
  const model = await loadModel(path, { device });
  for (const line of await heldOutTable(model, model.requireTokenizer(), texts)) console.log(line);
  const whole = texts.map((text) => readFileSync(text, 'utf8').replaceAll('\r\n', '\n')).join('\n');
  console.log(`xz -9e of the whole files: ${xzBitsPerByte(whole).toFixed(4)} bits per byte`);
  await model.dispose();
  await device.dispose();
}
