// Heddle on ONNX Runtime against other libraries on the same CPU, and against a bare session of ONNX Runtime.
//   npm ci --prefix bench/peers/tfjs --ignore-scripts && node bench/dist/cpu.js
// All sides run in one process with two threads where they can have them, and with the allocator settings of the README,
// which the process gives itself. Rounds are interleaved, and the best of each counts: other work on the machine only adds.
import { bareSession, type Contender, heddle, jaxJs, tensorFlowJs } from './cpu-contenders.js';
import { fastestOf, withAllocatorSettings } from './cpu-settings.js';
import { type Measurement, report } from './results.js';

withAllocatorSettings();

const rounds = Number(process.env['ROUNDS'] ?? 12);
const own = await heddle();
const bare = await bareSession();
const peers = [await jaxJs(), await tensorFlowJs()];
const everyone = [own, bare, ...peers];

/** Milliseconds of the fastest of some calls by each contender; calls of all are checked to give the same number. */
async function best(
  work: 'matmul' | 'step',
  contenders: readonly Contender[],
  calls: number,
): Promise<ReadonlyMap<Contender, number>> {
  const firsts: number[] = [];
  for (const contender of contenders) firsts.push(await contender[work]!());
  if (firsts.some((value) => Math.abs(value - firsts[0]!) > 1e-3 * Math.max(1, Math.abs(firsts[0]!))))
    throw new Error(`${work}: the contenders compute different things: ${firsts.join(', ')}`);
  return fastestOf(contenders, (contender) => contender[work]!(), { rounds, calls });
}

/** One row per contender; Heddle's with its time as a share of the fastest peer's. */
function rows(what: string, fastest: ReadonlyMap<Contender, number>, against: readonly Contender[]): Measurement[] {
  const peer = [...against].sort((p, q) => fastest.get(p)! - fastest.get(q)!)[0]!;
  return [...fastest].map(([contender, value]) => {
    const row = { what, value, unit: 'ms', adapter: contender.name };
    return contender === own ? { ...row, ratio: value / fastest.get(peer)!, against: peer.name } : row;
  });
}

const session = await best('matmul', [own, bare], 10);
const product = await best('matmul', [own, ...peers], 4);
const step = await best('step', [own, ...peers], 4);
report([
  ...rows('compiled matmul 1024 f32', session, [bare]),
  ...rows('matmul 1024 f32', product, peers),
  ...rows('training step of an MLP 784-1024-10, batch 128, f32', step, peers),
]);
for (const contender of everyone) await contender.dispose();
process.exit();
