export { type BytePairTokenizer, type TrainBytePairOptions, trainBytePair } from './bpe/train-byte-pair.ts';
