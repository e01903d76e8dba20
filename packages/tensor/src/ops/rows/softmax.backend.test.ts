import { operations } from '../../../../../test-support/operations.ts';
import { softmaxCases } from './softmax.cases.ts';

operations('softmax', softmaxCases);
