import { operations } from '../../../../../test-support/operations.ts';
import { reduceCases } from './reduce.cases.ts';

operations('reduce', reduceCases);
