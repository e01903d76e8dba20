import { operations } from '../../../../../test-support/operations.ts';
import { sliceCases } from './slice.cases.ts';

operations('slice', sliceCases);
