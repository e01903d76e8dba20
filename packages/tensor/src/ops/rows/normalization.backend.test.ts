import { operations } from '../../../../../test-support/operations.ts';
import { normalizationCases } from './normalization.cases.ts';

operations('normalization', normalizationCases);
