import { operations } from '../../../../../test-support/operations.ts';
import { expertMatmulCases } from './expert-matmul.cases.ts';

operations('products by experts', expertMatmulCases);
