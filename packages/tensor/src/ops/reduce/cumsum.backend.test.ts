import { operations } from '../../../../../test-support/operations.ts';
import { cumsumCases } from './cumsum.cases.ts';

operations('cumsum', cumsumCases);
