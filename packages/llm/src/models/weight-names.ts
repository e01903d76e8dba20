import { FileFormatError, formatShape } from '@heddle/tensor';
import type { Notes } from '../config/notes.ts';
import type { WeightFile } from './weight-file.ts';

/** What a model needs of a file, by its configuration. */
export interface WeightNeeds {
  /** Shape of every weight by the name that Hugging Face has for it. */
  readonly shapes: ReadonlyMap<string, readonly number[]>;
  /** Whether the configuration makes the output projection the token embedding. */
  readonly tied: boolean;
  /** Names of the token embedding and of the output projection. */
  readonly embedding: string;
  readonly head: string;
  /** Names of the biases that the configuration says are not there. */
  readonly denied: ReadonlySet<string>;
  /** Weights of which Hugging Face's files have the transpose. */
  readonly transposed: ReadonlySet<string>;
  /** Names of tensors that files may have and that are not needed. */
  readonly idle: ReadonlySet<string>;
}

/** A weight of a model, and the tensor of the file that it is. */
export interface PlannedWeight {
  readonly name: string;
  readonly stored: string;
  /** Whether the tensor of the file is the transpose. */
  readonly transposed?: boolean;
  readonly shape: readonly number[];
}

/** What wrappers put before the names of what they wrap: data parallelism, torch.compile, PEFT. */
const wrappers = ['', 'module.', '_orig_mod.', 'base_model.model.'];
/** Buffers that old checkpoints hold and that are computed. */
const computed =
  /\.(?:rotary_emb\.inv_freq|rotary_emb\.(?:cos|sin)_cached|attn\.(?:masked_)?bias|self_attn\.(?:masked_)?bias)$/;

/**
 * Finds the weights of a model in a file. The file settles what the configuration leaves open: whether the head is tied
 * (as in transformers, a head that differs from the embedding counts), and which biases there are.
 *
 * @returns In the order of the file's data.
 * @throws FileFormatError `ERR_WEIGHTS` naming a tensor that is missing or of another shape
 */
export async function planWeights(needs: WeightNeeds, file: WeightFile, notes: Notes): Promise<PlannedWeight[]> {
  const { head, embedding, transposed } = needs;
  const storedName = naming(needs, file, notes);
  const planned = new Map<string, PlannedWeight>();
  const plan = (name: string, shape: readonly number[], stored = storedName(name)) =>
    planned.set(stored, { name, stored, shape, ...(file.transposes && transposed.has(name) && { transposed: true }) });
  for (const [name, shape] of needs.shapes) {
    const untie = name === embedding && needs.tied && !file.has(storedName(name)) && file.has(storedName(head));
    plan(name, shape, untie ? storedName(head) : storedName(name));
    const bias = name.replace(/\.weight$/, '.bias');
    if (shape.length !== 2 || needs.shapes.has(bias) || !file.has(storedName(bias))) continue;
    if (needs.denied.has(bias)) continue;
    notes.add(`${file.label} has ${storedName(bias)}, of which the configuration says nothing; it is used`);
    plan(bias, [shape[0]!]);
  }
  const [ownHead, ownEmbedding] = [storedName(head), storedName(embedding)];
  if (needs.tied && file.has(ownHead) && file.has(ownEmbedding) && !(await file.equal(ownHead, ownEmbedding))) {
    plan(head, needs.shapes.get(embedding)!);
    notes.add(
      `the configuration ties the head to the embedding, but ${file.label} has another ${ownHead}, which counts`,
    );
  }
  for (const weight of planned.values()) check(file, weight, needs);
  noteUnused(needs, file, planned, storedName, notes);
  return file.names().flatMap((stored) => planned.get(stored) ?? []);
}

/** How the file calls a weight: with a wrapper's prefix, and without its first part where it holds a model without its head. */
function naming(needs: WeightNeeds, file: WeightFile, notes: Notes): (name: string) => string {
  const names = [...needs.shapes.keys()];
  const [first] = needs.embedding.split('.');
  const base = new RegExp(`^${first}\\.`);
  const candidates = wrappers.flatMap((prefix) => [
    { prefix, base: false, of: (name: string) => prefix + name },
    { prefix, base: true, of: (name: string) => prefix + name.replace(base, '') },
  ]);
  const scored = candidates.map((candidate) => ({
    ...candidate,
    found: names.filter((name) => file.has(candidate.of(name))).length,
  }));
  const best = scored.reduce((a, b) => (b.found > a.found ? b : a));
  if (best.prefix) notes.add(`${file.label}: '${best.prefix}' before the names of its tensors is passed over`);
  if (best.base) notes.add(`${file.label} names its tensors without '${first}.', as a model without its head has them`);
  return best.of;
}

function check(file: WeightFile, weight: PlannedWeight, needs: WeightNeeds): void {
  const { name, stored, transposed } = weight;
  const shape = transposed ? [...weight.shape].reverse() : weight.shape;
  if (!file.has(stored)) {
    const hint =
      name === needs.head && !needs.tied
        ? ': the file is that of a base model, which gives hidden states and no logits, and its configuration does not tie the head to the embedding'
        : '';
    throw new FileFormatError(`weights: ${file.label}: ${stored} ${formatShape(shape)} is missing${hint}`, {
      code: 'ERR_WEIGHTS',
    });
  }
  const got = file.info(stored).shape;
  if (formatShape(got) !== formatShape(shape))
    throw new FileFormatError(
      `weights: ${file.label}: ${stored} must be ${formatShape(shape)} by the configuration, got ${formatShape(got)}`,
      { code: 'ERR_WEIGHTS' },
    );
}

/** Tensors that are not used: among a model's own they are a deviation, others (of a vision tower, say) are only said. */
function noteUnused(
  needs: WeightNeeds,
  file: WeightFile,
  planned: ReadonlyMap<string, PlannedWeight>,
  storedName: (name: string) => string,
  notes: Notes,
): void {
  const idle = new Set([...needs.idle, ...(needs.tied ? [needs.head] : [])].map(storedName));
  const unused = file.names().filter((name) => !planned.has(name) && !computed.test(name) && !idle.has(name));
  if (unused.length === 0) return;
  const parts = new Set([...needs.shapes.keys()].map((name) => storedName(name).split('.').slice(0, -2).join('.')));
  const own = unused.filter(
    (name) => parts.has(name.split('.').slice(0, -2).join('.')) || /(?:^|\.)(?:layers|h)\.\d+\./.test(name),
  );
  const some = (list: readonly string[]) =>
    `${list.length} ${list.length > 1 ? 'tensors' : 'tensor'} of ${file.label} ${list.length > 1 ? 'are' : 'is'} not used: ${list.slice(0, 4).join(', ')}${list.length > 4 ? ', ...' : ''}`;
  const denied = own.some((name) => name.endsWith('.bias')) ? ' (the configuration says that there are no biases)' : '';
  if (own.length > 0) notes.deviate(`${some(own)}${denied}`);
  else notes.add(some(unused));
}
