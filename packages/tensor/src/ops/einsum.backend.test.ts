import { operations } from '../../../../test-support/operations.ts';
import { einsumCases } from './einsum.cases.ts';

operations('einsum', einsumCases);
