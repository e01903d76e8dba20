import {
  arange,
  bitAnd,
  cast,
  concat,
  type Dim,
  full,
  max,
  multiplyDims,
  reshape,
  scatterAdd,
  shiftRight,
  type Tensor,
  takeAlongAxis,
  where,
} from '@heddle/tensor';
import { mostNgram, mostWordTokens } from '../options.ts';
import type { LogitStage, SampleRows } from './logit-stage.ts';

const out = Number.NEGATIVE_INFINITY;

/** Added to logits of tokens, by token and request. */
export const logitBias: LogitStage = {
  name: 'logit bias',
  parameters: { biased: 0 },
  needs: ['bias'],
  record: (logits, { parameters: { biased }, bias }) => where(biased!.greater(0), logits.add(bias), logits),
};

export const allowedTokens: LogitStage = {
  name: 'allowed tokens',
  parameters: { masked: 0 },
  needs: ['allowed'],
  record(logits, { parameters: { masked }, allowed }) {
    const [rows, V] = logits.shape as [Dim, number];
    const id = arange(logits.device, V, 'u32');
    const word = cast(shiftRight(id, 5), 'i32');
    const words = takeAlongAxis(allowed, reshape(word, [1, V]).expand([rows, V]), 1);
    const bit = bitAnd(shiftRight(words, reshape(bitAnd(id, 31), [1, V])), 1);
    return where(masked!.greater(0).and(bit.equal(0)), out, logits);
  },
};

/** The token that stands `back` places before the end, `[R, 1]`; -2 where there is none. */
function fromEnd({ history, lengths }: SampleRows, back: number): Tensor {
  const place = lengths.sub(1 + back);
  return where(place.less(0), -2, takeAlongAxis(history, place.maximum(0), 1));
}

/** Which tokens `[R, V]` stand in `tokens` `[R, N]` where `hit` is set, bool. */
function named(logits: Tensor, tokens: Tensor, hit: Tensor): Tensor {
  const { device, shape } = logits;
  const [rows, V] = shape as [Dim, number];
  const count = multiplyDims(rows, tokens.shape[1]!);
  const start = reshape(arange(device, rows), [rows, 1]).mul(V);
  const places = start.add(where(hit, tokens, 0));
  const hits = scatterAdd(multiplyDims(rows, V), reshape(places, [count]), reshape(cast(hit, 'i32'), [count]));
  return reshape(hits, shape).greater(0);
}

/** What would repeat a sequence of the given size that has occurred; nothing where that would be every token. */
export const noRepeatNgram: LogitStage = {
  name: 'no repeated n-gram',
  parameters: { noRepeatNgramSize: 0 },
  needs: ['history'],
  record(logits, rows) {
    const { history, lengths } = rows;
    const { device, shape } = history;
    const size = cast(rows.parameters.noRepeatNgramSize!, 'i32');
    const [count, capacity] = shape as [Dim, number];
    const place = reshape(arange(device, capacity), [1, capacity]);
    // a place after which the same tokens stand as at the end
    let same = place
      .less(lengths)
      .and(place.greaterEqual(size.sub(1)))
      .and(size.greater(0));
    for (let back = 0; back < Math.min(mostNgram - 1, capacity); back++) {
      const none = full(device, [count, back + 1], -1, 'i32');
      const before = concat([none, history.slice(1, 0, capacity - back - 1)], 1);
      same = same.and(
        size
          .sub(1)
          .lessEqual(back)
          .or(before.equal(fromEnd(rows, back))),
      );
    }
    const left = where(named(logits, history, same), out, logits);
    return where(max(left, -1, { keepDims: true }).greater(out), left, logits);
  },
};

/** The token with which a sequence would end in one of the request's words. */
export const badWords: LogitStage = {
  name: 'bad words',
  parameters: { worded: 0 },
  needs: ['words', 'history'],
  record(logits, rows) {
    const { words } = rows;
    const [count, W] = words.shape as [Dim, number];
    const at = (i: number) => reshape(words.slice(2, i, i + 1), [count, W]);
    const last = at(mostWordTokens - 1);
    let hit = rows.parameters.worded!.greater(0).and(last.greaterEqual(0));
    for (let back = 0; back < mostWordTokens - 1; back++) {
      const token = at(mostWordTokens - 2 - back);
      hit = hit.and(token.less(0).or(token.equal(fromEnd(rows, back))));
    }
    return where(named(logits, last, hit), out, logits);
  },
};
