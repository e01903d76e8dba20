import { operations } from '../../../../../test-support/operations.ts';
import { bitwiseCases } from './bitwise.cases.ts';

operations('bitwise', bitwiseCases);
