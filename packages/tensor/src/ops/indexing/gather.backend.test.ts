import { operations } from '../../../../../test-support/operations.ts';
import { gatherCases } from './gather.cases.ts';

operations('gather', gatherCases);
