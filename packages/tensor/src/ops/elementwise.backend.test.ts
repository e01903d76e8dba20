import { operations } from '../../../../test-support/operations.ts';
import { elementwiseCases } from './elementwise.cases.ts';

operations('elementwise', elementwiseCases);
