import { operations } from '../../../../../test-support/operations.ts';
import { rmsNormCases } from './rms-norm.cases.ts';

operations('rmsNorm', rmsNormCases);
