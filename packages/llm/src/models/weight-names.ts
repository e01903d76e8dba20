import { FileFormatError, formatShape } from '@heddle/tensor';
import type { Notes } from '../config/notes.ts';
import type { WeightFile } from './weight-file.ts';
import { sourceNames, sourceShape, type WeightSource } from './weight-source.ts';

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
  /** How Hugging Face's files have weights that are not one tensor of their name and shape. */
  readonly sources: ReadonlyMap<string, WeightSource>;
  /** Names of tensors that files may have and that are not needed. */
  readonly idle: ReadonlySet<string>;
}

/** A weight of a model, and the tensors of the file that it is made of. */
export interface PlannedWeight {
  readonly name: string;
  readonly stored: readonly string[];
  /** How they make it, where it is not one as it is. */
  readonly source?: WeightSource;
  readonly shape: readonly number[];
}

/** What wrappers put before the names of what they wrap: data parallelism, torch.compile, PEFT. */
const wrappers = ['', 'module.', '_orig_mod.', 'base_model.model.'];
/** Buffers that old checkpoints hold and that are computed, and what is read as a part of the configuration. */
const computed =
  /\.(?:rotary_emb\.inv_freq|rotary_emb\.(?:cos|sin)_cached|attn\.(?:masked_)?bias|self_attn\.(?:masked_)?bias)$|^rope_(?:freqs|factors_(?:short|long))\.weight$/;

/**
 * Finds the weights of a model in a file. The file settles what the configuration leaves open: whether the head is tied
 * (as in transformers, a head that differs from the embedding counts), and which biases there are.
 *
 * @returns In the order of the file's data.
 * @throws FileFormatError `ERR_WEIGHTS` naming a tensor that is missing or of another shape
 */
export async function planWeights(needs: WeightNeeds, file: WeightFile, notes: Notes): Promise<PlannedWeight[]> {
  const { head, embedding, sources } = needs;
  const storedName = naming(needs, file, notes);
  const planned: PlannedWeight[] = [];
  const plan = (name: string, shape: readonly number[], as = name) => {
    const source = file.isHuggingFace ? sources.get(as) : undefined;
    const stored = sourceNames(as, source).map(storedName);
    planned.push({ name, stored, shape, ...(source && { source }) });
  };
  for (const [name, shape] of needs.shapes) {
    const untie = name === embedding && needs.tied && !file.has(storedName(name)) && file.has(storedName(head));
    plan(name, shape, untie ? head : name);
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
  for (const weight of planned) check(file, weight, needs);
  noteUnused(needs, file, planned, storedName, notes);
  const order = new Map(file.names().map((stored, index) => [stored, index]));
  return planned.sort((a, b) => order.get(a.stored[0]!)! - order.get(b.stored[0]!)!);
}

/** A way in which files call weights. */
interface Naming {
  readonly of: (name: string) => string;
  /** What there is to say of it. */
  readonly note?: string;
}

/**
 * How the file calls a weight: with a wrapper's prefix, without its first part where it holds a model without its head, as a part of
 * a model that takes images too.
 */
function naming(needs: WeightNeeds, file: WeightFile, notes: Notes): (name: string) => string {
  const [first] = needs.embedding.split('.');
  const start = new RegExp(`^${first}\\.`);
  const candidates = wrappers.flatMap((prefix): readonly Naming[] => {
    const note = prefix && `${file.label}: '${prefix}' before the names of its tensors is passed over`;
    const base = `${file.label} names its tensors without '${first}.', as a model without its head has them`;
    return [
      { of: (name) => prefix + name, note },
      { of: (name) => prefix + name.replace(start, ''), note: note || base },
      { of: (name) => `${prefix}language_model.${name}`, note },
      { of: (name) => prefix + name.replace(start, `${first}.language_model.`), note },
    ];
  });
  const names = [...needs.shapes.keys()];
  const found = ({ of }: Naming) => names.filter((name) => file.has(of(name))).length;
  const best = candidates.reduce((a, b) => (found(b) > found(a) ? b : a));
  if (best.note) notes.add(best.note);
  return best.of;
}

function check(
  file: WeightFile,
  { name, stored: parts, shape: whole, source }: PlannedWeight,
  needs: WeightNeeds,
): void {
  const shape = sourceShape(whole, source);
  for (const stored of parts) {
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
}

/** Tensors that are not used: among a model's own they are a deviation, others (of a vision tower, say) are only said. */
function noteUnused(
  needs: WeightNeeds,
  file: WeightFile,
  planned: readonly PlannedWeight[],
  storedName: (name: string) => string,
  notes: Notes,
): void {
  const used = new Set(planned.flatMap(({ stored }) => stored));
  const idle = new Set([...needs.idle, ...(needs.tied ? [needs.head] : [])].map(storedName));
  const unused = file.names().filter((name) => !used.has(name) && !computed.test(name) && !idle.has(name));
  if (unused.length === 0) return;
  const parts = new Set([...needs.shapes.keys()].map((name) => storedName(name).split('.').slice(0, -2).join('.')));
  const root = storedName(needs.embedding).split('.').slice(0, -2).join('.');
  const isLayer = (name: string) => name.startsWith(root) && /(?:^|\.)(?:layers|h)\.\d+\./.test(name);
  const own = unused.filter((name) => parts.has(name.split('.').slice(0, -2).join('.')) || isLayer(name));
  const some = (list: readonly string[]) =>
    `${list.length} ${list.length > 1 ? 'tensors' : 'tensor'} of ${file.label} ${list.length > 1 ? 'are' : 'is'} not used: ${list.slice(0, 4).join(', ')}${list.length > 4 ? ', ...' : ''}`;
  const denied = own.some((name) => name.endsWith('.bias')) ? ' (the configuration says that there are no biases)' : '';
  if (own.length > 0) notes.deviate(`${some(own)}${denied}`);
  else notes.add(some(unused));
}
