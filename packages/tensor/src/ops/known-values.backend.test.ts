import { operations } from '../../../../test-support/operations.ts';
import { knownElementwiseCases } from './known-elementwise.cases.ts';
import { knownValuesCases } from './known-values.cases.ts';

operations('operations over values that are known', [...knownElementwiseCases, ...knownValuesCases]);
