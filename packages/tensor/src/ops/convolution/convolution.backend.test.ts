import { operations } from '../../../../../test-support/operations.ts';
import { convolutionCases } from './convolution.cases.ts';

operations('convolution', convolutionCases);
